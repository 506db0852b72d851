"""Numbers of images and regions, how they are spread, and the ranges that histograms have.

The ranges are the same for every version, so that histograms can be compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from voyager.curate.columns import REGIONS, SAMPLES, Columns
from voyager.curate.figures import Bin, Measure, Scope

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
    Truths: TypeAlias = NDArray[np.bool_]


class Ranges(NamedTuple):
    """Where the ranges after the first begin, and what each is called."""

    edges: tuple[float, ...]
    labels: tuple[str, ...]


_COUNTS: Final = Ranges(
    (1, 2, 3, 4, 5, 10, 20, 50, 100),
    ("0", "1", "2", "3", "4", "5–9", "10–19", "20–49", "50–99", "100+"),
)
_SIDES: Final = Ranges(
    (64, 128, 256, 512, 1024, 2048, 4096),
    ("<64", "64–127", "128–255", "256–511", "512–1023", "1024–2047", "2048–4095", "4096+"),
)
_ASPECTS: Final = Ranges(
    (0.408, 0.577, 0.707, 0.866, 1.155, 1.414, 1.732, 2.449),
    ("1:3", "1:2", "2:3", "3:4", "1:1", "4:3", "3:2", "2:1", "3:1"),
)
"""Each value goes to the ratio that it is nearest to; the first and the last take all beyond."""

_BYTES: Final = Ranges(
    (1e3, 1e4, 3e4, 1e5, 3e5, 1e6, 3e6, 1e7),
    ("<1 kB", "1–10", "10–30", "30–100", "100–300", "0.3–1 MB", "1–3", "3–10", ">10 MB"),
)
_AREAS: Final = Ranges((32.0**2, 96.0**2), ("small (<32²)", "medium (<96²)", "large"))
"""As COCO calls the areas of objects."""

_SHARES: Final = Ranges(
    (0.0001, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.9),
    ("<0.01 %", "–0.1 %", "–1 %", "–5 %", "–10 %", "–25 %", "–50 %", "–90 %", ">90 %"),
)
_TENTHS: Final = Ranges(
    (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    ("0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9"),
)
_CONTRASTS: Final = Ranges(
    (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4),
    ("0", "0.05", "0.1", "0.15", "0.2", "0.25", "0.3", "0.35", "0.4"),
)
_SHARPNESS: Final = Ranges(
    (10, 30, 100, 300, 1000, 3000, 10000),
    ("<10", "10", "30", "100", "300", "1000", "3000", "10000+"),
)
_COLOURFULNESS: Final = Ranges(
    (15, 33, 45, 59, 82, 109),
    ("not", "slightly", "moderately", "averagely", "quite", "highly", "extremely"),
)
"""The words of Hasler and Süsstrunk (2003)."""

PIXELS: Final = {
    "brightness": _TENTHS,
    "contrast": _CONTRASTS,
    "sharpness": _SHARPNESS,
    "colourfulness": _COLOURFULNESS,
}
"""Statistics of pixels that are shown, by the field of `derived.statistics`."""

_WITH_AREA: Final = ("box", "rotated-box", "polygon", "mask", "ellipse")


class Shapes:
    """What the regions that cover an area measure, and the images that they lie in."""

    def __init__(self, columns: Columns) -> None:
        import numpy as np

        self.columns = columns
        kinds = columns.coded(REGIONS, "geometry")
        self.kinds = kinds
        covering = [code for code, word in enumerate(kinds.words) if word in _WITH_AREA]
        self.covering: Truths = np.isin(kinds.codes, covering)
        self.width = columns.numbers(SAMPLES, "width")
        self.height = columns.numbers(SAMPLES, "height")

    @cached_property
    def x0(self) -> Floats:
        return self.columns.numbers(REGIONS, "x0")

    @cached_property
    def y0(self) -> Floats:
        return self.columns.numbers(REGIONS, "y0")

    @cached_property
    def x1(self) -> Floats:
        return self.columns.numbers(REGIONS, "x1")

    @cached_property
    def y1(self) -> Floats:
        return self.columns.numbers(REGIONS, "y1")

    @cached_property
    def area(self) -> Floats:
        """The area of each region, NaN of those that cover none."""
        import numpy as np

        found: Floats = np.where(self.covering, self.columns.numbers(REGIONS, "area"), np.nan)
        return found

    @cached_property
    def aspect(self) -> Floats:
        """Width over height of each region's bounds, NaN without either."""
        import numpy as np

        wide, high = self.x1 - self.x0, self.y1 - self.y0
        sound = self.covering & (wide > 0) & (high > 0)
        found: Floats = np.divide(wide, high, out=np.full(len(wide), np.nan), where=sound)
        return found

    @cached_property
    def share(self) -> Floats:
        """The part of its image that each region covers."""
        whole = (self.width * self.height)[self.columns.owners]
        return _quotient(self.area, whole)

    @cached_property
    def image_aspect(self) -> Floats:
        """Width over height of each image as people see it."""
        import numpy as np

        turned = self.columns.numbers(SAMPLES, "orientation") >= 5
        upright = _quotient(self.width, self.height)
        found: Floats = np.where(turned, _quotient(self.height, self.width), upright)
        return found


def _quotient(above: Floats, below: Floats) -> Floats:
    import numpy as np

    found: Floats = np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)
    return found


def iter_measures(shapes: Shapes) -> Iterator[Measure]:
    """What is measured of images and of regions, without a look at pixels."""
    import numpy as np

    columns = shapes.columns
    per_image = np.bincount(columns.owners, minlength=columns.samples)
    yield measured("regions per image", "image", per_image.astype(float), _COUNTS)
    longer = np.fmax(shapes.width, shapes.height)
    yield measured("longer side", "image", longer, _SIDES)
    yield measured("aspect", "image", shapes.image_aspect, _ASPECTS)
    yield measured("bytes", "image", columns.numbers(SAMPLES, "bytes"), _BYTES)
    if columns.regions:
        yield measured("area", "region", shapes.area, _AREAS)
        yield measured("share of image", "region", shapes.share, _SHARES)
        yield measured("aspect", "region", shapes.aspect, _ASPECTS)


def measured(name: str, of: Scope, values: Floats, ranges: Ranges) -> Measure:
    """The spread of some numbers; NaN is one that is not known."""
    import numpy as np

    known = values[~np.isnan(values)]
    places = np.searchsorted(np.array(ranges.edges), known, side="right")
    counts = np.bincount(places, minlength=len(ranges.labels)).tolist()
    spread = _spread(known) if len(known) else (0.0, 0.0, 0.0, 0.0)
    bins = tuple(map(Bin, ranges.labels, counts))
    return Measure(name, of, len(known), len(values) - len(known), *spread, bins)


def _spread(values: Any) -> tuple[float, float, float, float]:
    """The lowest, the median, the highest and the mean."""
    import numpy as np

    middle = float(np.median(values))
    return float(values.min()), middle, float(values.max()), float(values.mean())

"""Images for the tests of derived values: photographs and ways to change them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from functools import cache

from PIL import Image, ImageEnhance, ImageFilter

from voyager.samples import photo_paths
from voyager.store.ids import blob_id

Reader = Callable[[Sequence[bytes]], Iterable[tuple[bytes, bytes | None]]]


@cache
def photos(count: int = 100) -> dict[bytes, bytes]:
    """The sample photographs by blob id."""
    return by_id(path.read_bytes() for path in photo_paths()[:count])


def by_id(images: Iterable[bytes]) -> dict[bytes, bytes]:
    return {blob_id(data): data for data in images}


def picture(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def reader(images: dict[bytes, bytes]) -> Reader:
    """A reader of images that says None for those it has not."""
    return lambda ids: ((blob_id, images.get(blob_id)) for blob_id in ids)


def forbidden(ids: Sequence[bytes]) -> Iterable[tuple[bytes, bytes | None]]:
    """A reader that must not be asked."""
    raise AssertionError(f"{len(ids)} images were read")


VARIANTS: dict[str, Callable[[Image.Image], bytes]] = {
    "JPEG q30": lambda image: encoded(image, quality=30),
    "half size": lambda image: encoded(image.resize((image.width // 2, image.height // 2))),
    "lighter": lambda image: encoded(ImageEnhance.Brightness(image).enhance(1.2)),
    "darker": lambda image: encoded(ImageEnhance.Brightness(image).enhance(0.8)),
    "blurred": lambda image: encoded(image.filter(ImageFilter.GaussianBlur(2))),
    "mirrored": lambda image: encoded(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
}

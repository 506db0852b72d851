"""The guard's policy: what keeps images of protected splits out of every other split (spec 9.11).

Fields stand in the byte order of their wire names, as in `sample`.
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias, get_args

from msgspec import field
from msgspec.structs import force_setattr

from voyager.schema.sample import Part
from voyager.schema.values import EMPTY, BadValueError, Finite, as_float, as_tuple

GuardAction: TypeAlias = Literal["drop", "hold", "move", "warn", "error"]
GUARD_ACTIONS: Final[tuple[GuardAction, ...]] = get_args(GuardAction)

BYTES: Final = "bytes"
PIXELS: Final = "pixels"
NEAR: Final = "near"
DETECTORS: Final = (BYTES, PIXELS, NEAR)
"""What can find a copy, the surest and cheapest first."""

PROTECTED: Final = ("test",)
"""The splits that are protected where the policy names none."""


class GuardPolicy(Part, frozen=True, kw_only=True):
    """What the guard does with copies of protected images, and how it finds them.

    `detectors` and `protect` are empty for the defaults. Of several protected splits the first
    ranks highest: an image of a later one that is a copy of one of an earlier one is acted on.
    """

    action: GuardAction | None = field(default=None, name="a")
    """What to do with a copy; None for the default, which depends on how it came."""
    actions: dict[str, GuardAction] = field(default=EMPTY, name="b")
    """Actions of single detectors, which go before `action`."""
    detectors: tuple[str, ...] = field(default=(), name="d")
    off: bool = field(default=False, name="o")
    protect: tuple[str, ...] = field(default=(), name="p")
    thresholds: dict[str, Finite] = field(default=EMPTY, name="t")
    """The largest distance at which a detector finds a copy, where it is not its own."""
    extra: dict[str, Any] = field(default=EMPTY, name="x")

    def _settle(self) -> None:
        detectors, protect = (
            as_tuple(value, name)
            for value, name in ((self.detectors, "detectors"), (self.protect, "protect"))
        )
        for word in (*detectors, *protect):
            if not isinstance(word, str) or not word:
                raise BadValueError(f"guard: {word!r} is no name")
        ranked = tuple(sorted(set(detectors), key=_place))
        force_setattr(self, "detectors", () if ranked == DETECTORS else ranked or ())
        kept = tuple(dict.fromkeys(protect))
        force_setattr(self, "protect", () if kept == PROTECTED else kept or ())
        found = {name: as_float(value, name) for name, value in self.thresholds.items()}
        force_setattr(self, "thresholds", found or EMPTY)
        for name in ("actions", "extra"):
            if not getattr(self, name):
                force_setattr(self, name, EMPTY)

    @property
    def protected(self) -> tuple[str, ...]:
        """The protected splits, the highest rank first."""
        return self.protect or PROTECTED

    @property
    def used_detectors(self) -> tuple[str, ...]:
        """The detectors that look for copies, the surest first; none when the guard is off."""
        return () if self.off else self.detectors or DETECTORS

    def rank(self, split: str | None) -> int:
        """The place of a split among the protected ones; their number for any other split."""
        protected = self.protected
        return protected.index(split) if split in protected else len(protected)

    def action_on(self, kind: str, *, brought: bool) -> GuardAction:
        """What to do with a copy; `brought` says that a merge or import brings it in, alone."""
        chosen = self.actions.get(kind, self.action)
        if chosen is not None:
            return chosen
        return "drop" if brought and kind in (BYTES, PIXELS) else "hold"


class Release(Part, frozen=True, kw_only=True):
    """A pair that somebody looked at and let go: it is not held again (spec 9.11)."""

    kind: str = field(name="k")
    """As what it was held; as something surer it is held again."""

    def covers(self, kind: str) -> bool:
        """Whether a pair of this kind was let go."""
        return _place(self.kind) <= _place(kind)


def _place(detector: str) -> tuple[int, str]:
    known = DETECTORS.index(detector) if detector in DETECTORS else len(DETECTORS)
    return known, detector

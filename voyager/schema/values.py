"""What all values of the schema share: frozen structs, finite floats, the empty map.

A value has one form, so that it has one encoding: floats for numbers, tuples for lists, and a
default is the default object itself, because the encoder leaves a field out by identity.
Constructors and `replace` bring a value into that form (they *settle* it); decoding a row does not
pay for it again. Bytes from elsewhere are settled once more where they come in (`settle_all`).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from functools import partial
from numbers import Real
from typing import Annotated, Any, Final, NoReturn, Self, TypeVar

import msgspec
from msgspec import Meta, Struct, StructMeta
from msgspec.structs import replace

from voyager import wire
from voyager.errors import InvalidDataError

Finite = Annotated[float, Meta(ge=-sys.float_info.max, le=sys.float_info.max)]
"""A float that is neither NaN nor infinite, checked while decoding."""

Id16 = Annotated[bytes, Meta(min_length=16, max_length=16)]
"""A sample uid, region id or taxonomy node id."""

_S = TypeVar("_S", bound=Struct)

_LEAVES = frozenset({type(None), str, bytes, int, float, bool, wire.Ext})
_BLOB_REF = (wire.BLOB_EXT, wire.ID_BYTES)


class BadValueError(InvalidDataError, ValueError):
    """A value that the schema refuses."""


class _Settling(StructMeta):
    """Settles what is constructed, not what is decoded (__post_init__ would run for both)."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        value: Any = StructMeta.__call__(cls, *args, **kwargs)
        value._settle()
        return value


class Frozen(Struct, metaclass=_Settling, frozen=True, forbid_unknown_fields=True, gc=False):
    """A value of the schema; equal by value."""

    def _settle(self) -> None:
        """Bring the fields into their one form; BadValueError for those that have none."""

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed."""
        copy = replace(self, **changes)
        copy._settle()
        return copy


def unsettled(struct: type[_S]) -> Callable[..., _S]:
    """A constructor that settles nothing: for bulk loops whose fields have their one form already.

    That is: tuples for lists, finite floats for numbers, EMPTY for empty maps, defaults left out.
    """
    return partial(StructMeta.__call__, struct)


class _EmptyMap(dict[str, Any]):
    """The default of every map field: one value shared by all, so it has to stay empty."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("schema values are frozen: use replace()")

    __setitem__ = __ior__ = update = setdefault = _refuse


EMPTY: Final[dict[str, Any]] = _EmptyMap()


class Unknown:
    """A plain value written by a newer spec: the extra fields of a map, or a whole geometry.

    msgspec cannot encode this class, which is the point: a row that holds one is refused by the
    fast encoder and takes the slow path, and all other rows pay nothing.
    """

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unknown) and bool(self.value == other.value)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Unknown({self.value!r})"


def settle_all(value: Any, path: str = "") -> None:
    """Settle a decoded value and all values in it; BadValueError begins with the field's path."""
    if isinstance(value, Frozen):
        try:
            value._settle()
        except BadValueError as error:
            raise BadValueError(f"{path}: {error.message}" if path else error.message) from None
        if not value.__struct_config__.array_like:
            for name in value.__struct_fields__:
                item = getattr(value, name)
                if type(item) not in _LEAVES:
                    settle_all(item, f"{path}.{name}" if path else name)
    elif isinstance(value, tuple):
        for position, item in enumerate(value):
            settle_all(item, f"{path}[{position}]")
    elif isinstance(value, dict):
        for name, item in value.items():
            settle_all(item, f"{path}.{name}")


def as_float(value: Any, name: str) -> float:
    """The finite float of any real number; -0.0 becomes 0.0. BadValueError for all else."""
    number = value if type(value) is float else _float_of(value, name)
    if not math.isfinite(number):
        raise BadValueError(f"{name}: {value} is not finite")
    return number + 0.0


def _float_of(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, Real)):
        raise BadValueError(f"{name}: expected a number, got {type(value).__name__}")
    try:
        return float(value)
    except OverflowError:
        return math.inf


def as_floats(values: Sequence[float], name: str) -> tuple[float, ...]:
    """A list or tuple of int and float as a tuple of finite floats, as `as_float` has them."""
    try:
        floats = msgspec.convert(values, tuple[Finite, ...])
    except msgspec.ValidationError as error:
        raise BadValueError(f"{name}: {error}") from None
    return tuple([number + 0.0 for number in floats])


def as_tuple(values: Any, name: str) -> tuple[Any, ...]:
    """A list or tuple as a tuple; BadValueError for all else."""
    if not isinstance(values, (list, tuple)):
        raise BadValueError(f"{name}: expected a list, got {type(values).__name__}")
    return tuple(values)


def check_blob_ref(value: Any, name: str) -> None:
    """Raise BadValueError unless `value` is a reference to a blob."""
    if not isinstance(value, wire.Ext) or (value.code, len(bytes(value.data))) != _BLOB_REF:
        raise BadValueError(f"{name}: expected a blob reference")

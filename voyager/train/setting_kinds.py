"""Settings as JSON has them: whether there are such, and whether values are of their kinds."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from voyager.errors import InvalidDataError

_KINDS: Final[dict[object, tuple[str, str]]] = {
    bool: ("true or false", "truths"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("a word", "words"),
    NoneType: ("null", "nulls"),
}


def refuse_misfits(config: type, said: Mapping[str, Any], what: str) -> None:
    """Raise InvalidDataError for a setting that `config` has not, or that is of another kind.

    A tuple of pairs is an object in JSON, any other tuple a list.
    """
    kinds = get_type_hints(config)
    for name, value in said.items():
        if name not in kinds:
            near = get_close_matches(name, kinds, 1)
            hint = f"did you mean '{near[0]}'?" if near else None
            raise InvalidDataError(f"no setting '{name}' of {what}", hint=hint)
        wanted = _misfit(kinds[name], value)
        if wanted is not None:
            raise InvalidDataError(f"{name} is {wanted}, not {value!r}")


def _misfit(hint: Any, value: object) -> str | None:
    """What a setting is, where a value is none of that."""
    if get_origin(hint) is tuple:
        return _misfit_of_parts(get_args(hint)[0], value)
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    kinds = tuple(str if get_origin(kind) is Literal else kind for kind in kinds)
    if type(value) in kinds or (float in kinds and type(value) is int):
        return None
    return " or ".join(_KINDS[kind][0] for kind in kinds)


def _misfit_of_parts(part: Any, value: object) -> str | None:
    if get_origin(part) is tuple:
        of_values = get_args(part)[1]
        fits = isinstance(value, Mapping) and _all_fit(of_values, list(value.values()))
        return None if fits else f"an object of {_KINDS[of_values][1]} by name"
    fits = isinstance(value, list | tuple) and _all_fit(part, value)
    return None if fits else f"a list of {_KINDS[part][1]}"


def _all_fit(kind: Any, values: list[Any] | tuple[Any, ...]) -> bool:
    return all(_misfit(kind, one) is None for one in values)

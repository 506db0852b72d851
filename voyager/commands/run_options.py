"""What the commands about runs share: settings as they are typed, and whether torch is there."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import Any

from voyager.errors import MissingExtraError, UsageError


def needs_torch() -> None:
    """Raise MissingExtraError unless torch and safetensors are installed."""
    for package in ("torch", "safetensors"):
        if find_spec(package) is None:
            raise MissingExtraError(
                f"training needs {package}, which is not installed",
                hint="pip install 'voyager-vgr[train]'",
            )


def parse_setting(text: str) -> tuple[str, Any]:
    """`NAME=VALUE`, the value as in JSON where it is some; UsageError for what is none."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"'{text}' is not NAME=VALUE", hint="vgr train --set momentum=0.8")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def validation_split(text: str | None) -> str | None:
    """The split of `--validate`: the usual one unless it is said, None for `none` or nothing."""
    if text is None:
        return "val"
    return None if text in ("", "none") else text

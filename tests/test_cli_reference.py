"""docs/cli.md says what the commands say of themselves."""

from __future__ import annotations

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def test_reference_is_up_to_date(update: bool) -> None:
    text = runpy.run_path(str(DOCS / "cli_reference.py"))["render"]()
    if update:
        (DOCS / "cli.md").write_text(text)
    assert (DOCS / "cli.md").read_text() == text

"""docs/formats.md says what the formats say of themselves."""

from __future__ import annotations

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_table_is_up_to_date(update: bool) -> None:
    text = runpy.run_path(str(DOCS / "formats_table.py"))["render"]()
    if update:
        (DOCS / "formats.md").write_text(text)
    assert (DOCS / "formats.md").read_text() == text


def test_every_format_has_a_page() -> None:
    """What is read and written of each stands in docs/formats."""
    module = runpy.run_path(str(DOCS / "formats_table.py"))
    for form in module["formats"]():
        assert (DOCS / "formats" / f"{module['_page'](form)}.md").exists(), form.name

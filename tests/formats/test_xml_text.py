"""XML text is what the standard library writes."""

from __future__ import annotations

import subprocess
import sys
from xml.sax import saxutils

from hypothesis import given
from hypothesis import strategies as st

from voyager.formats.xml_text import escape, quoteattr

TEXTS = st.text(alphabet=st.sampled_from("ab&<>\"'\n\r\t é"), max_size=12)


@given(TEXTS)
def test_text_is_that_of_the_standard_library(text: str) -> None:
    assert escape(text, {"\r": "&#13;"}) == saxutils.escape(text, {"\r": "&#13;"})
    assert quoteattr(text) == saxutils.quoteattr(text)


def test_finding_a_format_out_loads_nothing_heavy() -> None:
    code = (
        "import sys; from voyager.formats.registry import all_formats; list(all_formats());"
        " heavy = {'numpy', 'ssl', 'PIL', 'pyarrow', 'defusedxml', 'duckdb'};"
        " print(sorted(heavy & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"

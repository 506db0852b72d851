"""The lossless format: the shipped suite, the two ways of reading a line, the header."""

from __future__ import annotations

from typing import ClassVar

from voyager.formats.conformance import FormatSuite
from voyager.formats.jsonl import FORMAT
from voyager.formats.torture import Limits


class TestJsonl(FormatSuite):
    form = FORMAT
    limits: ClassVar[Limits] = Limits(lists=True)

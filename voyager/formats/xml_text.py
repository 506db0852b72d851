"""Text in XML, as `xml.sax.saxutils` writes it, which would load the whole of urllib and ssl."""

from __future__ import annotations

from collections.abc import Mapping

_BREAKS = {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}


def escape(text: str, more: Mapping[str, str] | None = None) -> str:
    """Text as the content of an element; `more` says what else is written otherwise."""
    text = text.replace("&", "&amp;").replace(">", "&gt;").replace("<", "&lt;")
    for character, written in (more or {}).items():
        text = text.replace(character, written)
    return text


def quoteattr(text: str) -> str:
    """Text as the value of an attribute, in the quotes that fit best."""
    text = escape(text, _BREAKS)
    if '"' not in text:
        return f'"{text}"'
    return f"'{text}'" if "'" not in text else '"' + text.replace('"', "&quot;") + '"'

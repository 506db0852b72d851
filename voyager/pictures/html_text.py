"""Text as HTML has it."""

from __future__ import annotations

from html import escape


def html_text(text: str) -> str:
    """Text to stand between tags and in quotes; what UTF-8 cannot hold becomes a question mark."""
    return escape(text.encode("utf-8", "replace").decode(), quote=True)

"""URLs of remotes: their parts, what they may not say, and messages without credentials."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from voyager import config
from voyager.errors import UsageError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_SCP_LIKE = re.compile(r"(?:[^/@:]+@)?[^/@:]+:(?!//)")
_SLIP = re.compile(r"(s3|gs|az|https?|ssh|sftp)(?::/?|//)([^/].*)")
"""A URL whose `://` lacks something."""
_USER_SCHEMES = {"ssh", "sftp"}
"""Where a user's name (no password) may stand before the host."""
_HOSTED = _USER_SCHEMES | {"az", "gs", "http", "https", "s3"}
_USAGE = "vgr remote add origin s3://BUCKET/FOLDER"
_MASKS = (
    (re.compile(r"(//[^\s/@:]*):[^\s/@]+@"), r"\1:***@"),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}"), "***"),
    (
        re.compile(
            r"(?i)\b((?:[\w-]*(?:signature|token|secret|password|credential|access_?key_?(?:id)?)"
            r"|sig)[\"']?\s*[=:>]\s*[\"']?)[^\s&\"'<>,;]+"
        ),
        r"\1***",
    ),
)
_LEAST_SECRET = 6
"""Shorter values of the environment are words, not secrets."""


class Parts(NamedTuple):
    """A URL by its parts; a folder has the scheme `file`, no host, and a path."""

    scheme: str
    host: str
    path: str
    user: str = ""
    port: int | None = None


def is_url_or_path(text: str) -> bool:
    """Whether a text can only be a URL or a folder, not the name of a remote."""
    looks = text.startswith(("/", "~", "./", "../")) or text in {".", ".."}
    return looks or _SCHEME.match(text) is not None


def split_url(url: str) -> Parts:
    """The parts of a URL or path; UsageError for one that is neither, or that has credentials."""
    found = _SCHEME.match(url)
    if found is None:
        return Parts("file", "", _path(url))
    scheme = found[1].lower()
    if scheme == "file":
        return _file_parts(url, found.end())
    try:
        split = urlsplit(url)
        user, password, host, port = split.username, split.password, split.hostname, split.port
    except ValueError as error:
        raise UsageError(f"'{mask(url)}' is not a URL: {error}", hint=_USAGE) from None
    if password is not None or (user and scheme not in _USER_SCHEMES):
        raise UsageError(
            f"'{mask_url(url)}' has credentials in it: they belong in the environment or a profile",
            hint=f"{scheme}://{_place(url)}",
        )
    if split.query or split.fragment:
        raise UsageError(
            f"a remote's URL has no ?query and no #fragment: '{mask_url(url)}'",
            hint=f"{scheme}://{_place(url)}",
        )
    if not host and scheme in _HOSTED:
        raise UsageError(f"'{mask(url)}' names no {_what(scheme)}", hint=_USAGE)
    shown_host = split.netloc.rpartition("@")[2].partition(":")[0] or ""
    return Parts(scheme, shown_host, split.path, user or "", port)


def normal_url(url: str, *, cwd: Path | None = None) -> str:
    """A URL as it is stored: folders absolute, no `/` at the end; UsageError for a bad one."""
    if not url or not url.isprintable():
        raise UsageError("a remote wants a URL or a folder", hint=_USAGE)
    if _SCHEME.match(url) is None:
        _refuse_slip(url)
        if _SCP_LIKE.match(url) and not Path(url).exists():
            host, _, path = url.partition(":")
            raise UsageError(
                f"'{mask(url)}' is no URL", hint=f"ssh://{mask(host)}/{path.lstrip('/')}"
            )
        return str(Path(cwd or Path.cwd(), _path(url)).resolve())
    scheme = split_url(url).scheme
    url = scheme + url[len(scheme) :]
    return url.rstrip("/") if not url.endswith("://") else url


def _refuse_slip(text: str) -> None:
    """UsageError for `s3:/shoes` and `s3//shoes`, of which no folder is meant."""
    slip = _SLIP.fullmatch(text)
    if slip is not None and not Path(text).exists():
        raise UsageError(f"'{mask(text)}' is no URL", hint=f"{slip[1]}://{mask(slip[2])}")


def mask_url(url: str) -> str:
    """A URL without what stands before the `@` and after the `?`."""
    scheme, mark, rest = url.partition("://")
    if not mark:
        return mask(url)
    host, slash, path = rest.partition("/")
    before, at, host = host.rpartition("@")
    user = f"{before.partition(':')[0]}@" if scheme.lower() in _USER_SCHEMES else "***@"
    query = "?***" if "?" in path or "?" in host else ""
    place = f"{host}{slash}{path}".partition("?")[0]
    return f"{scheme}://{user if at else ''}{place}{query}"


def mask(text: str) -> str:
    """A message without credentials: those of URLs, of headers, and of the environment."""
    for value in config.secret_values():
        if len(value) >= _LEAST_SECRET:
            text = text.replace(value, "***")
    for pattern, instead in _MASKS:
        text = pattern.sub(instead, text)
    return text


def _path(text: str) -> str:
    return str(Path(text).expanduser()) if text.startswith("~") else text


def _file_parts(url: str, start: int) -> Parts:
    """`file:///folder` and `file://localhost/folder`; percent signs as in any URL."""
    rest = url[start:].removeprefix("localhost")
    if not rest.startswith("/"):
        raise UsageError(
            f"'{url}' names no absolute folder", hint=f"file:///{rest}, or {rest} without file://"
        )
    return Parts("file", "", unquote(rest))


def _place(url: str) -> str:
    """What stands behind the scheme and the credentials, up to a query."""
    rest = re.split(r"[?#]", url.partition("://")[2])[0]
    host, slash, path = rest.partition("/")
    return f"{host.rpartition('@')[2]}{slash}{path}"


def _what(scheme: str) -> str:
    return "bucket" if scheme in {"s3", "gs", "az"} else "host"

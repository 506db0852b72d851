"""Errors of object stores in words: what their clients raise, by the code or status in its text.

The clients (obstore, s3fs) hand on the server's reply as text, which may quote requests; nothing of
it is shown but what is known to be harmless.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from voyager.errors import RemoteError
from voyager.remotes.base import Unreachable
from voyager.remotes.urls import mask, split_url

_CODE = re.compile(r"<Code>(\w+)</Code>|\"code\":\s*\"(\w+)\"|\((\w+)\) when calling the")
_STATUS = re.compile(r"(?:status code: |\"code\":\s*|HTTP )(\d{3})\b")
_REGION = re.compile(r"<Region>([\w-]+)</Region>|expecting '([\w-]+)'")
_MOST_WORDS = 200


class _Said(NamedTuple):
    """What to tell for a code; `{bucket}`, `{url}` and `{region}` are filled in."""

    words: str
    hint: str | None = None
    retry: bool = False


_NO_BUCKET = _Said("there is no bucket '{bucket}' (or no right to see it)", "{make}")
_NO_KEY = _Said("{url}: the access key is not known there", "export AWS_PROFILE=NAME")
_BAD_SECRET = _Said(
    "{url}: the secret does not belong to the access key", "export AWS_PROFILE=NAME"
)
_EXPIRED = _Said("{url}: the credentials have expired", "aws sso login")
_DENIED = _Said("{url}: these credentials have no permission to {verb}", "vgr remote check {url}")
_ELSEWHERE = _Said("bucket '{bucket}' lies in another region", "export AWS_REGION={region}")
_SKEWED = _Said("{url}: the clock of this machine is off by too much", "date")
_REFUSED = _Said("{url}: the request was refused ({status})", "vgr remote check {url}")
_BUSY = _Said("{url}: too many requests ({status})", retry=True)
_BROKEN = _Said("{url}: the server failed ({status})", retry=True)
_CROSSED = _Said("{url}: another write was under way", retry=True)
_NO_CREDENTIALS = _Said("there are no credentials for {url}", "{login}")

_CODES: Final[Mapping[str, _Said]] = MappingProxyType(
    {
        "AccessDenied": _DENIED,
        "AccountProblem": _DENIED,
        "AllAccessDisabled": _DENIED,
        "AuthenticationFailed": _BAD_SECRET,
        "AuthorizationHeaderMalformed": _ELSEWHERE,
        "ConditionalRequestConflict": _CROSSED,
        "ContainerNotFound": _NO_BUCKET,
        "ExpiredToken": _EXPIRED,
        "ExpiredTokenException": _EXPIRED,
        "IllegalLocationConstraintException": _ELSEWHERE,
        "IncorrectEndpoint": _ELSEWHERE,
        "InternalError": _BROKEN,
        "InvalidAccessKeyId": _NO_KEY,
        "InvalidToken": _EXPIRED,
        "NoSuchBucket": _NO_BUCKET,
        "OperationAborted": _CROSSED,
        "PermanentRedirect": _ELSEWHERE,
        "RequestTimeTooSkewed": _SKEWED,
        "RequestTimeout": _BROKEN,
        "ServiceUnavailable": _BUSY,
        "SignatureDoesNotMatch": _BAD_SECRET,
        "SlowDown": _BUSY,
        "TemporaryRedirect": _ELSEWHERE,
        "TokenRefreshRequired": _EXPIRED,
    }
)
_STATUSES: Final[Mapping[int, _Said]] = MappingProxyType(
    {
        301: _ELSEWHERE,
        400: _REFUSED,
        401: _DENIED,
        403: _DENIED,
        408: _BROKEN,
        409: _CROSSED,
        429: _BUSY,
        503: _BUSY,
    }
)
_PHRASES: Final[tuple[tuple[str, _Said], ...]] = (
    ("169.254.169.254", _NO_CREDENTIALS),
    ("169.254.170.2", _NO_CREDENTIALS),
    ("Unable to locate credentials", _NO_CREDENTIALS),
    ("NoCredentials", _NO_CREDENTIALS),
    ("Account must be specified", _NO_CREDENTIALS),
    ("incorrectly configured region", _ELSEWHERE),
    ("The specified bucket does not exist", _NO_BUCKET),
    ("dns error", _Said("{url}: the host is not known")),
)
_LOGINS = {
    "s3": "export AWS_PROFILE=NAME",
    "gs": "gcloud auth application-default login",
    "az": "export AZURE_STORAGE_ACCOUNT_NAME=NAME AZURE_STORAGE_ACCOUNT_KEY=…",
}
_MAKES = {
    "s3": "aws s3 mb s3://{bucket}",
    "gs": "gcloud storage buckets create gs://{bucket}",
    "az": "az storage container create --name {bucket}",
}


def code_of(text: str) -> str:
    """The code that a server's reply has, empty where it has none."""
    found = _CODE.search(text)
    return "" if found is None else next(filter(None, found.groups()), "")


def status_of(text: str) -> int:
    """The HTTP status that a text tells of, 0 where it tells of none."""
    found = _STATUS.search(text)
    return 0 if found is None else int(found[1])


def lacks_bucket(text: str) -> bool:
    """Whether a 404 is about the bucket, not about an object in it."""
    return _said(text) is _NO_BUCKET


def unreachable(url: str, endpoint: str = "") -> Unreachable:
    """What is raised where no connection came about."""
    return Unreachable(
        f"{url}: {mask(endpoint) or 'the server'} cannot be reached",
        retry=True,
        hint="see to the network, and to the endpoint (AWS_ENDPOINT_URL)"
        if url.startswith("s3:")
        else None,
    )


def broken_off(url: str) -> RemoteError:
    """What is raised where a connection ended within a request."""
    return RemoteError(f"{url}: the connection broke off", retry=True)


def service_error(url: str, text: str, *, write: bool = False) -> RemoteError:
    """What a client said, in words and without secrets."""
    parts = split_url(url)
    status = status_of(text)
    said = _said(text)
    if said is None:
        if status >= 500 and status != 501:
            said = _BROKEN
        else:
            return RemoteError(f"{url}: {_plain(text)}")
    region = _REGION.search(text)
    names = {
        "bucket": parts.host,
        "login": _LOGINS.get(parts.scheme, ""),
        "make": _MAKES.get(parts.scheme, "").format(bucket=parts.host),
        "region": next(filter(None, region.groups())) if region else "REGION",
        "status": code_of(text) or status,
        "url": url,
        "verb": "write" if write else "read",
    }
    hint = None if said.hint is None else said.hint.format(**names)
    return RemoteError(said.words.format(**names), retry=said.retry, hint=hint or None)


def _said(text: str) -> _Said | None:
    known = _CODES.get(code_of(text))
    if known is not None:
        return known
    for phrase, said in _PHRASES:
        if phrase in text:
            return said
    return _STATUSES.get(status_of(text))


def _plain(text: str) -> str:
    """The first line, short, without what may be secret."""
    line = mask(re.split(r"\n|Debug source|: <", text.strip())[0])
    return line if len(line) <= _MOST_WORDS else f"{line[:_MOST_WORDS]}…"

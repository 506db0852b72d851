"""S3, Google Cloud Storage and Azure through obstore: little of the client's time, many threads.

Endpoint, region and credentials come from where all programs look for them: the environment and
profiles. obstore's own retries are off, for `Retrying` knows which requests may be repeated.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Semaphore
from typing import Any, Final, cast

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import AzureStore, GCSStore, S3Store

from voyager.config import foreign_variable
from voyager.errors import NotFoundError, RemoteError
from voyager.remotes.base import Listed, PreconditionFailed, Tagged
from voyager.remotes.storages.aws_profile import has_profile, read_profile
from voyager.remotes.storages.bodies import (
    CHUNK,
    absent,
    check_object_name,
    cut_short,
    exactly,
    refuse_long,
    stale,
    write_new_file,
)
from voyager.remotes.storages.service_errors import (
    broken_off,
    code_of,
    lacks_bucket,
    service_error,
    status_of,
    unreachable,
)
from voyager.remotes.urls import Parts

_SMALL: Final = 4 << 20
_WHOLE: Final = 72 << 20
"""Files up to this go up in one request, as parts cost servers more; a pack is no bigger unless one
image is."""
_WHOLES_AT_ONCE: Final = 2
"""So many of them, for each lies in memory as a whole."""
_PART: Final = 8 << 20
_PARTS_AT_ONCE: Final = 4
_Store = S3Store | GCSStore | AzureStore


class ObjectStorage:
    """Bytes by name in a bucket, below a prefix."""

    read_only = False

    def __init__(self, store: _Store, *, url: str, endpoint: str = "") -> None:
        self.url = url
        self.endpoint = endpoint
        self._store = store
        self._bare_tags = False
        self._wholes = Semaphore(_WHOLES_AT_ONCE)

    @classmethod
    def open(cls, url: str, parts: Parts, *, timeout: float) -> ObjectStorage:
        """The storage of an `s3://`, `gs://` or `az://` URL; nothing is asked of it yet."""
        prefix = "/".join(filter(None, parts.path.split("/"))) or None
        options: dict[str, Any] = {
            "client_options": {
                "allow_http": True,  # that an endpoint says so in the environment is leave enough
                "connect_timeout": "10s",
                "read_timeout": f"{timeout:.0f}s",
                "timeout": "12h",  # of a whole body; one that stalls is noticed by the other
            },
            "retry_config": {"max_retries": 0},
        }
        try:
            if parts.scheme == "gs":
                return cls(GCSStore(parts.host, prefix=prefix, **options), url=url)
            if parts.scheme == "az":
                return cls(AzureStore(parts.host, prefix=prefix, **options), url=url)
            config, endpoint = _s3_settings(options)
            store = S3Store(parts.host, prefix=prefix, config=cast(Any, config), **options)
            return cls(store, url=url, endpoint=endpoint)
        except (BaseError, ValueError) as error:
            raise service_error(url, str(error)) from None

    def get(self, name: str) -> bytes:
        return self.get_tagged(name).data

    def get_tagged(self, name: str) -> Tagged:
        with self._told(name):
            found = obstore.get(self._store, check_object_name(name))
            # The client lets no more come than the header with this length says.
            refuse_long(found.meta["size"], url=self.url, name=name)
            return Tagged(bytes(found.bytes()), self._tag(found.meta))

    def get_range(self, name: str, start: int, length: int) -> bytes:
        if length == 0:
            return b""
        with self._told(name):
            try:
                data = obstore.get_range(
                    self._store, check_object_name(name), start=start, length=length
                )
            except BaseError as error:
                if status_of(str(error)) == 416:
                    raise cut_short(self.url, name, wanted=length, got=0) from None
                if "non-partial response" not in str(error):
                    raise
                return self._cut_out(name, start, length)
        return exactly(bytes(data), length, url=self.url, name=name)

    def fetch(self, name: str, path: Path, *, size: int) -> None:
        with self._told(name):
            write_new_file(path, self._stream(name), size=size, url=self.url, name=name)

    def put(self, name: str, data: bytes | Path) -> None:
        check_object_name(name)
        if isinstance(data, bytes):
            self._put_whole(name, data)
            return
        size = data.stat().st_size
        if size <= _SMALL:
            self._put_whole(name, data.read_bytes())
        elif size <= _WHOLE:
            with self._wholes:
                self._put_whole(name, data.read_bytes())
        else:
            self._put_in_parts(name, data)

    def put_if(self, name: str, data: bytes, tag: str | None) -> str:
        check_object_name(name)
        try:
            return self._put_if(name, data, tag, bare=self._bare_tags)
        except PreconditionFailed:
            if not self._may_be_misread(name, tag):
                raise
        new = self._put_if(name, data, tag, bare=True)
        self._bare_tags = True
        return new

    def size(self, name: str) -> int | None:
        try:
            with self._told(name):
                return obstore.head(self._store, check_object_name(name))["size"]
        except NotFoundError:
            return None

    def list(self, prefix: str) -> Iterator[Listed]:
        with self._told(prefix):
            for batch in obstore.list(self._store, prefix=prefix.rstrip("/") or None):
                for found in batch:
                    yield Listed(found["path"], found["size"], found["last_modified"].timestamp())

    def delete(self, names: Iterable[str]) -> None:
        gone = [check_object_name(name) for name in names]
        with self._told("", write=True):
            try:
                obstore.delete(self._store, gone)
            except FileNotFoundError as error:
                if lacks_bucket(str(error)):
                    raise
                for name in gone:
                    with contextlib.suppress(FileNotFoundError):
                        obstore.delete(self._store, name)

    def close(self) -> None:
        """The connections end with the last use of the store."""

    def _put_whole(self, name: str, data: bytes) -> None:
        with self._told(name, write=True):
            obstore.put(self._store, name, data, use_multipart=False)

    def _put_in_parts(self, name: str, path: Path) -> None:
        with self._told(name, write=True):
            obstore.put(
                self._store,
                name,
                path,
                use_multipart=True,
                chunk_size=_PART,
                max_concurrency=_PARTS_AT_ONCE,
            )

    def _put_if(self, name: str, data: bytes, tag: str | None, *, bare: bool) -> str:
        with self._told(name, write=True):
            done = obstore.put(self._store, name, data, mode=cast(Any, self._mode(tag, bare=bare)))
            return self._tag(done)

    def _mode(self, tag: str | None, *, bare: bool) -> str | dict[str, str]:
        if tag is None:
            return "create"
        if isinstance(self._store, GCSStore):
            return {"version": tag}
        return {"e_tag": tag.strip('"') if bare else tag}

    def _tag(self, meta: Any) -> str:
        found = meta["version"] if isinstance(self._store, GCSStore) else meta["e_tag"]
        if not found:
            raise RemoteError(f"{self.url} gives no tags (ETag) for what it keeps")
        return str(found)

    def _may_be_misread(self, name: str, tag: str | None) -> bool:
        """Whether a refused tag is the right one after all: radosgw compares it with its quotes."""
        if tag is None or not tag.startswith('"') or self._bare_tags:
            return False
        try:
            return self.get_tagged(name).tag == tag
        except NotFoundError:
            return False

    def _stream(self, name: str) -> Iterator[bytes]:
        found = obstore.get(self._store, check_object_name(name))
        yield from cast(Iterator[bytes], found.stream(min_chunk_size=CHUNK))

    def _cut_out(self, name: str, start: int, length: int) -> bytes:
        """A range, from a server that has none: of the whole body, a piece of it at a time."""
        kept = bytearray()
        at = 0
        for chunk in self._stream(name):
            kept += memoryview(chunk)[max(0, start - at) : max(0, start + length - at)]
            at += len(chunk)
            if len(kept) == length:
                break
        return exactly(bytes(kept), length, url=self.url, name=name)

    @contextlib.contextmanager
    def _told(self, name: str, *, write: bool = False) -> Iterator[None]:
        """Errors of obstore in words."""
        try:
            yield
        except FileExistsError:
            raise
        except FileNotFoundError as error:
            text = str(error)
            if write or lacks_bucket(text):
                raise service_error(self.url, text, write=write) from None
            raise absent(self.url, name) from None
        except AlreadyExistsError as error:
            if code_of(str(error)) in {"ConditionalRequestConflict", "OperationAborted"}:
                raise service_error(self.url, str(error), write=write) from None
            raise stale(self.url, name) from None
        except PreconditionError:
            raise stale(self.url, name) from None
        except BaseError as error:
            raise self._failed(str(error), write=write) from None

    def _failed(self, text: str, *, write: bool) -> RemoteError:
        head = text.partition("Debug source")[0]
        if "169.254.1" not in head and "HTTP error: error sending request" in head:
            if "kind: Connect" in text or "kind: Timeout" in text:
                return unreachable(self.url, self.endpoint)
            return broken_off(self.url)
        if "HTTP error" in head and "169.254.1" not in head:
            return broken_off(self.url)
        return service_error(self.url, head, write=write)


def _s3_settings(options: dict[str, Any]) -> tuple[dict[str, str], str]:
    """(settings, endpoint) of what obstore does not find out by itself: profiles."""
    config: dict[str, str] = {}
    endpoint = foreign_variable("AWS_ENDPOINT_URL_S3") or foreign_variable("AWS_ENDPOINT_URL")
    if has_profile():
        profile = read_profile()
        region = foreign_variable("AWS_REGION") or foreign_variable("AWS_DEFAULT_REGION")
        if profile.region and not region:
            config["region"] = profile.region
        if profile.credentials is not None:
            options["credential_provider"] = profile.credentials
        endpoint = endpoint or profile.endpoint
    if endpoint:
        config["endpoint"] = endpoint
    return config, endpoint

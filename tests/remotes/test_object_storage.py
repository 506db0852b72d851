"""S3 through obstore: the suite against a real server, errors in words, and settings' places."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import obstore
import pytest
from failing_server import Answers, failing_server
from obstore.exceptions import PreconditionError
from s3_server import SECRET, new_bucket

from voyager.errors import NotFoundError, RemoteError
from voyager.remotes.base import PreconditionFailed, Storage, Unreachable
from voyager.remotes.conformance import StorageSuite
from voyager.remotes.registry import StorageOptions, open_storage
from voyager.remotes.retrying import Patience
from voyager.remotes.storages import objectstore
from voyager.remotes.storages.objectstore import ObjectStorage
from voyager.remotes.urls import split_url

ONCE = StorageOptions(Patience(attempts=1), timeout=5.0)


@pytest.mark.usefixtures("s3")
class TestS3(StorageSuite):
    measures_memory = False  # the server is in this process

    @pytest.fixture(autouse=True)
    def _empty(self, s3: str) -> None:
        self.url = f"{new_bucket()}/data set/100%25"

    def open_storage(self) -> Storage:
        return open_storage(self.url)


@pytest.mark.usefixtures("s3")
def test_prefixes_are_places_of_their_own() -> None:
    bucket = new_bucket()
    for prefix in ("", "/a", "/a/b", "/ab"):
        open_storage(bucket + prefix).put("root", prefix.encode())
    found = {each.name for each in open_storage(f"{bucket}/a").list("")}
    assert found == {"root", "b/root"}
    assert open_storage(f"{bucket}//a/").get("root") == b"/a"


@pytest.mark.usefixtures("s3")
def test_no_such_bucket_is_told_with_what_makes_one() -> None:
    storage = open_storage("s3://no-such-bucket/data")
    for ask in (
        lambda: storage.put("root", b"x"),
        lambda: storage.put_if("root", b"x", None),
        lambda: storage.get("root"),
        lambda: list(storage.list("")),
    ):
        with pytest.raises(RemoteError, match="there is no bucket 'no-such-bucket'") as told:
            ask()
        assert told.value.hint == "aws s3 mb s3://no-such-bucket"
        assert not told.value.retry


@pytest.mark.usefixtures("s3")
def test_tags_with_quotes_that_a_server_misreads(monkeypatch: pytest.MonkeyPatch) -> None:
    """radosgw refuses every tag that has its quotes."""
    real = obstore.put

    def radosgw(store: Any, name: str, data: Any, **options: Any) -> Any:
        mode = options.get("mode")
        if isinstance(mode, dict):
            if '"' in mode["e_tag"]:
                raise PreconditionError("412")
            options["mode"] = {"e_tag": f'"{mode["e_tag"]}"'}
        return real(store, name, data, **options)

    monkeypatch.setattr(obstore, "put", radosgw)
    storage = open_storage(new_bucket())
    first = storage.put_if("root", b"1", None)
    second = storage.put_if("root", b"2", first)
    third = storage.put_if("root", b"3", second)
    with pytest.raises(PreconditionFailed):
        storage.put_if("root", b"4", second)
    assert storage.get_tagged("root") == (b"3", third)


# -- a server that answers what it is told to -----------------------------------------------------


@pytest.fixture
def answers(s3: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    with failing_server() as answers:
        monkeypatch.setenv("AWS_ENDPOINT_URL", answers.endpoint)
        yield answers


@pytest.mark.parametrize(
    ("status", "code", "words", "retry", "hint"),
    [
        (403, "AccessDenied", "have no permission to write", False, "vgr remote check"),
        (403, "InvalidAccessKeyId", "the access key is not known", False, "AWS_PROFILE"),
        (403, "SignatureDoesNotMatch", "the secret does not belong", False, "AWS_PROFILE"),
        (400, "ExpiredToken", "the credentials have expired", False, "aws sso login"),
        (403, "RequestTimeTooSkewed", "the clock of this machine is off", False, "date"),
        (301, "PermanentRedirect", "in another region", False, "export AWS_REGION="),
        (400, "AuthorizationHeaderMalformed", "in another region", False, "AWS_REGION=eu-west-1"),
        (503, "SlowDown", "too many requests", True, None),
        (429, "TooMany", "too many requests", True, None),
        (500, "InternalError", "the server failed", True, None),
        (502, "", "the server failed", True, None),
        (409, "ConditionalRequestConflict", "another write was under way", True, None),
        (404, "NoSuchBucket", "there is no bucket 'shoes'", False, "aws s3 mb s3://shoes"),
    ],
)
def test_errors_are_told_in_words(
    answers: Answers, status: int, code: str, words: str, retry: bool, hint: str | None
) -> None:
    answers.status, answers.code, answers.more = status, code, "<Region>eu-west-1</Region>"
    storage = open_storage("s3://shoes/data", options=ONCE)
    with pytest.raises(RemoteError, match=words) as told:
        storage.put_if("root", b"x", None)
    assert told.value.retry is retry
    assert (told.value.hint or "").count(hint or "") if hint else told.value.hint is None
    assert answers.asked == ["PUT"]


def test_secrets_are_in_no_message(answers: Answers) -> None:
    answers.status, answers.code = 418, "Odd"
    answers.more = f"<AWSAccessKeyId>AKIAIOSFODNN7EXAMPLE</AWSAccessKeyId><S>{SECRET}</S>"
    with pytest.raises(RemoteError) as told:
        open_storage("s3://shoes/data", options=ONCE).get("root")
    said = f"{told.value.message} {told.value.hint}"
    assert SECRET not in said
    assert "AKIA" not in said
    assert "418" in said


def test_bodies_that_break_off_are_noticed(answers: Answers, tmp_path: Path) -> None:
    answers.body, answers.claimed = b"x" * 500, 1000
    answers.headers = {"ETag": '"x"', "Last-Modified": "Thu, 26 Nov 2026 06:11:44 GMT"}
    storage = open_storage("s3://shoes/data", options=ONCE)
    for ask in (
        lambda: storage.get("root"),
        lambda: storage.fetch("packs/a", tmp_path / "a", size=1000),
    ):
        with pytest.raises(RemoteError, match="the connection broke off") as told:
            ask()
        assert told.value.retry
    assert not (tmp_path / "a").exists()


def test_a_server_without_ranges_gives_them_all_the_same(answers: Answers) -> None:
    answers.body = bytes(range(256)) * 10
    answers.headers = {"ETag": '"x"', "Last-Modified": "Thu, 26 Nov 2026 06:11:44 GMT"}
    storage = open_storage("s3://shoes/data", options=ONCE)
    assert storage.get_range("packs/a", 300, 7) == answers.body[300:307]
    with pytest.raises(RemoteError):
        storage.get_range("packs/a", 2555, 20)


@pytest.mark.usefixtures("s3")
def test_servers_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    patience = Patience(first=0.01)
    storage = open_storage("s3://shoes/data", options=StorageOptions(patience))
    with pytest.raises(Unreachable, match=r"http://127.0.0.1:1 cannot be reached \(tried 3 times"):
        storage.get("root")


def test_a_profile_says_endpoint_region_and_credentials(
    s3: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = new_bucket()
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.delenv(name)
    folder = tmp_path / ".aws"
    folder.mkdir()
    (folder / "config").write_text(f"[profile lab]\nendpoint_url = {s3}\nregion = us-east-1\n")
    (folder / "credentials").write_text(
        f"[lab]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = {SECRET}\n"
    )
    monkeypatch.setenv("AWS_PROFILE", "lab")
    storage = open_storage(url)
    storage.put("root", b"x")
    assert storage.get("root") == b"x"
    monkeypatch.setenv("AWS_PROFILE", "lap")
    with pytest.raises(RemoteError, match="lap") as told:
        open_storage(url)
    assert told.value.hint == "aws configure list"


@pytest.mark.parametrize("url", ["gs://shoes/data", "az://shoes/data"])
def test_google_and_azure_are_opened_by_the_same_class(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    storage = ObjectStorage.open(url, split_url(url), timeout=5)
    assert storage.url == url


def test_azure_without_an_account_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(RemoteError, match="no credentials for az://shoes") as told:
        open_storage("az://shoes")
    assert "AZURE_STORAGE_ACCOUNT_NAME" in str(told.value.hint)


@pytest.mark.usefixtures("s3")
def test_absent_objects_of_a_bucket_are_not_found() -> None:
    with pytest.raises(NotFoundError, match="has no 'root'"):
        open_storage(f"{new_bucket()}/data").get("root")


@pytest.mark.usefixtures("s3")
def test_files_that_are_no_packs_go_up_in_parts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(objectstore, "_WHOLE", 9 << 20)
    source = tmp_path / "source"
    source.write_bytes(bytes(range(256)) * (20 << 12))
    storage = open_storage(new_bucket())
    storage.put("packs/big.pack", source)
    storage.fetch("packs/big.pack", tmp_path / "back", size=20 << 20)
    assert (tmp_path / "back").read_bytes() == source.read_bytes()

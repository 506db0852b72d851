"""Remotes by name: adding, changing, forgetting and undoing them; upstreams; bad URLs."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from voyager.errors import ExistsError, NotFoundError, UsageError
from voyager.remotes.config import (
    Remote,
    Upstream,
    add_remote,
    find_remote,
    named_remote,
    only_remote,
    remotes_of,
    remove_remote,
    set_remote,
    set_upstream,
    upstream_of,
)
from voyager.remotes.registry import check_scheme
from voyager.remotes.urls import mask, mask_url, normal_url, split_url
from voyager.repo.repository import Repository
from voyager.repo.undo import undo
from voyager.store.refs import move_ref, read_ref

SHOES = "s3://shoes/data"


def test_added_remotes_are_found_by_name_and_by_url(empty_repo: Repository, tmp_path: Path) -> None:
    assert add_remote(empty_repo, "origin", f"{SHOES}/") == Remote("origin", SHOES)
    add_remote(empty_repo, "disk", "../disk", cwd=tmp_path / "work")
    assert remotes_of(empty_repo) == [
        Remote("disk", str(tmp_path / "disk")),
        Remote("origin", SHOES),
    ]
    assert find_remote(empty_repo, "origin").url == SHOES
    assert find_remote(empty_repo, "gs://other") == Remote("", "gs://other")
    assert only_remote(empty_repo).name == "origin"


def test_unknown_remotes_have_near_misses(empty_repo: Repository) -> None:
    with pytest.raises(NotFoundError) as none:
        only_remote(empty_repo)
    assert none.value.hint == "vgr remote add origin URL"
    add_remote(empty_repo, "origin", SHOES)
    with pytest.raises(NotFoundError) as near:
        find_remote(empty_repo, "orgin")
    assert near.value.hint == "did you mean 'origin'?"
    with pytest.raises(ExistsError):
        add_remote(empty_repo, "origin", "gs://other")


def test_several_remotes_want_a_name(empty_repo: Repository) -> None:
    add_remote(empty_repo, "a", SHOES)
    assert only_remote(empty_repo).name == "a"
    add_remote(empty_repo, "b", SHOES)
    with pytest.raises(UsageError, match="which remote: a, b"):
        only_remote(empty_repo)


@pytest.mark.parametrize("name", ["", "a/b", "-x", "a b", "..", "x.lock", "s3://b", "HEAD"])
def test_bad_names_are_refused(empty_repo: Repository, name: str) -> None:
    with pytest.raises(UsageError, match="not a valid name"):
        add_remote(empty_repo, name, SHOES)


def test_every_change_can_be_undone(empty_repo: Repository) -> None:
    add_remote(empty_repo, "origin", SHOES)
    set_remote(empty_repo, Remote("origin", "s3://hats"))
    with empty_repo.transaction("fetch") as txn:
        move_ref(txn, "refs/remotes/origin/main", bytes(32), old=None)
        set_upstream(txn, "main", Upstream("origin", "main"), old=None)
        txn.commit()
    remove_remote(empty_repo, "origin")
    assert remotes_of(empty_repo) == []
    assert upstream_of(empty_repo, "main") is None
    assert read_ref(empty_repo.store, "refs/remotes/origin/main") is None
    undo(empty_repo)
    assert remotes_of(empty_repo) == [Remote("origin", "s3://hats")]
    assert upstream_of(empty_repo, "main") == ("origin", "main")
    assert read_ref(empty_repo.store, "refs/remotes/origin/main") == bytes(32)


def test_undo_of_one_name_leaves_the_others(empty_repo: Repository) -> None:
    add_remote(empty_repo, "origin", SHOES)
    set_remote(empty_repo, Remote("origin", "s3://hats"))
    undo(empty_repo)
    assert remotes_of(empty_repo) == [Remote("origin", SHOES)]
    undo(empty_repo)
    assert remotes_of(empty_repo) == []


@pytest.mark.parametrize(
    "url",
    [
        "s3://AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMI@shoes/data",
        "s3://wJalrXUtnFEMI@shoes/data",
        "https://ann:wJalrXUtnFEMI@example.org/data",
        "ssh://ann:wJalrXUtnFEMI@example.org/data",
        "https://example.org/data?X-Amz-Signature=wJalrXUtnFEMI",
        "az://shoes/data?sig=wJalrXUtnFEMI",
    ],
)
def test_credentials_in_urls_are_neither_stored_nor_said(empty_repo: Repository, url: str) -> None:
    with pytest.raises(UsageError) as refused:
        add_remote(empty_repo, "origin", url)
    said = f"{refused.value.message} {refused.value.hint}"
    assert "wJalrXUtnFEMI" not in said
    assert "AKIAIOSFODNN7EXAMPLE" not in said
    assert remotes_of(empty_repo) == []
    assert "wJalrXUtnFEMI" not in mask_url(url)


def test_messages_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG")
    text = (
        "PUT https://ann:hunter22@host/x?X-Amz-Signature=abcdef&x=1 "
        "<AWSAccessKeyId>AKIAIOSFODNN7EXAMPLE</AWSAccessKeyId> wJalrXUtnFEMI/K7MDENG sig=abc%2F="
    )
    masked = mask(text)
    for secret in ("hunter22", "abcdef", "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI", "abc%2F"):
        assert secret not in masked
    assert "https://ann:***@host/x?X-Amz-Signature=***&x=1" in masked


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("s3://bucket", ("s3", "bucket", "")),
        ("S3://bucket/a/b", ("s3", "bucket", "/a/b")),
        ("file:///a/b%20c", ("file", "", "/a/b c")),
        ("file://localhost/a", ("file", "", "/a")),
        ("/a/b", ("file", "", "/a/b")),
        ("memory://name", ("memory", "name", "")),
        ("ssh://ann@host:2222/data", ("ssh", "host", "/data")),
        ("gs://Mixed_Case/x", ("gs", "Mixed_Case", "/x")),
    ],
)
def test_urls_have_parts(url: str, parts: tuple[str, str, str]) -> None:
    assert split_url(url)[:3] == parts


@pytest.mark.parametrize("url", ["", "s3://", "file://a/b", "host:path", "ssh://h:xx/y", "a\nb"])
def test_bad_urls_are_refused(url: str) -> None:
    with pytest.raises(UsageError) as refused:
        normal_url(url)
    assert refused.value.hint


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("s3:/shoes/data", "s3://shoes/data"),
        ("s3//shoes/data", "s3://shoes/data"),
        ("gs:shoes", "gs://shoes"),
        ("ann@gpu1:srv/shoes", "ssh://ann@gpu1/srv/shoes"),
    ],
)
def test_slips_in_urls(empty_repo: Repository, text: str, hint: str) -> None:
    for take in (partial(find_remote, empty_repo), partial(add_remote, empty_repo, "origin")):
        with pytest.raises(UsageError, match="is no URL") as told:
            take(text)
        assert told.value.hint == hint


def test_schemes_have_small_letters(empty_repo: Repository) -> None:
    assert add_remote(empty_repo, "origin", "S3://Shoes/Data").url == "s3://Shoes/Data"


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("s4://shoes/data", "did you mean 's3://'?"),
        ("sssh://host/data", "did you mean 'ssh://'?"),
        ("gopher://hats", "vgr remote add origin s3://BUCKET/FOLDER"),
    ],
)
def test_unknown_schemes(url: str, hint: str) -> None:
    with pytest.raises(UsageError, match="no remote can lie at") as told:
        check_scheme(url)
    assert told.value.hint == hint


def test_a_near_miss_of_a_name(empty_repo: Repository) -> None:
    add_remote(empty_repo, "origin", "/srv/shoes")
    for find in (find_remote, named_remote):
        with pytest.raises(NotFoundError, match="no remote 'orgin'") as told:
            find(empty_repo, "orgin")
        assert told.value.hint == "did you mean 'origin'?"
    with pytest.raises(NotFoundError) as told:
        named_remote(empty_repo, "/srv/shoes")
    assert told.value.hint == "vgr remote ls"

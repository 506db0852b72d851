"""`vgr remote check` on S3, where it works and where it does not; no secret is ever shown."""

from __future__ import annotations

import json

import pytest
from failing_server import failing_server
from s3_server import SECRET, new_bucket
from sealed_world import World

from voyager.errors import RemoteError


def test_check_of_a_bucket(world: World, s3: str) -> None:
    url = f"{new_bucket()}/data"
    world.vgr("init", "-q")
    world.vgr("remote", "add", "origin", url)
    shown = world.vgr("remote", "check")
    assert shown.code == 0
    assert shown.text.splitlines() == [
        f"origin  {url}",
        "  permissions: read, write, list, delete",
        "  two at once: told apart by compare-and-swap",
        "  clock:       agrees with ours",
        "  holds:       no dataset yet",
    ]
    found = json.loads(world.vgr("remote", "check", "--json", url).out)
    assert found["name"] is None
    assert found["locking"] == "compare-and-swap"
    assert found["problems"] == []


def test_check_of_a_bucket_that_is_not_there(world: World, s3: str) -> None:
    world.vgr("init", "-q")
    shown = world.vgr("remote", "check", "s3://no-such-bucket/data")
    assert shown.code == RemoteError.exit
    assert "permissions: none (not read)" in shown.text
    assert "warning: there is no bucket 'no-such-bucket'" in shown.err
    assert "aws s3 mb s3://no-such-bucket" in shown.out


def test_a_refused_check_shows_no_secret(
    world: World, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.vgr("init", "-q")
    with failing_server() as answers:
        monkeypatch.setenv("AWS_ENDPOINT_URL", answers.endpoint)
        answers.status, answers.code = 403, "SignatureDoesNotMatch"
        answers.more = f"<AWSAccessKeyId>AKIAIOSFODNN7EXAMPLE</AWSAccessKeyId><S>{SECRET}</S>"
        for flags in ([], ["--json"], ["-v"]):
            shown = world.vgr("remote", "check", "s3://shoes/data", *flags)
            assert shown.code == RemoteError.exit
            assert "the secret does not belong to the access key" in shown.text
            assert SECRET not in shown.text
            assert "AKIA" not in shown.text


def test_pushing_to_a_place_that_ignores_conditions_warns_and_works(world: World) -> None:
    world.vgr("init", "-q")
    world.path("note.txt").write_text("a note\n")
    world.vgr("add", "-q", ".")
    world.vgr("commit", "-q", "-m", "A note")
    url = f"local://{world.root}/remote"
    first = world.vgr("push", url, "main")
    assert first.code == 0
    assert "does not keep the conditions of writes: a lease object guards pushes" in first.err
    nothing_new = world.vgr("push", url, "main")
    assert (nothing_new.code, nothing_new.err) == (0, "")


def test_a_url_is_checked_from_anywhere(world: World, s3: str) -> None:
    shown = world.vgr("remote", "check", f"{new_bucket()}/data")
    assert shown.code == 0
    assert "holds:       no dataset yet" in shown.out


def test_a_remote_that_cannot_be_asked_is_listed(world: World, s3: str) -> None:
    world.vgr("init", "-q")
    world.vgr("remote", "add", "gone", "s3://no-such-bucket/data")
    world.vgr("remote", "add", "disk", "../disk")
    shown = world.vgr("remote", "ls", "-v")
    assert shown.code == 0
    assert "warning: 'gone' was not asked what it protects: there is no bucket" in shown.err
    assert "disk  /world/disk" in shown.out

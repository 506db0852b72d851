"""fsck reads rows as well: what decodes as bytes but is no row is named."""

from __future__ import annotations

from pathlib import Path

from photo_repos import place, save, take

from voyager.repo.check import check_rows
from voyager.repo.repository import Repository
from voyager.repo.snapshot import SAMPLES
from voyager.repo.staging import fold, replace_staging
from voyager.wire import encode


def test_good_rows_pass(photos_repo: Repository) -> None:
    place(photos_repo, "hat/9.jpg", 9)
    save(photos_repo, "more")
    assert list(check_rows(photos_repo)) == []


def test_bad_rows_and_keys_are_named(photos_repo: Repository, tmp_path: Path) -> None:
    take(photos_repo)
    staging = photos_repo.staging
    good = photos_repo.staged().row(SAMPLES, b"hat/1.jpg")
    assert good is not None
    bad = {
        (SAMPLES, b"hat/odd.jpg"): encode({"no": "row"}),
        (SAMPLES, b"../escape.jpg"): good,
    }
    with photos_repo.transaction("test") as txn:
        snapshot = fold(txn, staging.roots, {**staging.overlay, **bad})
        replace_staging(txn, staging, base=staging.base, snapshot=snapshot)
        txn.commit()
    found = sorted(str(problem) for problem in check_rows(photos_repo))
    assert len(found) == 2
    assert "../escape.jpg" in found[0] and "component '..'" in found[0]
    assert "hat/odd.jpg" in found[1] and "not a canonical row" in found[1]

"""What a revision names, what is malformed, and what a near miss says."""

from __future__ import annotations

import pytest
from photo_repos import save

from voyager.errors import NotFoundError, StateError, UsageError
from voyager.repo.branches import create
from voyager.repo.commit import commit
from voyager.repo.ranges import Range, iter_range, names_revisions, read_pair, read_range
from voyager.repo.repository import Repository
from voyager.repo.revisions import find_object, full_name, split_key
from voyager.repo.stash import push
from voyager.repo.switch import reset, switch, switch_to_new
from voyager.repo.tags import create_tag, delete_tags, tags
from voyager.store.history import read_commit, write_commit
from voyager.store.refs import HEADS, Head, move_ref


def step(repo: Repository, text: str) -> bytes:
    (repo.tree() / "notes.txt").write_text(text)
    return save(repo, text)


@pytest.fixture
def line(empty_repo: Repository) -> list[bytes]:
    """Four commits on main, `v1` at the second, an annotated `v2` at the third."""
    made = [step(empty_repo, f"step {n}") for n in range(4)]
    create_tag(empty_repo, "v1", made[1])
    create_tag(empty_repo, "v2", made[2], message="second")
    return made


def merge(repo: Repository, *parents: bytes, message: str = "merge") -> bytes:
    """A commit of several parents, with the version of the first."""
    snapshot = read_commit(repo.store, parents[0]).snapshot_id
    with repo.transaction("merge") as txn:
        made = write_commit(
            txn,
            snapshot=snapshot,
            parents=parents,
            author="Ann Lee <ann@example.org>",
            message=message,
            time=1_767_600_000_000,
            zone=0,
        )
        move_ref(txn, HEADS + message, made, old=None)
        txn.commit()
    return made


def test_names(empty_repo: Repository, line: list[bytes]) -> None:
    resolve = empty_repo.resolve
    for text in ("main", "HEAD", "@", "refs/heads/main", "heads/main"[6:], line[3].hex()):
        assert resolve(text) == line[3], text
    assert resolve("v1") == resolve("refs/tags/v1") == line[1]
    assert resolve("v2") == resolve("v2^{}") == resolve("v2^{commit}") == line[2]
    assert full_name(empty_repo.store, "v1") == "refs/tags/v1"


def test_ancestors(empty_repo: Repository, line: list[bytes]) -> None:
    resolve = empty_repo.resolve
    assert resolve("HEAD~") == resolve("HEAD~1") == resolve("@^") == resolve("main^1") == line[2]
    assert resolve("HEAD~2") == resolve("HEAD^^") == resolve("v2~1") == resolve("v2^") == line[1]
    assert resolve("HEAD~0") == resolve("HEAD^0") == line[3]
    assert resolve("HEAD~2^~0") == line[0]
    with pytest.raises(NotFoundError, match="'HEAD~4' goes past the beginning"):
        resolve("HEAD~4")


def test_parents_of_a_merge(empty_repo: Repository, line: list[bytes]) -> None:
    merge(empty_repo, line[3], line[1], message="joined")
    resolve = empty_repo.resolve
    assert (resolve("joined^1"), resolve("joined^2"), resolve("joined^2~1")) == (
        line[3], line[1], line[0]
    )  # fmt: skip
    with pytest.raises(NotFoundError, match="has 2 parents"):
        resolve("joined^3")


def test_a_branch_wins_over_nothing_and_a_tag_over_a_branch(
    empty_repo: Repository, line: list[bytes]
) -> None:
    create(empty_repo, "v1", line[0])
    assert empty_repo.resolve("v1") == line[1]
    assert empty_repo.resolve("refs/heads/v1") == line[0]


def test_prefixes(empty_repo: Repository, line: list[bytes]) -> None:
    for size in (4, 5, 10, 63, 64):
        assert empty_repo.resolve(line[2].hex()[:size]) == line[2]
    assert find_object(empty_repo.store, line[2].hex()[:12]) == line[2]
    snapshot = read_commit(empty_repo.store, line[2]).snapshot_id
    assert find_object(empty_repo.store, snapshot.hex()[:12]) == snapshot
    with pytest.raises(NotFoundError):
        empty_repo.resolve(snapshot.hex()[:12])
    with pytest.raises(NotFoundError):
        empty_repo.resolve(line[2].hex()[:3])


def test_the_reflog(empty_repo: Repository, line: list[bytes]) -> None:
    resolve = empty_repo.resolve
    assert [resolve(f"main@{{{n}}}") for n in range(4)] == line[::-1]
    reset(empty_repo, line[0], "hard")
    assert (resolve("main"), resolve("main@{1}"), resolve("@{1}")) == (line[0], line[3], line[3])
    assert resolve("HEAD@{1}~1") == line[2]
    with pytest.raises(NotFoundError, match="reflog of 'main' has only 5 entries"):
        resolve("main@{5}")
    with pytest.raises(NotFoundError):
        resolve("v9@{0}")


def test_a_detached_head(empty_repo: Repository, line: list[bytes]) -> None:
    switch(empty_repo, Head(None, line[1]))
    assert empty_repo.resolve("HEAD") == line[1]
    assert empty_repo.resolve("HEAD@{1}") == line[3]


def test_stashes(empty_repo: Repository, line: list[bytes]) -> None:
    for text in ("older", "newer"):
        (empty_repo.tree() / "notes.txt").write_text(text)
        push(empty_repo, text)
    assert read_commit(empty_repo.store, empty_repo.resolve("stash")).message == "newer"
    assert read_commit(empty_repo.store, empty_repo.resolve("stash@{1}")).message == "older"
    with pytest.raises(NotFoundError):
        empty_repo.resolve("stash@{2}")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", UsageError),
        ("~1", UsageError),
        ("HEAD~x", UsageError),
        ("HEAD^{", UsageError),
        ("main@{yesterday}", UsageError),
        ("nothing", NotFoundError),
        ("nothing~1", NotFoundError),
        ("0" * 40, NotFoundError),
        ("main:file", NotFoundError),
    ],
)
def test_malformed(
    empty_repo: Repository, line: list[bytes], text: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        empty_repo.resolve(text)


def test_a_near_miss(empty_repo: Repository, line: list[bytes]) -> None:
    with pytest.raises(NotFoundError) as caught:
        empty_repo.resolve("mian")
    assert caught.value.hint == "did you mean 'main'?"


def test_an_unborn_branch(empty_repo: Repository) -> None:
    with pytest.raises(StateError, match="branch 'main' has no commits yet"):
        empty_repo.resolve("HEAD")
    with pytest.raises(NotFoundError):
        empty_repo.resolve("main")


def test_split_key() -> None:
    assert split_key("v1:a/b.jpg") == ("v1", "a/b.jpg")
    assert split_key(":a") == ("HEAD", "a")
    assert split_key("main") == ("main", None)


# -- ranges ---------------------------------------------------------------------------------------


@pytest.fixture
def fork(empty_repo: Repository) -> dict[str, bytes]:
    """`main` has a, b, c; `side` leaves at a with d, e; times rise in the order of letters."""
    made: dict[str, bytes] = {}
    for letter in "abc":
        made[letter] = step(empty_repo, letter)
    switch(empty_repo, Head(None, made["a"]))
    switch_to_new(empty_repo, "side")
    for letter in "de":
        made[letter] = step(empty_repo, letter)
    return made


def letters(repo: Repository, *words: str) -> str:
    found = iter_range(repo.store, read_range(repo.store, words))
    return "".join(commit.message for _, commit in found)


def test_ranges(empty_repo: Repository, fork: dict[str, bytes]) -> None:
    assert letters(empty_repo) == "eda"
    assert letters(empty_repo, "main") == "cba"
    assert letters(empty_repo, "main", "side") == "edcba"
    assert letters(empty_repo, "main..side") == letters(empty_repo, "main..") == "ed"
    assert letters(empty_repo, "side..main") == letters(empty_repo, "..main") == "cb"
    assert letters(empty_repo, "main...side") == "edcb"
    assert letters(empty_repo, "main", "side", "^main~1") == "edc"
    assert letters(empty_repo, "main..main") == ""


def test_a_range_is_read_no_further_than_asked(empty_repo: Repository) -> None:
    for n in range(30):
        step(empty_repo, f"{n}")
    reads: list[bytes] = []
    store = empty_repo.store
    get = store.get

    class Counting:
        def get(self, object_id: bytes, kind: object) -> bytes:
            reads.append(object_id)
            return get(object_id, kind)  # type: ignore[arg-type]

    span = read_range(store, [])
    found = iter_range(Counting(), span)  # type: ignore[arg-type]
    assert [next(found)[1].message for _ in range(3)] == ["29", "28", "27"]
    assert len(reads) < 8


def test_no_parent_before_its_child(empty_repo: Repository, line: list[bytes]) -> None:
    tip = merge(empty_repo, line[3], line[1], message="older than its parents")  # by its clock
    order = [commit for commit, _ in iter_range(empty_repo.store, Range([tip, line[2]]))]
    assert order == [tip, *line[::-1]]


def test_pairs(empty_repo: Repository, fork: dict[str, bytes]) -> None:
    store = empty_repo.store
    assert read_pair(store, ["main", "side"]) == [fork["c"], fork["e"]]
    assert read_pair(store, ["main..side"]) == [fork["c"], fork["e"]]
    assert read_pair(store, ["main...side"]) == [fork["a"], fork["e"]]
    assert read_pair(store, ["main.."]) == [fork["c"], fork["e"]]
    assert read_pair(store, []) == []
    with pytest.raises(UsageError):
        read_pair(store, ["main", "side", "HEAD"])


def test_words_that_name_revisions(empty_repo: Repository, fork: dict[str, bytes]) -> None:
    for word in ("main", "main..side", "..side", "^main", "HEAD~1"):
        assert names_revisions(empty_repo.store, word), word
    for word in ("nothing", "a/b.jpg", "../b.jpg", "..", "main..nothing", "*.jpg", "^"):
        assert not names_revisions(empty_repo.store, word), word


# -- tags -----------------------------------------------------------------------------------------


def test_tags(empty_repo: Repository, line: list[bytes]) -> None:
    found = tags(empty_repo.store)
    assert [(tag.name, tag.commit) for tag in found] == [("v1", line[1]), ("v2", line[2])]
    assert found[0].annotation is None
    assert found[1].annotation is not None
    assert found[1].annotation.message == "second"
    assert [tag.name for tag in tags(empty_repo.store, ["*1", "x"])] == ["v1"]
    create_tag(empty_repo, "v1", line[3], force=True)
    assert empty_repo.resolve("v1") == line[3]


def test_tags_go_all_or_none(empty_repo: Repository, line: list[bytes]) -> None:
    with pytest.raises(NotFoundError, match="no tag 'v9'"):
        delete_tags(empty_repo, ["v1", "v9"])
    assert len(tags(empty_repo.store)) == 2
    assert [tag.name for tag in delete_tags(empty_repo, ["v1", "v2", "v1"])] == ["v1", "v2"]
    assert tags(empty_repo.store) == []


def test_a_commit_is_no_tag(empty_repo: Repository) -> None:
    with pytest.raises(StateError):
        commit(empty_repo, "nothing")

"""The version that the files on disk would make: staging with every tracked file as it is now."""

from __future__ import annotations

from collections.abc import Sequence

from voyager.images import probe
from voyager.repo.dataset import Dataset
from voyager.repo.intake import hash_file
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.repo.scan import FileEntry, SkippedPath
from voyager.repo.snapshot import FILES
from voyager.repo.worktree import changes_in
from voyager.schema import Image, decode_file, decode_sample, encode_file, encode_sample
from voyager.store.operation import GONE
from voyager.wire import blob_ref

_HEAD_BYTES = 256 * 1024


def working_version(
    repo: Repository, *, paths: Sequence[str] | None = None, progress: Progress = no_progress
) -> tuple[Dataset, list[SkippedPath]]:
    """Staging with files as they are on disk, bound ones too, and what could not be read.

    Nothing is stored: the images of edited files can be compared, not read. `paths` narrows the
    look to some keys and folders. Without a working tree it is staging.
    """
    staging = repo.staging
    staged = repo.staged_view(staging)
    if repo.root is None:
        return staged, []
    found = changes_in(repo, staged, paths=paths, progress=progress)
    unread: list[tuple[str, str]] = []
    if repo.follower is not None:
        staged, unread = repo.follower.view(staged)
    overlay = dict(staged.overlay)
    for entry in (*found.modified, *found.mode_changed):
        space = staged.space_of(entry.key)
        if space is not None:
            overlay[space, entry.key.encode()] = _row_on_disk(repo, staged, space, entry)
    for key in found.deleted:
        space = staged.space_of(key)
        if space is not None:
            overlay[space, key.encode()] = GONE
    skipped = [*found.skipped, *(SkippedPath(*one) for one in unread)]
    return Dataset(staged.objects, staging.roots, overlay), skipped


def _row_on_disk(repo: Repository, staged: Dataset, space: str, entry: FileEntry) -> bytes:
    """The row of a key with the bytes that its file has now."""
    row = staged.row(space, entry.key.encode())
    assert row is not None
    path = repo.tree() / entry.key
    blob = blob_ref(entry.blob_id or hash_file(path))
    if space == FILES:
        file = decode_file(row)
        return encode_file(file.replace(blob=blob, bytes=entry.size, executable=entry.executable))
    with open(path, "rb") as source:
        info = probe(source.read(_HEAD_BYTES), entry.key)
    image = Image(blob=blob, bytes=entry.size)
    if info is not None:
        image = image.replace(
            height=info.height or None,
            orientation=info.orientation,
            type=info.type,
            width=info.width or None,
        )
    return encode_sample(decode_sample(row).replace(image=image))

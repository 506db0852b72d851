"""What the commits that a replay makes say, in git's words."""

from __future__ import annotations

from voyager.store.history import Commit

_REVERT, _REAPPLY = 'Revert "', 'Reapply "'
_PICKED = "(cherry picked from commit "


def reverted_message(source: bytes, commit: Commit, parent: bytes | None) -> str:
    """The message of a revert; of the revert of a revert, that it is applied again."""
    subject = commit.subject
    if subject.startswith(_REVERT) and not subject.startswith(_REVERT * 2):
        title = _REAPPLY + subject.removeprefix(_REVERT)
    else:
        title = f'{_REVERT}{subject}"'
    text = f"This reverts commit {source.hex()}"
    if len(commit.parents) > 1 and parent is not None:
        text += f", reversing\nchanges made to {parent.hex()}"
    return f"{title}\n\n{text}."


def picked_message(source: bytes, commit: Commit, *, note_origin: bool) -> str:
    """The message of a commit that is replayed: its own, with `note_origin` and whose it is."""
    message = commit.message.rstrip("\n") or "(no message)"
    if not note_origin:
        return commit.message or message
    last = message.rsplit("\n", 1)[-1]
    gap = "\n" if last.startswith(_PICKED) else "\n\n"
    return f"{message}{gap}{_PICKED}{source.hex()})"

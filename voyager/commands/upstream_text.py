"""How far a branch is from what it follows, as text and as JSON."""

from __future__ import annotations

from voyager.commands.sizes import counted
from voyager.repo.repository import Repository
from voyager.repo.upstream import Upstream, distance, upstream_of


def apart_text(repo: Repository, branch: str, commit: bytes) -> str:
    """`[origin/main: ahead 1, behind 2] `, or nothing for a branch that follows none."""
    upstream = upstream_of(repo, branch)
    if upstream is None:
        return ""
    apart = distance(repo.store, commit, upstream)
    if apart is None:
        return f"[{upstream}: gone] "
    ahead = f"ahead {apart.ahead:,}" if apart.ahead else ""
    behind = f"behind {apart.behind:,}" if apart.behind else ""
    words = ", ".join(word for word in (ahead, behind) if word)
    return f"[{upstream}: {words}] " if words else f"[{upstream}] "


def upstream_json(repo: Repository, commit: bytes | None, upstream: Upstream) -> dict[str, object]:
    """What a branch follows; the numbers are null where that is not there."""
    apart = distance(repo.store, commit or None, upstream)
    return {
        "name": str(upstream),
        "ahead": None if apart is None else apart.ahead,
        "behind": None if apart is None else apart.behind,
    }


def apart_lines(repo: Repository, branch: str, commit: bytes | None) -> list[str]:
    """As git says it below `On branch`; nothing for a branch that follows none."""
    upstream = upstream_of(repo, branch)
    if upstream is None:
        return []
    apart = distance(repo.store, commit, upstream)
    if apart is None:
        return [
            f"Your branch follows '{upstream}', which is gone.",
            '  (use "vgr branch --unset-upstream" to follow nothing)',
        ]
    if apart.ahead and apart.behind:
        return [
            f"Your branch and '{upstream}' have diverged:",
            f"{counted(apart.ahead, 'commit')} here, {apart.behind:,} there.",
            '  (use "vgr pull" to merge them, or "vgr pull --rebase")',
        ]
    if apart.ahead:
        return [
            f"Your branch is ahead of '{upstream}' by {counted(apart.ahead, 'commit')}.",
            '  (use "vgr push" to publish your commits)',
        ]
    if apart.behind:
        return [
            f"Your branch is behind '{upstream}' by {counted(apart.behind, 'commit')}.",
            '  (use "vgr pull" to bring your branch up to date)',
        ]
    return [f"Your branch is up to date with '{upstream}'."]

"""What must be so before the first step: no conflicts, no leak of test images, nothing unsaid."""

from __future__ import annotations

from voyager.errors import StateError
from voyager.repo.conflicts import refuse_conflicts
from voyager.repo.dataset import Dataset
from voyager.repo.guard_check import audit
from voyager.repo.repository import Progress, Repository, no_progress

_NAMED = 3


def refuse_unfit(
    repo: Repository,
    version: Dataset,
    *,
    allow_leak: bool = False,
    allow_unchecked: bool = False,
    allow_dirty: bool = False,
    progress: Progress = no_progress,
) -> list[str]:
    """Raise StateError for a version that must not be trained on; what to warn of else.

    That is a version in conflict; one with copies of protected images in other splits, or with
    images that the guard cannot look at; and one beside which changes are staged, which would not
    be trained on.
    """
    refuse_conflicts(version, "vgr train", flag="")
    warnings = []
    if not allow_dirty and repo.staging.overlay:
        count = len(repo.staging.overlay)
        said = "1 staged change is" if count == 1 else f"{count} staged changes are"
        raise StateError(
            f"{said} in no commit, and would be left out",
            hint="vgr commit, or vgr train --allow-dirty",
        )
    found = audit(repo, version, progress=progress)
    if not found.protected:
        warnings.append("no sample is in a protected split, so that the guard has nothing to guard")
    if found.leaks:
        said = f"{_images(len(found.leaks))} of other splits are copies of protected ones"
        named = ", ".join(f"'{leak.a}' of '{leak.b}'" for leak in found.leaks[:_NAMED])
        if not allow_leak:
            raise StateError(f"{said}: {named}", hint="vgr guard check, or --allow-leak")
        warnings.append(said)
    if found.unchecked:
        said = f"the guard cannot look at {_images(len(found.unchecked))}"
        if not allow_unchecked:
            named = ", ".join(f"'{key}'" for key in found.unchecked[:_NAMED])
            raise StateError(f"{said}: {named}", hint="vgr get, or --allow-unchecked")
        warnings.append(said)
    return warnings


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"

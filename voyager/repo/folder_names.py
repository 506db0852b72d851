"""What the folders on the way to an image say of it: its split, and its class."""

from __future__ import annotations

from dataclasses import dataclass

from voyager.errors import UsageError
from voyager.schema import Label
from voyager.schema.values import BadValueError
from voyager.schema.vocabulary import CATEGORY, Draft, Vocabulary

_SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}


def standard_split(word: str) -> str | None:
    """train, val or test for a spelling of it, None for any other word."""
    return _SPLITS.get(word.strip().lower())


def split_of(key: str) -> str | None:
    """The split that a folder on the way to a key names, the outermost first."""
    for part in key.split("/")[:-1]:
        split = standard_split(part)
        if split is not None:
            return split
    return None


def class_of(key: str) -> str | None:
    """The innermost folder on the way to a key that names no split."""
    parts = reversed(key.split("/")[:-1])
    return next((part for part in parts if standard_split(part) is None), None)


@dataclass(slots=True)
class FolderClasses:
    """Labels by the folders that images lie in; task and classes are made where there are none."""

    draft: Draft
    task: str

    @classmethod
    def of(cls, vocabulary: Vocabulary, task: str) -> FolderClasses:
        """Those of a version. UsageError for a task that has no classes."""
        draft = Draft(vocabulary)
        try:
            draft.define(task, scope="image", kind=CATEGORY)
        except BadValueError as error:
            raise UsageError(str(error), hint=f"vgr task show {task}") from None
        return cls(draft, task)

    def labels(self, key: str) -> tuple[Label, ...]:
        """What a person said by laying an image there; nothing where no folder names a class."""
        name = class_of(key)
        if name is None:
            return ()
        return (Label(task=self.task, node=self.draft.category(self.task, name), source="human"),)

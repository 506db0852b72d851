"""What a merge asks of those who decide conflicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from voyager.schema.conflict import Conflicts, Terms
from voyager.schema.vocabulary import Vocabulary


@dataclass(slots=True)
class Dispute:
    """One row in conflict, for a resolver to decide: it sets `merged` and drops `conflicts`.

    `base` and `sides` are the samples of the versions; of tasks and taxonomies they and `merged`
    are whole vocabularies, of other spaces rows. `standing` says what is in conflict already on
    each side, `joined` which regions became one with which; for two renames `keys` says where each
    side has the sample, and `key` is set to where it goes.
    """

    space: str
    key: bytes
    merged: Any
    conflicts: dict[str, Terms]
    base: Any
    sides: Sequence[Any]
    standing: Sequence[Conflicts] = ()
    joined: Mapping[bytes, bytes] = field(default_factory=dict)
    keys: Sequence[bytes | None] = ()


Resolve = Callable[[Dispute], None]
Resolver = Callable[[Vocabulary], Resolve]
"""Makes what resolves conflicts of versions with a merged vocabulary. With a true attribute
`wants_all` it is asked of every sample that several sides changed, in conflict or not."""

"""Conflicts of a merged vocabulary, put to what resolves conflicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from voyager.merge.dispute import Dispute, Resolve
from voyager.merge.vocabulary import MergedVocabulary
from voyager.schema.conflict import Conflicts
from voyager.schema.vocabulary import Vocabulary
from voyager.schema.vocabulary_rows import node_key, parse_node_key


def decide_vocabulary(
    merged: MergedVocabulary,
    versions: Sequence[Vocabulary],
    standing: Sequence[Mapping[tuple[str, bytes], Conflicts]],
    ask: Resolve,
) -> MergedVocabulary:
    """The vocabulary once `ask` was asked row by row; `versions` are the base and the sides.

    `standing` is what is in conflict in each of them. Roots come last: keys hold their names.
    """
    base, *sides = versions
    now, left = merged.vocabulary, {}
    for at in sorted(merged.conflicts, key=lambda at: (b"/" not in at[1], at)):
        known = [found.get(at, {}) for found in standing[1:]]
        dispute = Dispute(*at, now, dict(merged.conflicts[at]), base, sides, standing=known)
        ask(dispute)
        now, left[at] = dispute.merged, dispute.conflicts
    return MergedVocabulary(now, _under_new_names(left, merged.vocabulary, now))


def _under_new_names(
    conflicts: Mapping[tuple[str, bytes], Conflicts], before: Vocabulary, now: Vocabulary
) -> dict[tuple[str, bytes], Conflicts]:
    """What is left in conflict, with the names that taxonomies have now."""
    minted = {each.minted_as: name for name, each in now.taxonomies.items()}
    names = {name: minted[each.minted_as] for name, each in before.taxonomies.items()}
    found = {}
    for (space, key), terms in conflicts.items():
        at = key
        if space == "taxonomies":
            name, node = parse_node_key(key)
            at = node_key(names.get(name, name), node)
        if terms:
            found[space, at] = terms
    return dict(sorted(found.items()))

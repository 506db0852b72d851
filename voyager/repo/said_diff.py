"""What two lists of labels say differently."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence

from voyager.repo.label_facts import Fact, Relation, Terms
from voyager.schema.label_edit import said_value
from voyager.schema.sample import Label
from voyager.schema.task import Answer

Labels = Sequence[Label]
Pair = tuple[Label | None, Label | None]


def label_facts(old: Labels, new: Labels, terms: Terms, about: Fact) -> Iterator[Fact]:
    """The facts of labels; `about` holds what they have in common: key and region."""
    for task in dict.fromkeys(label.task for label in (*old, *new)):
        was = tuple(label for label in old if label.task == task)
        now = tuple(label for label in new if label.task == task)
        if was == now:
            continue
        if terms.voices and not terms.many(task):
            yield from _answer_facts(task, was, now, terms, about)
            continue
        for before, after in _pairs(was, now, terms):
            yield from _facts(before, after, terms, about)


def _answer_facts(
    task: str, old: tuple[Label, ...], new: tuple[Label, ...], terms: Terms, about: Fact
) -> Iterator[Fact]:
    """The facts of a task with one answer: another answer is a change, whoever gives it.

    It stands for the label whose coming or going made it the answer.
    """
    was, now = terms.before.answer(task, old), terms.after.answer(task, new)
    if was.labels or now.labels:
        about = about._replace(answers=(was.labels, now.labels))
    pairs = list(_pairs(old, new, terms))
    turn = _turn(was, now, pairs, terms)
    if turn is not None:
        yield _about(*turn, about)._replace(kind=_relation(*turn, terms))
    for before, after in pairs:
        if turn is None or not _explained(before, after, turn):
            yield from _facts(before, after, terms, about)


def _turn(was: Answer, now: Answer, pairs: list[Pair], terms: Terms) -> tuple[Label, Label] | None:
    """The labels that answered and answer, where it was no source that changed its own word."""
    if len(was.labels) != 1 or len(now.labels) != 1:
        return None  # there was no answer or is none, or there are several texts
    before, after = was.labels[0], now.labels[0]
    if _relation(before, after, terms) == "same":
        return None
    own = any(one is before and other is after for one, other in pairs)
    return None if own else (before, after)


def _explained(before: Label | None, after: Label | None, turn: tuple[Label, Label]) -> bool:
    """Whether a label only came to be the answer, or went and was it."""
    if before is None:
        return after is turn[1]
    return after is None and before is turn[0]


def _pairs(old: Labels, new: Labels, terms: Terms) -> Iterator[Pair]:
    voice_of = _voice if terms.voices else _task
    if len(old) == len(new) == 1 and voice_of(old[0]) == voice_of(new[0]):  # nearly always
        yield from _paired(old[0].task, old, new, terms)
        return
    for voice in dict.fromkeys(map(voice_of, (*old, *new))):
        was = [label for label in old if voice_of(label) == voice]
        now = [label for label in new if voice_of(label) == voice]
        yield from _paired(voice[0], was, now, terms)


def _voice(label: Label) -> tuple[str, str]:
    return label.task, label.source


def _task(label: Label) -> tuple[str, str]:
    return label.task, ""


def _paired(task: str, old: Labels, new: Labels, terms: Terms) -> Iterator[Pair]:
    """Labels of one source for one task: what it still says, what it says instead, the rest."""
    left, come = list(old), list(new)
    yield from _take(left, come, lambda was, now: said_value(was) == said_value(now))
    if not left or not come:
        pass
    elif terms.many(task):
        yield from _take(
            left, come, lambda was, now: _relation(was, now, terms) in ("refined", "coarsened")
        )
    else:
        yield from _take(left, come, lambda was, now: _slot(was) == _slot(now))
        yield from _take(left, come, lambda _was, _now: True)
    for label in left:
        yield label, None
    for label in come:
        yield None, label


def _take(
    left: list[Label], come: list[Label], fits: Callable[[Label, Label], bool]
) -> Iterator[Pair]:
    """Take out the pairs that fit, the first with the first."""
    for was in left[:]:
        for now in come:
            if fits(was, now):
                left.remove(was)
                come.remove(now)
                yield was, now
                break


def _slot(label: Label) -> Hashable:
    return label.ordinal, label.language


def _relation(was: Label, now: Label, terms: Terms) -> Relation:
    if was.node is None or now.node is None:
        return "same" if said_value(was) == said_value(now) else "changed"
    return terms.relation(was.task, was.node, now.node)


def _about(was: Label | None, now: Label | None, about: Fact) -> Fact:
    label = now or was
    assert label is not None
    return about._replace(
        scope="label", task=label.task, source=label.source, node=label.node, before=was, after=now
    )


def _facts(was: Label | None, now: Label | None, terms: Terms, about: Fact) -> Iterator[Fact]:
    about = _about(was, now, about)
    if was is None or now is None:
        yield about._replace(kind="added" if was is None else "removed")
        return
    relation = _relation(was, now, terms)
    if relation != "same":
        yield about._replace(kind=relation)
    if not terms.voices:
        return
    if was.state != now.state:
        yield about._replace(kind=now.state)
    if was.score != now.score and relation == "same":
        yield about._replace(kind="rescored")
    if (was.ordinal, was.language) != (now.ordinal, now.language) or was.unknown != now.unknown:
        yield about._replace(kind="details")

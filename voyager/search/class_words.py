"""Classes by words: of their names and aliases, and of those of the classes above them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cached_property

from voyager.schema.taxonomy import NodeId, Taxonomy
from voyager.schema.vocabulary import Vocabulary
from voyager.search.lexicon import Lexicon
from voyager.search.text_query import Term
from voyager.search.words import words_of

OWN, ABOVE = 1.0, 0.5
"""What a match of a class is worth beside its grade: of its own name or alias, of one above it."""

Points = Mapping[NodeId, float]

_Words = tuple[str, ...]


class ClassWords:
    """The words of all classes of a vocabulary."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._taxonomies = [each for each in vocabulary.taxonomies.values() if not each.dead]

    def find(self, term: Term) -> Points:
        """The classes that a term means, with their points."""
        points: dict[NodeId, float] = {}
        for node, grade in self._named(term).items():
            taxonomy = self._home[node]
            _raise(points, node, grade + OWN)
            for below in taxonomy.below(node):
                _raise(points, below, grade + ABOVE)
        for dead, node in self._merged:
            if node in points:
                points[dead] = points[node]
        return points

    def _named(self, term: Term) -> dict[NodeId, float]:
        """The classes whose own name, alias or end of path has the term."""
        grades: dict[NodeId, float] = {}
        last = len(term.words) - 1
        for number in self._near(term):
            grade = term.grade_of(last, self._lexicon[number].decode())
            for node in self._by_word[number] if grade else ():
                found = grade
                if last:
                    found = max(map(term.grade, self._texts[node]))
                if found:
                    _raise(grades, node, found)
        return grades

    def _near(self, term: Term) -> set[int]:
        """The words that may be the last one of a term."""
        lexicon, word = self._lexicon, term.words[-1]
        numbers = set(lexicon.forms(word))
        exact = lexicon.find(word)
        if exact is not None:
            numbers.add(exact)
        if term.is_prefix:
            numbers.update(lexicon.beginning(word))
        if term.with_typos:
            numbers.update(number for number, _ in lexicon.misspelled(word))
        return numbers

    @cached_property
    def _texts(self) -> dict[NodeId, list[_Words]]:
        """The texts of each class: its path, name and aliases, each as words and in one word."""
        return {
            node: list(dict.fromkeys(_texts_of(taxonomy, node)))
            for taxonomy in self._taxonomies
            for node in taxonomy
        }

    @cached_property
    def _home(self) -> dict[NodeId, Taxonomy]:
        return {node: taxonomy for taxonomy in self._taxonomies for node in taxonomy}

    @cached_property
    def _merged(self) -> list[tuple[NodeId, NodeId]]:
        """(class that was merged away, class that it is now)."""
        found = []
        for taxonomy in self._taxonomies:
            for key, node in taxonomy.nodes.items():
                live = taxonomy.live(key) if node.dead else None
                if live is not None:
                    found.append((key, live))
        return found

    @cached_property
    def _own_words(self) -> dict[str, list[NodeId]]:
        found: defaultdict[str, list[NodeId]] = defaultdict(list)
        for node, texts in self._texts.items():
            for word in {word for text in texts[1:] for word in text}:
                found[word].append(node)
        return dict(sorted(found.items(), key=lambda item: item[0].encode()))

    @cached_property
    def _lexicon(self) -> Lexicon:
        return Lexicon.of(word.encode() for word in self._own_words)

    @cached_property
    def _by_word(self) -> list[list[NodeId]]:
        return list(self._own_words.values())


def _texts_of(taxonomy: Taxonomy, node: NodeId) -> Iterator[_Words]:
    yield (" ", *(word for name in taxonomy.names_of(node) for word in words_of(name)))
    for text in (taxonomy.nodes[node].name, *taxonomy.nodes[node].aliases):
        words = words_of(text)
        yield words
        if len(words) > 1:
            yield ("".join(words),)


def _raise(points: dict[NodeId, float], node: NodeId, value: float) -> None:
    points[node] = max(points.get(node, 0.0), value)

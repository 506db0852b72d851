"""The tests that every format passes; one proves itself by a subclass of `FormatSuite`.

    class TestMine(FormatSuite):
        form = FORMAT
        limits = Limits(inverted=False)

What is written of a version comes back as `project` says it does; twice the same; damaged files are
refused in words. It needs pytest and hypothesis, as the `dev` extra has them.
"""

from __future__ import annotations

import random
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voyager.errors import InvalidDataError, UsageError
from voyager.formats import registry
from voyager.formats.base import Format, Item, Source, clean_name, is_image_name
from voyager.formats.collecting import Collected, collect, write_version
from voyager.formats.difference import difference
from voyager.formats.projection import Projection
from voyager.formats.random_versions import versions
from voyager.formats.reading import ReadOptions
from voyager.formats.torture import Limits, torture_version
from voyager.formats.writing import WriteOptions, Writing
from voyager.repo.dataset import Dataset
from voyager.schema import Label, Region, Sample
from voyager.store.ids import Kind
from voyager.store.objects import ObjectReader

_MARGIN = 0.1  # by which detection must be surer than that of any other format


class FormatSuite:
    """Subclass it as `Test…` and set `form`; the rest says where a format is special."""

    form: ClassVar[Format]
    limits: ClassVar[Limits] = Limits()
    write_options: ClassVar[WriteOptions] = WriteOptions()
    read_options: ClassVar[ReadOptions] = ReadOptions()
    examples: ClassVar[int] = 15
    mutations: ClassVar[int] = 30
    lenient: ClassVar[bool] = False
    """Whether the reader reports something lost or guessed of an export, for a good reason."""
    not_text: ClassVar[tuple[str, ...]] = ()
    """Globs of label files whose bytes are not to be given a BOM or other line ends."""

    def version(self) -> Dataset:
        """The version with the traps."""
        return torture_version(self.form.holds, self.limits)

    def versions(self) -> st.SearchStrategy[Dataset]:
        """Random versions."""
        return versions(self.form.holds, self.limits)

    def expected(self, key: str, sample: Sample) -> Sample:
        """A projected sample as this format brings it back, where `project` cannot know it."""
        return sample

    def source(self, folder: Path) -> Path:
        """What is imported of an export: its one file where that holds it all, else the folder."""
        files = [path for path in folder.iterdir() if path.is_file()]
        labels = [path for path in files if not is_image_name(path.name)]
        return labels[0] if self.form.one_file and len(labels) == 1 else folder

    # -- the laws --------------------------------------------------------------------------------

    def test_what_is_written_comes_back(self) -> None:
        """read(write(v)) is project(v), over the version with every trap."""
        self._check_round_trip(self.version())

    def test_random_versions_come_back(self) -> None:
        """The same over random versions."""

        @settings(
            max_examples=self.examples,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
            derandomize=True,
        )
        @given(self.versions())
        def check(version: Dataset) -> None:
            self._check_round_trip(version)

        check()

    def test_writing_is_deterministic(self) -> None:
        """The same version gives the same files, byte for byte."""
        version = self.version()
        with self._written(version) as (one, _), self._written(version) as (other, _):
            assert _contents(one) == _contents(other)

    def test_reading_is_deterministic(self) -> None:
        """The same files give the same items, in the same order."""
        with self._written(self.version()) as (folder, _):
            one, other = self._read(folder), self._read(folder)
            assert _comparable(one.items) == _comparable(other.items)

    def test_item_names_and_files(self) -> None:
        """Each item has a name of its own below the source, and its file is the image."""
        version = self.version()
        with self._written(version) as (folder, writing):
            items = self._read(folder).items
            names = [item.name for item in items]
            assert len(set(names)) == len(names)
            for item in items:
                assert clean_name(item.name) == item.name
                blob = version[writing.names.get(item.name, item.name)].image.blob_id
                if item.file is not None and blob is not None:
                    assert item.file.read_bytes() == version.objects.get(blob, Kind.BLOB)

    def test_everything_is_said_by_the_source(self) -> None:
        """Regions and labels that come in have the source of the import."""
        if self.form.holds.sources or self.form.holds.whole:
            return
        with self._written(self.version()) as (folder, _):
            for item in self._read(folder).items:
                regions = item.sample.regions
                said: list[Label | Region] = [*item.sample.labels, *regions]
                said += [label for region in regions for label in region.labels]
                assert {voice.source for voice in said} <= {self.read_options.source}

    def test_nothing_is_lost_or_guessed(self) -> None:
        """Writing what the format holds, and reading it, reports no loss and no guess."""
        if self.lenient:
            return
        with self._written(self.version()) as (folder, writing):
            report = self._read(folder).report
            for found in (writing.report, report):
                told = [entry for entry in found if entry[0] in ("lost", "guessed")]
                assert not [one for one in told if "not here" not in one[1]]

    def test_detection_knows_its_own(self) -> None:
        """An export is taken for this format, and for no other as likely."""
        with self._written(self.version()) as (folder, _):
            found = registry.detections(Source(self.source(folder)))
            assert found
            assert found[0][0].name == self.form.name, found
            assert found[0][1].why
            if len(found) > 1:
                assert found[0][1].certainty - found[1][1].certainty >= _MARGIN, found

    def test_detection_of_nothing(self) -> None:
        """An empty folder and an empty file are of no format."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            assert self.form.detect(Source(folder)) is None
            for file in ("empty.json", "empty.txt", "empty.xml", "empty.csv"):
                (folder / file).write_bytes(b"")
                assert self.form.detect(Source(folder / file)) is None

    def test_bom_and_line_ends(self) -> None:
        """A byte order mark and the line ends of Windows change nothing."""
        with self._written(self.version()) as (folder, _):
            plain = _comparable(self._read(folder).items)
            for path in self._label_files(folder):
                if not any(path.match(pattern) for pattern in self.not_text):
                    path.write_bytes(_as_windows(path.read_bytes()))
            assert _comparable(self._read(folder).items) == plain

    def test_damaged_files_are_refused_in_words(self) -> None:
        """Truncated and mutated files are read, or refused by an error that names the file."""
        with self._written(self.version()) as (folder, _):
            files = self._label_files(folder)
            for seed in range(self.mutations):
                rng = random.Random(seed)
                path = rng.choice(files)
                whole = path.read_bytes()
                path.write_bytes(mutated(whole, rng))
                self._check_refusal(folder, f"{path.name}, mutation {seed}")
                path.write_bytes(whole)

    def test_missing_files_are_refused_in_words(self) -> None:
        """A label file that is not there is missed in words, or not at all."""
        with self._written(self.version()) as (folder, _):
            for path in self._label_files(folder)[:20]:
                if path == self.source(folder):
                    continue
                whole = path.read_bytes()
                path.unlink()
                self._check_refusal(folder, f"{path.name} is gone")
                path.write_bytes(whole)

    # -- how -------------------------------------------------------------------------------------

    def _check_round_trip(self, version: Dataset) -> None:
        with self._written(version) as (folder, writing):
            read = self._read(folder)
            wanted = self._projected(version)
            found = self._found(read, writing)
            assert sorted(found) == sorted(wanted)
            for key, sample in wanted.items():
                words = difference(sample, found[key], self.form.holds.quantum)
                assert words is None, f"{key}: {words}"

    def _projected(self, version: Dataset) -> dict[str, Sample]:
        projection = self._projection(version, version.objects)
        return {
            key: self.expected(key, projection.project(sample))
            for key, sample in version.items()
            if projection.keeps(sample)
        }

    def _found(self, read: Collected, writing: Writing) -> dict[str, Sample]:
        projection = Projection(
            self.form.holds, read.vocabulary, writing.task, _loader(read.objects)
        )
        return {
            writing.names.get(item.name, item.name): projection.project(item.sample)
            for item in read.items
        }

    def _projection(self, version: Dataset, objects: ObjectReader) -> Projection:
        task = self.write_options.task or "category"
        return Projection(self.form.holds, version.vocabulary, task, _loader(objects))

    @contextmanager
    def _written(self, version: Dataset) -> Iterator[tuple[Path, Writing]]:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "export"
            yield folder, write_version(self.form, version, folder, self.write_options)

    def _read(self, folder: Path) -> Collected:
        return collect(self.form, self.source(folder), self.read_options)

    def _label_files(self, folder: Path) -> list[Path]:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return [path for path in files if not is_image_name(path.name)] or files

    def _check_refusal(self, folder: Path, what: str) -> None:
        try:
            self._read(folder)
        except InvalidDataError as error:
            assert error.path, f"{what}: the error names no file: {error.message}"
        except UsageError:
            pass
        except Exception as error:
            raise AssertionError(f"{what}: {error!r}") from error


def _loader(objects: ObjectReader) -> Callable[[bytes], bytes]:
    return lambda blob: objects.get(blob, Kind.BLOB)


def _contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def _comparable(items: list[Item]) -> list[tuple[str, Any]]:
    return [(item.name, item.sample) for item in items]


def _as_windows(data: bytes) -> bytes:
    """A text file as Windows writes it; another file as it is."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return data
    return b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n")


_ODD = (
    *(b"NaN", b"Infinity", b"-1", b"1e999", b"99999999999999999999", b"0", b"-0.0", b"1,5"),
    *(b"null", b"true", b"{}", b"[]", b'""', b'"x"', b"\x00", b"\xff\xfe", b"../x", b"/etc/x"),
    *(b"<", b">", b"&x;", b",", b"\n", b" ", b'"', b"[[[[", b"\xc3"),
)


def mutated(data: bytes, rng: random.Random) -> bytes:
    """A damaged copy of a file: cut short, a stretch gone or doubled, a token or bytes replaced."""
    at, to = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
    short = min(to, at + rng.randrange(1, 40))
    match rng.randrange(7):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + data[short:]
        case 2:
            return data[:short] + data[at:short] + data[short:]
        case 3:
            return data[:at] + rng.choice(_ODD) + data[short:]
        case 4:
            return data[:at] + rng.randbytes(1) + data[at + 1 :]
        case _:
            return _with_token(data, rng)


def _with_token(data: bytes, rng: random.Random) -> bytes:
    """A copy with one word or number replaced by an odd one, or by another of the file."""
    tokens = list(re.finditer(rb"[\w.+-]+", data[: 1 << 20]))
    if not tokens:
        return rng.choice(_ODD)
    token = rng.choice(tokens)
    words = (rng.choice(_ODD), rng.choice(tokens)[0])
    return data[: token.start()] + rng.choice(words) + data[token.end() :]

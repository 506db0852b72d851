"""The rows of a CSV, TSV or Parquet file: text encoding, delimiter, where a row stands."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from voyager.errors import InvalidDataError, MissingExtraError
from voyager.formats.report import Report

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "space": " "}
SUFFIXES = (".csv", ".tsv", ".tab", ".parquet")

_CHUNK = 1 << 20
_LONGEST_CELL = 1 << 28
_MOST_SAMPLED = 64 * 1024
_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)

Cells = list[Any]
"""The cells of a row: texts, or what a Parquet file has; None and "" are empty."""


def open_table(
    path: Path, shown: str, delimiter: str, report: Report | None = None
) -> TextTable | ParquetTable:
    """The table in a file, by its extension."""
    if path.suffix.lower() == ".parquet":
        return ParquetTable(path, shown)
    encoding = _encoding_of(path, shown, report)
    return TextTable(path, shown, encoding, delimiter or sniff(path, encoding))


def _encoding_of(path: Path, shown: str, report: Report | None) -> str:
    """UTF-8 with or without BOM, UTF-16 with one, else Latin-1 (reported)."""
    with open(path, "rb") as file:
        head = file.read(4)
        for mark, encoding in _MARKS:
            if head.startswith(mark):
                return encoding
        decoder = codecs.getincrementaldecoder("utf-8")()
        file.seek(0)
        try:
            while chunk := file.read(_CHUNK):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            if report is not None:
                report.add("guessed", "text is not UTF-8 and was read as Latin-1", shown)
            return "latin-1"
    return "utf-8"


def sniff(path: Path, encoding: str = "utf-8") -> str:
    """The delimiter that cuts the first rows into most cells, evenly."""
    with open(path, "rb") as file:
        head = file.read(_MOST_SAMPLED)
    text = head.decode(encoding, errors="replace")
    if len(head) == _MOST_SAMPLED:
        text = text[: text.rfind("\n") + 1] or text
    if path.suffix.lower() in (".tsv", ".tab"):
        return "\t"
    return max(",;\t|", key=lambda delimiter: _evenness(text, delimiter))


def _evenness(text: str, delimiter: str) -> tuple[float, int]:
    """(share of rows that have as many cells as the first, how many): of one cell it is nothing."""
    try:
        rows = [
            row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row
        ]
    except csv.Error:
        return (0.0, 0)
    width = len(rows[0]) if rows else 0
    if width < 2:
        return (0.0, 0)
    return (sum(len(row) == width for row in rows) / len(rows), width)


@dataclass(frozen=True, slots=True)
class TextTable:
    """CSV or TSV."""

    path: Path
    shown: str
    encoding: str
    delimiter: str
    typed: bool = False

    def rows(self) -> Iterator[tuple[int, Cells]]:
        """(line, cells) of each row that is not blank."""
        csv.field_size_limit(_LONGEST_CELL)
        with open(self.path, encoding=self.encoding, newline="") as file:
            reader = csv.reader(file, delimiter=self.delimiter, strict=True)
            line = 1
            try:
                for cells in reader:
                    if cells:
                        yield line, cells
                    line = reader.line_num + 1
            except csv.Error as error:
                raise InvalidDataError(f"not CSV: {error}", path=self.shown, line=line) from None
            except UnicodeError as error:
                raise InvalidDataError(
                    f"not {self.encoding}: {error}", path=self.shown, line=line
                ) from None


@dataclass(frozen=True, slots=True)
class ParquetTable:
    """Parquet; its first row is the names of the columns."""

    path: Path
    shown: str
    typed: bool = True

    def rows(self) -> Iterator[tuple[int, Cells]]:
        """(number, cells) of each row."""
        parquet = needs_parquet()
        import pyarrow as pa

        try:
            with parquet.ParquetFile(self.path) as file:
                names = file.schema_arrow.names
                yield 1, list(names)
                number = 1
                for batch in file.iter_batches(batch_size=4096):
                    columns = [column.to_pylist() for column in batch.columns]
                    for cells in zip(*columns, strict=True):
                        number += 1
                        yield number, list(cells)
        except (pa.ArrowException, OSError, ValueError) as error:
            words = str(error).splitlines()[0] if str(error) else "damaged"
            raise InvalidDataError(f"not Parquet: {words}", path=self.shown) from None


def needs_parquet() -> Any:
    """pyarrow.parquet; MissingExtraError where it is not installed."""
    try:
        from pyarrow import parquet
    except ImportError:
        raise MissingExtraError(
            "Parquet needs pyarrow, which is not installed", hint="pip install 'voyager-vgr[sql]'"
        ) from None
    return parquet


Table: TypeAlias = TextTable | ParquetTable
"""A file of rows that can be walked again."""

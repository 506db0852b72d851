"""JSON read in windows: whatever the window, the elements are those of `json.loads`."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from voyager.errors import InvalidDataError
from voyager.formats.json_stream import Value, stream

WINDOWS = (1, 7, 64, 100, 1 << 20)

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8"), max_size=12)
    | st.sampled_from(['"}, {"', "}, {", "\\", '"', "[{", "]", "\u2028"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)
objects = st.dictionaries(st.text(max_size=6), values, max_size=4)
documents = st.dictionaries(
    st.text(max_size=8), st.lists(objects, max_size=12) | values, max_size=5
) | st.lists(objects, max_size=15)


def read(path: Path, window: int) -> Any:
    """The document put together again from its windows."""
    found: dict[str, Any] = {}
    for part in stream(path, window):
        if isinstance(part, Value):
            assert part.name not in found
            found[part.name] = part.value
            continue
        rows = found.setdefault(part.name, [])
        assert part.first == len(rows)
        assert part.elements
        elements = [json.loads(bytes(element)) for element in part.elements]
        if part.data is not None:
            assert json.loads(part.data) == elements
        rows += elements
    return found


def as_read(document: Any) -> Any:
    return {"": document} if isinstance(document, list) else document


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@example({"a": [{}, None, 12, True]}, None, (",", ":"), False)
@given(
    documents,
    st.sampled_from([None, 1]),
    st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", " :\t")]),
    st.booleans(),
)
def test_windows_of_any_size(
    tmp_path: Path, document: Any, indent: int | None, separators: tuple[str, str], ascii: bool
) -> None:
    path = tmp_path / "x.json"
    text = json.dumps(document, indent=indent, separators=separators, ensure_ascii=ascii)
    path.write_text(text, encoding="utf-8")
    for window in WINDOWS:
        assert read(path, window) == as_read(json.loads(text))


def rows(count: int, **fields: Any) -> list[dict[str, Any]]:
    return [
        {"id": n, "bbox": [n, 1.5, 2, 3], "text": "}, {" * (n % 3), **fields} for n in range(count)
    ]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("order", ["iac", "cai", "aci"])
def test_arrays_in_any_order(tmp_path: Path, window: int, order: str) -> None:
    tables = {
        "i": ("images", rows(3)),
        "a": ("annotations", rows(150)),
        "c": ("categories", rows(2)),
    }
    document: dict[str, Any] = dict(map(tables.__getitem__, order))
    document["info"] = {"year": 2017}
    path = tmp_path / "x.json"
    path.write_text(json.dumps(document))
    assert read(path, window) == document


@pytest.mark.parametrize("window", WINDOWS)
def test_what_msgspec_does_not_read(tmp_path: Path, window: int) -> None:
    path = tmp_path / "x.json"
    text = json.dumps(
        {
            "a": [{"x": float("nan")}, {"x": float("inf"), "y": 2}, {"x": 10**400}],
            "b": float("-inf"),
        }
    )
    path.write_text(text)
    found = read(path, window)
    assert math.isnan(found["a"][0]["x"])
    assert found["a"][1:] == [{"x": math.inf, "y": 2}, {"x": 10**400}]
    assert found["b"] == -math.inf


def test_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b"\xef\xbb\xbf \n" + json.dumps({"a": rows(3)}).encode())
    assert read(path, 64) == {"a": rows(3)}
    path.write_bytes(json.dumps({"a": 1}).encode("utf-16"))
    with pytest.raises(InvalidDataError, match="save it as UTF-8"):
        read(path, 64)


@pytest.mark.parametrize("window", [1, 16, 1 << 20])
def test_cut_anywhere_it_is_refused(tmp_path: Path, window: int) -> None:
    whole = json.dumps({"a": rows(4), "b": {"c": [1, 'x\\"']}, "d": [1, 2]}).encode()
    path = tmp_path / "x.json"
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(InvalidDataError, match="byte") as caught:
            read(path, window)
        assert caught.value.path


def test_changed_anywhere_it_is_read_or_refused(tmp_path: Path) -> None:
    whole = json.dumps({"a": rows(3), "b": [1, {"c": 'x\\"'}]}).encode()
    path = tmp_path / "x.json"
    for place in range(len(whole)):
        for byte in b'"{]:\\\xff9':
            path.write_bytes(whole[:place] + bytes([byte]) + whole[place + 1 :])
            outcomes = {_outcome(path, window) for window in (32, 1 << 20)}
            assert outcomes <= {"read", "refused"}
            if _is_json(path):
                assert outcomes == {"read"}


def _outcome(path: Path, window: int) -> str:
    try:
        for part in stream(path, window):
            if not isinstance(part, Value):
                for element in part.elements:
                    json.loads(bytes(element))
    except InvalidDataError:
        return "refused"
    except ValueError:
        return "refused"  # by whoever decodes the element
    return "read"


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3",
        '"x"',
        "nul",
        "{}{}",
        "[1] 2",
        '{"a" 1}',
        "{'a': 1}",
        '{"a": [{}, ]}',
        '{"a": [{} {}]}',
        "[" * 100_000,
    ],
)
def test_what_is_no_document(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    for window in WINDOWS:
        with pytest.raises(InvalidDataError):
            for part in stream(path, window):
                for element in () if isinstance(part, Value) else part.elements:
                    json.loads(bytes(element))


def test_memory_stays_near_the_window(tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "x.json"
    path.write_text(json.dumps({"a": rows(60_000)}))
    assert path.stat().st_size > 3_000_000
    tracemalloc.start()
    count = sum(0 if isinstance(p, Value) else len(p.elements) for p in stream(path, 1 << 16))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 60_000
    assert peak < 1_500_000

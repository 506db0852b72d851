"""Passes over images: what is computed, kept, read back and let go."""

from __future__ import annotations

import io
import math
import random
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from derived_images import by_id, encoded, forbidden, photos, picture, reader
from PIL import Image

from voyager.derived import headers, renditions, statistics, thumbnails
from voyager.derived.cache import DerivedCache
from voyager.derived.picture import Picture
from voyager.derived.registry import METHODS, Method, method_of, rendition, run
from voyager.errors import StateError
from voyager.store import files
from voyager.store.ids import blob_id

SMALL = rendition(64)
STATISTICS, THUMBNAIL = METHODS["statistics"], METHODS["thumbnail"]
ALL = [*METHODS.values(), SMALL, method_of("rendition-256-q95")]


def fill(folder: Path, images: dict[bytes, bytes], methods: Sequence[Method]) -> int:
    return DerivedCache(folder).fill(methods, images, reader(images)).computed


def tiny_images(count: int, start: int = 0) -> dict[bytes, bytes]:
    shades = (np.full((4, 4, 3), (n % 256, n // 256, 7), np.uint8) for n in range(start, count))
    return by_id(encoded(Image.fromarray(one), "PNG") for one in shades)


def _fails(picture: Picture) -> bytes:
    raise AssertionError("computed again")


# --- what is computed ---


def test_only_images_that_are_new_are_read_and_computed(tmp_path: Path) -> None:
    methods = [METHODS["phash"], STATISTICS]
    images = tiny_images(3000)
    old = dict(list(images.items())[:2000])
    assert fill(tmp_path, old, methods) == 2000
    asked: list[bytes] = []

    def read(ids: Sequence[bytes]) -> Iterable[tuple[bytes, bytes | None]]:
        asked.extend(ids)
        return reader(images)(ids)

    done = DerivedCache(tmp_path).fill(methods, images, read)
    assert done.computed == 1000
    assert asked == list(images)[2000:]
    assert DerivedCache(tmp_path).fill(methods, images, forbidden).computed == 0


def test_a_method_that_has_its_values_is_not_run_for_the_sake_of_another(tmp_path: Path) -> None:
    images = photos(5)
    fill(tmp_path, images, [THUMBNAIL])
    failing = replace(THUMBNAIL, prepare=_fails)
    assert fill(tmp_path, images, [failing, STATISTICS]) == 5


def test_values_do_not_depend_on_what_else_is_asked() -> None:
    data = list(photos(6).values())
    rng = random.Random(5)
    alone = {method.name: run([method], data)[0] for method in ALL}
    for _ in range(6):
        some = rng.sample(ALL, rng.randint(2, len(ALL)))
        found = run(some, data)
        assert found == [alone[method.name] for method in some]


def test_any_executor_computes_the_same(tmp_path: Path) -> None:
    images = {**photos(40), blob_id(b"no image"): b"no image"}
    expected = {name: {} for name in ("phash", "thumbnail", SMALL.name)}
    methods = [method_of("phash"), THUMBNAIL, SMALL]
    for method in methods:
        values = method(list(images), list(images.values()))
        expected[method.name] = {
            key: one for key, one in zip(images, values, strict=True) if one is not None
        }
    pools = (ProcessPoolExecutor(2, get_context("spawn")), ThreadPoolExecutor(3))
    for number, pool in enumerate(pools):
        with pool:
            cache = DerivedCache(tmp_path / str(number))
            found = cache.compute_all(methods, images, reader(images), executor=pool)
        assert {name: values.as_dict() for name, values in found.items()} == expected
        assert found["phash"].failed == [blob_id(b"no image")]


FORKED = """
import os, signal, sys, threading
from voyager.derived import computing
from voyager.derived.registry import METHODS, run
from voyager.samples import photo_paths

computing.cores = lambda most: 2
images = [path.read_bytes() for path in photo_paths()[:8]]
methods = [METHODS["pixels"], METHODS["thumbnail"]]
ids = [bytes([n // 256, n % 256]) for n in range(computing._WORTH_FORKING)]
helping, found = set(), {}

def read(ids):
    for number, one in enumerate(ids):
        yield one, images[number % len(images)]

def take(ids, values):
    helping.update(threading.enumerate()[1:])
    found.update(zip(ids, zip(*values)))
    if sys.argv[1:] == ["kill"]:
        import multiprocessing
        for child in multiprocessing.active_children():
            os.kill(child.pid, signal.SIGKILL)

for _ in computing.iter_computed(methods, ids, read, take):
    pass
expected = list(zip(*run(methods, images)))
assert [found[one] for one in ids] == [expected[n % len(images)] for n in range(len(ids))]
assert not any(thread.name.startswith("derive") for thread in helping)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux alone")
def test_a_large_pass_is_shared_among_processes() -> None:
    subprocess.run([sys.executable, "-c", FORKED], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux alone")
def test_a_helping_process_that_is_killed_is_a_fault_of_the_system() -> None:
    command = [sys.executable, "-c", FORKED, "kill"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.endswith("OSError: [Errno 5] a helping process was killed\n")


def test_what_cannot_be_decoded_or_is_not_here_is_listed(tmp_path: Path) -> None:
    good, absent = photos(3), b"a" * 32
    images = {**good, blob_id(b"bad"): b"bad"}
    done = DerivedCache(tmp_path).fill([THUMBNAIL, STATISTICS], [*images, absent], reader(images))
    assert done.computed == 4
    assert done.failed == {"thumbnail": [blob_id(b"bad")], "statistics": [blob_id(b"bad")]}
    assert done.missing == [absent]


# --- crops ---


@pytest.mark.parametrize("orientation", [1, 3, 6, 7])
def test_a_crop_is_derived_as_the_image_of_it(orientation: int) -> None:
    image = picture(next(iter(photos().values()))).resize((90, 70))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = encoded(image, "PNG", exif=exif)
    box = (10, 20, 70, 55)
    alone = encoded(image.crop(box), "PNG", exif=exif)
    whole = Picture(stored)
    crops = [whole.crop(box), whole.crop((0, 0, 90, 70)), Picture(stored, box)]
    for name in ("pixels", "phash", "statistics", "thumbnail"):
        cropped, entire, single = METHODS[name]([b""] * 3, crops)
        assert cropped == single == METHODS[name]([b""], [alone])[0], name
        assert entire == METHODS[name]([b""], [stored])[0], name


# --- the values ---


def test_a_header_is_numbers() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = [encoded(Image.new("RGB", (30, 20)), "JPEG", exif=exif), *photos(1).values()]
    data.append(data[1][:3000])
    values = METHODS["probe"]([b""] * 3, data)
    rows = headers.table(np.frombuffer(b"".join(filter(None, values)), np.uint8).reshape(3, -1))
    assert rows[0].tolist() == (30, 20, headers.TYPES.index("jpeg"), 6, 1)
    assert rows["sound"].tolist() == [1, 1, 0]
    assert METHODS["probe"]([b""], [b"no image"]) == [None]


def statistics_of(data: bytes) -> dict[str, float]:
    (value,) = STATISTICS([b""], [data])
    assert value is not None
    row = statistics.table(np.frombuffer(value, np.uint8)[None])[0]
    return {name: float(row[name]) for name in statistics.FIELDS.names or ()}


def test_statistics_of_drawn_images() -> None:
    plain = statistics_of(encoded(Image.new("RGB", (80, 40), (51, 51, 51)), "PNG"))
    assert plain == {
        "brightness": pytest.approx(0.2),
        "contrast": 0,
        "sharpness": 0,
        "colourfulness": 0,
        "entropy": 0,
        "aspect": 2,
    }
    halves = np.zeros((64, 64, 3), np.uint8)
    halves[:, 32:] = 255
    found = statistics_of(encoded(Image.fromarray(halves), "PNG"))
    assert found["brightness"] == found["contrast"] == 0.5
    assert found["entropy"] == 1
    assert found["sharpness"] == pytest.approx(2 * 255**2 / 62)
    red = statistics_of(encoded(Image.new("RGB", (9, 9), (255, 0, 0)), "PNG"))
    assert red["colourfulness"] == pytest.approx(0.3 * math.hypot(255, 127.5))
    assert statistics_of(encoded(Image.new("L", (2, 1)), "PNG"))["sharpness"] == 0


def test_statistics_tell_photographs_apart_as_people_do() -> None:
    from PIL import ImageEnhance, ImageFilter

    for data in photos(12).values():
        image = picture(data)
        found = statistics_of(data)
        blurred = statistics_of(encoded(image.filter(ImageFilter.GaussianBlur(2))))
        grey = statistics_of(encoded(image.convert("L")))
        dark = statistics_of(encoded(ImageEnhance.Brightness(image).enhance(0.5)))
        assert blurred["sharpness"] < found["sharpness"] / 2
        assert grey["colourfulness"] < 1 < found["colourfulness"]
        assert dark["brightness"] < 0.6 * found["brightness"]


def test_a_thumbnail_is_a_small_upright_jpeg() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = picture(next(iter(photos().values()))).resize((600, 300))
    values = THUMBNAIL([b""] * 2, [encoded(image, exif=exif), encoded(image.resize((40, 20)))])
    sizes = [Image.open(io.BytesIO(one or b"")).size for one in values]
    assert sizes == [(64, 128), (40, 20)]
    assert {len(one or b"") < 8000 for one in values} == {True}
    assert thumbnails.SIDE == 128


@pytest.mark.parametrize(("quality", "least"), [(90, 36), (95, 38)])
def test_renditions_keep_the_pixels_of_a_resize(quality: int, least: float) -> None:
    for data in list(photos().values())[::9]:
        image = picture(data)
        for side in renditions.SIDES:
            (value,) = rendition(side, quality)([b""], [data])
            made = picture(value or b"")
            scale = min(1.0, side / min(image.size))
            assert made.size == tuple(round(length * scale) for length in image.size)
            resized = image.resize(made.size, Image.Resampling.BILINEAR)
            off = np.asarray(made, np.float64) - np.asarray(resized, np.float64)
            assert 10 * math.log10(255**2 / (off * off).mean()) >= least


def test_a_rendition_is_upright_rgb_and_never_enlarged() -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    clear = Image.new("RGBA", (120, 600), (9, 9, 9, 0))
    (value,) = SMALL([b""], [encoded(clear, "PNG", exif=exif)])
    made = Image.open(io.BytesIO(value or b""))
    assert (made.size, made.mode) == ((320, 64), "RGB")
    assert made.getpixel((5, 5)) == (255, 255, 255)
    (value,) = rendition(512)([b""], [encoded(clear, "PNG")])
    assert Image.open(io.BytesIO(value or b"")).size == (120, 600)


# --- reading one by one ---


def test_a_reader_gives_single_values(tmp_path: Path) -> None:
    images = {**photos(30), blob_id(b"bad"): b"bad"}
    cache = DerivedCache(tmp_path)
    expected = cache.compute(SMALL, images, reader(images)).as_dict()
    again = DerivedCache(tmp_path)
    with again.open_reader(SMALL) as values:
        ids = list(images)[::-1]
        places = values.places([*ids, b"u" * 32])
        assert places[-1] == -1
        assert [values.value(at) for at in places[:-1].tolist()] == [expected.get(i) for i in ids]
        again.drop()  # what is open stays readable
        assert values.get(ids[-1]) == expected[ids[-1]]
        assert values.get(blob_id(b"bad")) is None
        assert values.get(b"u" * 32) is None
    with DerivedCache(tmp_path).open_reader(STATISTICS) as nothing:
        assert nothing.get(ids[0]) is None


def test_one_damaged_value_costs_that_one_alone(tmp_path: Path) -> None:
    images = photos(20)
    expected = DerivedCache(tmp_path).compute(SMALL, images, reader(images)).as_dict()
    path = tmp_path / "rendition-64-1"
    content = bytearray(path.read_bytes())
    content[content.index(expected[list(images)[7]]) + 100] ^= 1
    path.write_bytes(content)
    cache = DerivedCache(tmp_path)
    with cache.open_reader(SMALL) as values:
        assert [values.get(one) == expected[one] for one in images].count(False) == 1
        assert values.get(list(images)[7]) is None
    known = cache.known(SMALL, images)
    assert known.missing == [list(images)[7]]
    assert cache.compute(SMALL, images, reader(images)).as_dict() == expected
    assert DerivedCache(tmp_path).compute(SMALL, images, forbidden).as_dict() == expected


# --- room ---


def test_a_full_disk_stops_a_pass_that_is_there_to_keep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = photos(4)

    def full(step: str, where: object, half: files.Half | None) -> None:
        if step == "write":
            raise OSError(28, "No space left on device")

    cache = DerivedCache(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(files, "watch", full)
        with pytest.raises(StateError, match=r"cannot be kept: no space left") as full_disk:
            cache.fill([SMALL], images, reader(images))
        assert "--drop" in (full_disk.value.hint or "")
        other = DerivedCache(tmp_path)
        assert len(other.compute(THUMBNAIL, images, reader(images))) == 4
        assert "no space left" in (other.problem or "")
    assert fill(tmp_path, images, [SMALL]) == 4


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    images = photos(1)
    (tmp_path / "cache").write_bytes(b"")
    with pytest.raises(StateError, match=r"cannot be kept: not a directory") as error:
        DerivedCache(tmp_path / "cache" / "derived").fill([SMALL], images, reader(images))
    assert error.value.hint == f"ls -ld {tmp_path}/cache/derived"


def test_above_the_limit_what_was_not_used_for_longest_goes(tmp_path: Path) -> None:
    import os

    images = photos(30)
    cache = DerivedCache(tmp_path)
    cache.fill([SMALL, THUMBNAIL, STATISTICS], images, reader(images))
    kept = {one.name: one for one in cache.kept()}
    assert {name: one.count() for name, one in kept.items()} == {
        "rendition-64": 30,
        "statistics": 30,
        "thumbnail": 30,
    }
    for age, name in enumerate(("thumbnail", "rendition-64", "statistics")):
        os.utime(kept[name].path, (1e9 + age, 1e9 + age))
    limit = sum(one.bytes for one in kept.values()) - 10
    DerivedCache(tmp_path, limit).fill([STATISTICS], images, forbidden)
    assert [one.name for one in cache.kept()] == ["rendition-64", "statistics"]
    assert fill(tmp_path, images, [THUMBNAIL]) == 30


def test_one_method_above_the_limit_loses_its_oldest_batches(tmp_path: Path) -> None:
    images = photos(60)
    ids = list(images)
    for start in range(0, 60, 10):
        fill(tmp_path, {one: images[one] for one in ids[start : start + 10]}, [SMALL])
    size = next(iter(DerivedCache(tmp_path).kept())).bytes
    watching = DerivedCache(tmp_path)
    assert len(watching.known(SMALL, ids)) == 60
    cache = DerivedCache(tmp_path, size // 2)
    found = cache.compute(SMALL, ids, forbidden)
    assert len(found) == 60  # asked for, so all are given
    left = watching.known(SMALL, ids).ids
    assert left == ids[-len(left) :]
    assert 10 <= len(left) < 30
    assert next(iter(cache.kept())).bytes <= size // 2
    assert DerivedCache(tmp_path).compute(SMALL, ids, reader(images)).ids == ids

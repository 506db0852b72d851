"""The page of a diff and pictures of samples: whole, self-contained, and safe to open."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image as Pillow
from sealed_world import World

import voyager
from voyager.repo.predictions import put_predictions
from voyager.schema import Box, Image, Label, Region, Sample

HOSTILE = "<script>alert(1)</script>&\"'\u202e"
PHOTO = "$SAMPLES/clothing/train/hat/00d94e21-5891-492e-be0e-792e7338c077.jpg"
OTHER = "$SAMPLES/clothing/train/hat/678edcd0-607e-433d-8433-46e11fb24df3.jpg"
_VOID = {"meta", "img", "br", "link", "input"}


class Reader(HTMLParser):
    """Checks that elements close in order, and collects texts, pictures and attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.pictures: list[dict[str, str | None]] = []
        self.addresses: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert not any(name.startswith("on") for name in given)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag == "img":
            self.pictures.append(given)
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return "\n".join(self.texts)


def read(path: Path) -> Reader:
    text = path.read_text()
    assert "Content-Security-Policy" in text
    found = Reader(text)
    assert all(address.startswith("data:image/") for address in found.addresses)
    return found


def region(number: int, box: Box, label: Label) -> Region:
    return Region(id=number.to_bytes(16), geometries={"box": box}, labels=(label,))


@pytest.fixture
def labeled(world: World) -> World:
    """A photo with three boxes of a class with a hostile name, and a second version."""
    for line in (
        "vgr init -q",
        "mkdir hat",
        f"cp {PHOTO} hat/1.jpg",
        "printf notes > notes.txt",
        "vgr add -q .",
        "vgr commit -q -m first",
    ):
        assert world.run(line).code == 0
    with voyager.open(world.cwd) as repo:
        with repo.edit(message="labels") as edit:
            node = edit.vocabulary.category("category", HOSTILE)
            other = edit.vocabulary.category("category", "hat")
            name = Label(task="category", node=node)
            boxes = [Box(10, 10, 110, 60), Box(200, 200, 300, 300), Box(20, 400, 90, 460)]
            regions = tuple(region(n, box, name) for n, box in enumerate(boxes, 1))
            edit["hat/1.jpg"] = edit["hat/1.jpg"].replace(regions=regions)
            edit["hat/later.jpg"] = Sample(
                uid=b"l" * 16, image=Image(uri="x", width=100, height=80), regions=regions[:1]
            )
        with repo.edit(message="changes") as edit:
            hat = Label(task="category", node=other)
            edit["hat/1.jpg"] = edit["hat/1.jpg"].replace(
                split=HOSTILE,
                regions=(
                    region(7, Box(10, 10, 59, 60), name),
                    region(8, Box(61, 10, 110, 60), name),
                    region(2, Box(210, 210, 310, 310), hat),
                    region(9, Box(5, 150, 60, 190), hat),
                ),
            )
            later = edit["hat/later.jpg"]
            edit["hat/later.jpg"] = later.replace(
                regions=(later.regions[0].replace(state="rejected"),)
            )
            del edit["notes.txt"]
    return world


def test_a_page_shows_everything_before_and_after(labeled: World) -> None:
    result = labeled.run("vgr diff HEAD~1 HEAD --html page.html")
    assert (result.text, result.code) == ("page.html: 7 cards\n", 0)
    page = read(labeled.path("page.html"))
    for words in (
        "HEAD~1 → HEAD",
        "hat/1.jpg",
        "box moved (IoU",
        "divided into 00000000 and 00000000",
        "accepted → rejected",
        "removed notes.txt (file, 5 B)",
        "split none →",
    ):
        assert words in page.text
    named = [(one["alt"] or "").rpartition(", ")[2] for one in page.pictures]
    assert named.count("before") == named.count("after") == 5
    assert named.count("now") == 1
    for one in page.pictures:
        data = Pillow.open(io.BytesIO(_bytes_of(one["src"] or "")))
        assert data.format == "JPEG"
        assert max(data.size) <= 720


def _bytes_of(address: str) -> bytes:
    from base64 import b64decode

    return b64decode(address.partition("base64,")[2])


def test_hostile_names_stay_text(labeled: World) -> None:
    labeled.run("vgr diff HEAD~1 HEAD --html page.html")
    text = labeled.path("page.html").read_text()
    assert "<script>alert" not in text
    assert len(re.findall("<script", text)) == 1
    assert "alert(1)" in read(labeled.path("page.html")).text


def test_a_limit_is_told(labeled: World) -> None:
    result = labeled.run("vgr diff HEAD~1 HEAD --html page.html --limit 2 --json")
    assert re.sub(r"\s", "", result.out) == '{"html":"page.html","cards":2,"more":5}'
    assert "and 5 more" in read(labeled.path("page.html")).text
    assert labeled.run("vgr diff HEAD HEAD --html none.html").text == "none.html: 0 cards\n"
    assert "There is nothing to show." in read(labeled.path("none.html")).text


def test_filters_choose_cards(labeled: World) -> None:
    result = labeled.run("vgr diff HEAD~1 HEAD --class hat --html page.html")
    assert result.text == "page.html: 2 cards\n"


def test_a_replaced_image_stands_beside_the_old(labeled: World) -> None:
    labeled.run(f"cp {OTHER} hat/1.jpg")
    labeled.run("vgr add -q hat/1.jpg")
    result = labeled.run("vgr diff --staged --html page.html")
    assert result.text == "page.html: 1 card\n"
    assert len(read(labeled.path("page.html")).pictures) == 2


def test_an_image_saved_anew_has_the_same_pixels(world: World) -> None:
    picture = Pillow.new("RGB", (40, 30), (200, 30, 30))
    picture.save(world.path("a.png"), compress_level=9)
    for line in ("vgr init -q", "vgr add -q a.png", "vgr commit -q -m first"):
        world.run(line)
    picture.save(world.path("a.png"), compress_level=0)
    world.run("vgr add -q a.png")
    assert "image replaced (" in world.run("vgr diff").text
    detail = world.run("vgr diff --key a.png --staged").text
    assert "image re-encoded (" in detail
    assert ", same pixels)" in detail


def test_samples_are_drawn(labeled: World) -> None:
    result = labeled.run("vgr show hat --html hat.html")
    assert (result.text, result.code) == ("hat.html: 2 samples\n", 0)
    page = read(labeled.path("hat.html"))
    assert len(page.pictures) == 2
    assert "alert(1)" in page.text
    assert labeled.run("vgr show HEAD:hat/1.jpg --png hat.png --json").code == 0
    with (
        Pillow.open(labeled.path("hat.png")) as drawn,
        Pillow.open(labeled.path("hat/1.jpg")) as photo,
    ):
        assert (drawn.format, drawn.size) == ("PNG", photo.size)
        assert drawn.convert("RGB").tobytes() != photo.convert("RGB").tobytes()
    assert labeled.run("vgr show HEAD --html commit.html").text == "commit.html: 7 cards\n"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("vgr show hat --png x.png", "'hat' is 2 samples"),
        ("vgr show HEAD --png x.png", "one key, folder or glob is drawn at a time"),
        ("vgr show HEAD HEAD~1 --html x.html", "one key, folder or glob is drawn at a time"),
        ("vgr show HEAD~1:notes.txt --html x.html", "'notes.txt' is no sample"),
    ],
)
def test_what_cannot_be_drawn(labeled: World, line: str, words: str) -> None:
    result = labeled.run(line)
    assert result.code == 2
    assert words in result.err
    assert not labeled.path("x.png").exists()


def test_an_expression_chooses_samples(labeled: World) -> None:
    assert "later" not in labeled.run("vgr diff HEAD~1 HEAD --where 'width > 200'").text
    found = labeled.run("vgr diff HEAD~1 HEAD --where 'width = 100'").text
    assert found.startswith("changed  hat/later.jpg\n")


def test_what_a_model_predicts_is_compared_as_a_version(labeled: World) -> None:
    with voyager.open(labeled.cwd) as repo:
        sample = repo.at("HEAD")["hat/1.jpg"]
        node = sample.regions[2].labels[0].node
        said = Label(task="category", node=node, source="model:m", score=0.5)
        boxes = [Box(10, 10, 59, 60), Box(214, 210, 314, 310), Box(300, 20, 380, 90)]
        regions = tuple(
            region(90 + n, box, said).replace(source="model:m", score=0.5)
            for n, box in enumerate(boxes)
        )
        with repo.transaction("predictions", "m") as txn:
            put_predictions(txn, repo, "m", [sample.replace(labels=(), regions=regions)], "said")
            txn.commit()
    told = labeled.run("vgr diff predictions:m")
    assert told.code == 0
    lines = told.text.splitlines()
    assert lines[0] == "changed  hat/1.jpg"
    signs = sorted(line.lstrip()[0] for line in lines[1:])
    assert signs == ["+", "-", "-", "~", "~"]
    assert "box moved (IoU 0.92)" in told.text
    assert "→ hat" in told.text
    assert "score" not in told.text.replace("score 0.5)", "")
    json = labeled.run("vgr diff HEAD predictions:m --json").out.splitlines()
    assert json[0] == '{"from":"HEAD","to":"predictions:m"}'
    back = labeled.run("vgr diff HEAD HEAD predictions:m")
    assert back.code == 2
    assert labeled.run("vgr diff predictions:nobody").code == 3

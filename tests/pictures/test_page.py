"""The page stands alone, escapes everything, and is written card by card."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voyager.pictures import PALETTE, Card, Page, Picture, Row, colours_of, iter_html, render
from voyager.pictures.palette import BLACK, WHITE, colour_of, ink_on, luminance

EVIL = "</title><script>alert('1')</script>\"><img src=x onerror=alert(2)>&"
PIXEL = "data:image/jpeg;base64,AAAA"


class Reader(HTMLParser):
    """Elements with their attributes, and the text outside of style and script."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.raw: dict[str, list[str]] = {"style": [], "script": []}
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in self.raw:
            self.raw[self.open[-1]].append(data)
        elif data.strip():
            self.texts.append((self.open[-1] if self.open else "", data))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attrs for name, attrs in self.elements if name == tag]

    def text_in(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]


def picture(caption: str = "before", alt: str = "a dress, before") -> Picture:
    return Picture(caption, PIXEL, 240, 180, alt)


def page(text: str = "dress") -> Page:
    card = Card(
        title=f"train/{text}.jpg",
        facts=(f"#1 {text} moved", f"split: none → {text}"),
        pictures=(picture(text, text), picture("after", text)),
        kinds=("moved",),
        classes=(text,),
        section=f"Regions {text}",
    )
    return Page(
        title=f"v1 → {text}",
        subtitle=text,
        columns=("added", text),
        summary_rows=(Row(text, (1234, 0)),),
        cards=(card,),
        more=12345,
        colours={text: PALETTE[0]},
    )


def test_hostile_names_stay_text():
    read = Reader(render(page(EVIL)))
    assert read.open == []
    assert len(read.all("script")) == 1
    assert len(read.all("img")) == 2
    assert all(not name.startswith("on") for _, attrs in read.elements for name in attrs)
    assert f"train/{EVIL}.jpg" in "".join(read.text_in("h3"))
    (card,) = (attrs for attrs in read.all("li") if attrs.get("class") == "card")
    assert json.loads(card["data-classes"]) == [EVIL]
    assert read.all("img")[0]["alt"] == EVIL


@given(st.text(alphabet=st.characters(categories=["L", "P", "S", "Z", "Cc", "Cs"]), min_size=1))
def test_any_text_leaves_the_elements_as_they_are(text):
    plain, odd = Reader(render(page())), Reader(render(page(text)))
    assert [name for name, _ in odd.elements] == [name for name, _ in plain.elements]


def test_the_page_needs_nothing_from_elsewhere():
    html = render(page())
    assert not re.search(r"https?:|//[a-z]|@import|url\(", html)
    assert not {name for name, _ in Reader(html).elements} & {"link", "iframe", "object", "base"}


def test_its_policy_allows_its_own_style_and_script_alone():
    read = Reader(render(page()))
    policy = next(m["content"] for m in read.all("meta") if "http-equiv" in m)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for name in ("style", "script"):
        text = "".join(read.raw[name])
        digest = b64encode(sha256(text.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy
    assert not any("style" in attrs for _, attrs in read.elements)


def test_it_can_be_read_without_scripts_eyes_or_mouse():
    read = Reader(render(page()))
    assert read.all("html")[0]["lang"] == "en"
    assert len(read.text_in("h1")) == len(read.text_in("h2")) == len(read.text_in("h3")) == 1
    assert all(image["alt"] and image["width"] and image["height"] for image in read.all("img"))
    assert {cell["scope"] for cell in read.all("th") if cell} == {"col", "row"}
    scrolled = next(div for div in read.all("div") if div.get("class") == "summary")
    assert (scrolled["tabindex"], scrolled["aria-label"]) == ("0", "Summary")
    hidden = [attrs.get("class") for _, attrs in read.elements if "hidden" in attrs]
    assert hidden == ["filters"], "which the script fills and shows"


def test_numbers_are_grouped_and_nothing_is_a_dash():
    read = Reader(render(page()))
    assert read.text_in("td") == ["1,234", "–"]
    assert read.text_in("p")[-1] == "… and 12,345 more"


def test_classes_have_their_colour_beside_them():
    html = render(page())
    assert ".ce69f00 { background: #e69f00; }" in html
    assert html.count('<span class="swatch ce69f00"></span>') == 2


def test_many_facts_fold():
    facts = tuple(f"fact {number}" for number in range(20))
    read = Reader(render(Page("t", cards=(Card("k", facts),))))
    assert read.text_in("summary") == ["12 more"]
    assert [text for text in read.text_in("li") if "fact" in text] == list(facts)


def test_sections_follow_the_cards():
    names = ["", "a", "a", "b"]
    cards = tuple(Card(str(number), section=name) for number, name in enumerate(names))
    read = Reader(render(Page("t", cards=cards)))
    assert read.open == []
    assert read.text_in("h2") == ["a", "b"]
    assert len(read.all("section")) == 3


def test_an_empty_page_says_so():
    assert Reader(render(Page("t"))).text_in("p") == ["There is nothing to show."]


def test_cards_are_written_as_they_come():
    order: list[str] = []

    def cards():
        for number in range(3):
            order.append(f"made {number}")
            yield Card(f"card {number}")

    for part in iter_html(Page("t"), cards()):
        found = re.search(r"<h3>card (\d)", part)
        if found:
            order.append(f"written {found[1]}")
    assert order == [f"{step} {n}" for n in range(3) for step in ("made", "written")]


class TestPalette:
    def test_a_class_keeps_its_colour(self):
        assert colour_of("dress") == colour_of("dress") == PALETTE[1]
        assert colours_of(["dress"])["dress"] == colour_of("dress")
        assert colour_of("\ud800") in PALETTE

    def test_classes_share_a_colour_only_when_there_are_too_many(self):
        names = [f"class {number}" for number in range(2 * len(PALETTE))]
        few = colours_of(names[: len(PALETTE)])
        assert set(few.values()) == set(PALETTE)
        many = list(colours_of(names).values())
        assert {many.count(colour) for colour in PALETTE} == {2}
        assert colours_of(reversed(names)) == colours_of(names)

    @pytest.mark.parametrize("colour", PALETTE)
    def test_letters_can_be_read_on_every_colour(self, colour):
        light, dark = sorted((luminance(colour), luminance(ink_on(colour))), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5
        assert ink_on(WHITE) == BLACK

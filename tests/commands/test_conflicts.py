"""`vgr conflicts` and `vgr resolve`: the page, the JSON, and what their options mean."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest
from sealed_world import World

HATS = "$SAMPLES/clothing/train/hat"
FIRST = f"{HATS}/00d94e21-5891-492e-be0e-792e7338c077.jpg"
SECOND = f"{HATS}/678edcd0-607e-433d-8433-46e11fb24df3.jpg"


def run(world: World, *lines: str) -> None:
    for line in lines:
        result = world.run(line)
        assert result.code == 0, result.text


@pytest.fixture
def merging(world: World) -> World:
    """Two photos of which a label, a split, a box and the class of another are in conflict."""
    run(
        world,
        "vgr init -q",
        f"cp {FIRST} 1.jpg",
        f"cp {SECOND} 2.jpg",
        "vgr add -q .",
        "vgr task add -q color",
        "vgr task add -q what",
        "vgr label -q 1.jpg color=red --create",
        "vgr label -q 1.jpg color=blue --source model:m --create",
        "vgr region add -q 2.jpg --box 100,60,300,200",
        "vgr commit -q -m base",
        "vgr switch -q -c other",
        "vgr label -q 1.jpg color=green --create",
        "vgr region move -q 2.jpg#1 --by 60,0",
        "vgr region add -q 1.jpg --box 20,20,120,100 what=cap --create",
        "vgr split -q 1.jpg --set train",
        "vgr commit -q -m theirs",
        "vgr switch -q main",
        "vgr label -q 1.jpg color=blue",
        "vgr region move -q 2.jpg#1 --by -15,20",
        "vgr region add -q 1.jpg --box 20,20,120,101 what=hat --create",
        "vgr split -q 1.jpg --set test",
        "vgr commit -q -m ours",
    )
    assert world.run("vgr merge other").code == 1
    return world


class Reader(HTMLParser):
    """Collects texts, and how many pictures there are."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.pictures = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.pictures += tag == "img"

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_the_page_shows_base_and_sides(merging: World) -> None:
    run(merging, "vgr conflicts --html page.html")
    page = Reader((merging.path("page.html")).read_text())
    for caption in (
        "base: box 100,60 to 300,200",
        "ours: box 85,80 to 285,220",
        "theirs: box 160,60 to 360,200",
        "ours: hat",
        "theirs: cap",
        "#1 what (which class)",
    ):
        assert caption in page.texts, caption
    # Of a box and a class base, ours and theirs; of what cannot be seen the photo.
    assert page.pictures == 3 + 3 + 1 + 1
    assert not re.search(r'(?:src|href)="(?!data:)', merging.path("page.html").read_text())


def test_a_page_says_what_it_leaves_out(merging: World) -> None:
    result = merging.run("vgr conflicts --html page.html --limit 1 --json")
    assert json.loads(result.out) == {"html": "page.html", "cards": 1, "more": 3}


def test_without_conflicts(world: World) -> None:
    run(world, "vgr init -q")
    assert world.run("vgr conflicts").out == "no conflicts\n"
    assert world.run("vgr conflicts --json").out == ""
    assert world.run("vgr conflicts --stat").out == "no conflicts\n"
    run(world, "vgr conflicts --html page.html")
    assert "no conflicts" in Reader(world.path("page.html").read_text()).texts


def test_lines_that_are_edited_resolve(merging: World) -> None:
    lines = [json.loads(line) for line in merging.run("vgr conflicts --json").out.splitlines()]
    assert [line["path"].rpartition("/")[2] for line in lines] == ["human", "human", "split", "box"]
    answers = ["theirs", None, {"value": "val"}, {"value": {"type": "box", "xyxy": [1, 2, 30, 40]}}]
    text = "".join(
        json.dumps({**line, "resolve": answer}) + "\n"
        for line, answer in zip(lines, answers, strict=True)
    )
    merging.path("lines.jsonl").write_text(text)
    done = json.loads(merging.run("vgr resolve --from lines.jsonl --json").out)
    assert (done["resolved"], done["left"], done["keys"]) == (3, 1, ["1.jpg", "2.jpg"])
    first, second = (
        json.loads(merging.run(f"vgr show --json {key}").out) for key in ("1.jpg", "2.jpg")
    )
    assert first["conflicted"] is True
    assert "conflicted" not in second
    assert first["split"] == "val"
    assert [said["value"] for said in first["labels"]] == ["green", "blue"]
    assert second["regions"][0]["geometries"]["box"]["xyxy"] == [1, 2, 30, 40]


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("vgr resolve --path split --value val", "split", "val"),
        ("vgr resolve --path split --value null", "split", None),
        ("vgr resolve --path split --pick 1", "split", "test"),
        ("vgr resolve 1.jpg --path split --side 2", "split", "train"),
    ],
)
def test_values(merging: World, line: str, field: str, value: str | None) -> None:
    run(merging, line)
    assert json.loads(merging.run("vgr show --json 1.jpg").out)[field] == value


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("vgr resolve 1.jpg --value x", 2, "3 conflicts are meant, and --value is for one"),
        ("vgr resolve --task color --value pink", 3, "task 'color' has no class 'pink'"),
        ("vgr resolve 2.jpg --value 1,2", 2, "'1,2' is no box"),
        ('vgr resolve 2.jpg --value \'{"type": "bx"}\'', 2, "--value: "),
        ("vgr resolve --path split --pick 3", 2, "there is no value 3: there are 2"),
        ("vgr resolve --path split --side 3", 5, "'side 3' decides nothing of split of '1.jpg'"),
        ("vgr resolve --path split --same", 5, "'same' decides nothing"),
        ("vgr resolve --from nowhere.jsonl", 5, "nowhere.jsonl"),
        ("vgr resolve 2.jpg#2 --ours", 3, "'2.jpg' has no region #2"),
        ("vgr resolve --where 'splt is null' --ours", 2, "splt"),
        ("vgr resolve task:colour --ours", 3, "'task:colour' is not in conflict"),
    ],
)
def test_what_cannot_be(merging: World, line: str, code: int, message: str) -> None:
    before = merging.run("vgr conflicts").out
    result = merging.run(line)
    assert message in result.err
    assert result.code == code
    assert merging.run("vgr conflicts").out == before


@pytest.mark.parametrize(
    "line",
    [
        "vgr label 1.jpg color=red",
        "vgr split 1.jpg --clear",
        "vgr region move 2.jpg#1 --by 0,0",
        "vgr label 1.jpg#1 what=hat",
    ],
)
def test_setting_a_field_resolves_it_even_to_what_it_holds(merging: World, line: str) -> None:
    result = merging.run(line)
    assert "resolved 1 conflict" in result.out
    assert merging.run("vgr conflicts --json").out.count("\n") == 3
    run(merging, "vgr undo")
    assert merging.run("vgr conflicts --json").out.count("\n") == 4


def test_another_source_resolves_nothing(merging: World) -> None:
    run(merging, "vgr label 1.jpg color=red --source model:other")
    assert merging.run("vgr conflicts --json").out.count("\n") == 4


@pytest.fixture
def deleted(world: World) -> World:
    """What one side took out and the other one changed, and an answer of several."""
    run(
        world,
        "vgr init -q",
        f"cp {FIRST} 1.jpg",
        f"cp {SECOND} 2.jpg",
        "vgr add -q .",
        "vgr task add -q color",
        "vgr task add -q style --many",
        "vgr task add -q what",
        "vgr label -q 1.jpg color=red --create",
        "vgr label -q 2.jpg style+=summer style+=wide --create",
        "vgr region add -q 1.jpg --box 100,60,300,200 what=hat --create",
        "vgr region add -q 2.jpg --box 100,60,300,200 what=hat",
        "vgr commit -q -m base",
        "vgr switch -q -c other",
        "vgr rm -q 1.jpg",
        "vgr label -q 2.jpg style-=summer style-=wide",
        "vgr region rm -q 2.jpg#1",
        "vgr commit -q -m theirs",
        "vgr switch -q main",
        "vgr split -q 1.jpg --set train",
        "vgr label -q 1.jpg color=blue --create",
        "vgr region move -q 1.jpg#1 --by 0,20",
        "vgr label -q 2.jpg --verify --task style",
        "vgr label -q 2.jpg#1 --verify",
        "vgr commit -q -m ours",
    )
    assert world.run("vgr merge other").code == 1
    return world


def test_a_changed_sample_says_what_changed(deleted: World) -> None:
    said = deleted.run("vgr conflicts").out
    assert (
        "  sample: unchanged → ours changed (split none → train; color red → blue;"
        " #1 (hat) box moved (IoU 0.75)) | theirs deleted\n"
    ) in said
    assert (
        "  #1 (hat): hat, box 100,60 to 300,200 → ours hat, box 100,60 to 300,200"
        " (what hat accepted → verified; accepted → verified) | theirs deleted\n"
    ) in said


def test_answers_of_several_are_told_apart(deleted: World) -> None:
    lines = deleted.run("vgr conflicts 2.jpg").out.splitlines()
    assert [line.partition(":")[0] for line in lines[1:4]] == [
        "  style summer",
        "  style wide",
        "  #1 (hat)",
    ]


def test_names_are_those_to_type(world: World) -> None:
    run(
        world,
        "vgr init -q",
        f"cp {FIRST} 1.jpg",
        "vgr add -q .",
        "vgr task add -q color",
        "vgr taxonomy mkdir -q color/red",
        "vgr commit -q -m base",
        "vgr switch -q -c other",
        "vgr taxonomy mv -q color/red color/scarlet",
        "vgr task set -q color --many",
        "vgr commit -q -m theirs",
        "vgr switch -q main",
        "vgr taxonomy mv -q color/red color/crimson",
        "vgr task rm -q color",
        "vgr commit -q -m ours",
    )
    told = world.run("vgr merge other").out
    names = re.findall(r"^ conflict: (\S+) ", told, re.M)
    assert names == ["task:color", "taxonomy:color/red"]
    status = world.run("vgr status").out
    for name in names:
        assert f"\t{name} (1 field)\n" in status
        assert world.run(f"vgr conflicts {name}").code == 0
    run(world, "vgr commit -q --allow-conflicts -m undecided")
    assert "first 'task:color' " in world.run("vgr tag v1").err
    for name in names:
        run(world, f"vgr resolve -q {name} --theirs")


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("vgr taxonomy mv -q color colour", "taxonomy:colour/red"),
        ("vgr taxonomy mv -q color/red color/warm", "taxonomy:color/warm/red"),
    ],
)
def test_what_moves_takes_its_conflicts_along(world: World, line: str, name: str) -> None:
    run(
        world,
        "vgr init -q",
        "vgr task add -q color",
        "vgr taxonomy mkdir -q color/red color/warm",
        "vgr commit -q -m base",
        "vgr switch -q -c other",
        "vgr taxonomy mv -q color/red color/scarlet",
        "vgr commit -q -m theirs",
        "vgr switch -q main",
        "vgr taxonomy mv -q color/red color/crimson",
        "vgr commit -q -m ours",
    )
    assert world.run("vgr merge other").code == 1
    run(world, line)
    told = world.run("vgr conflicts").out
    assert told.startswith(f"{name}\n  name: red → ours crimson | theirs scarlet\n")
    run(world, "vgr undo -q", line, f"vgr resolve -q {name} --theirs", "vgr merge --continue -q")
    assert "scarlet" in world.run("vgr taxonomy tree").out


def test_another_name_of_a_taxonomy_is_decided_by_giving_one(world: World) -> None:
    run(
        world,
        "vgr init -q",
        "vgr task add -q color",
        "vgr taxonomy mkdir -q color/red",
        "vgr commit -q -m base",
        "vgr switch -q -c other",
        "vgr taxonomy mv -q color colour",
        "vgr taxonomy mv -q colour/red colour/scarlet",
        "vgr commit -q -m theirs",
        "vgr switch -q main",
        "vgr taxonomy mv -q color hue",
        "vgr taxonomy mv -q hue/red hue/crimson",
        "vgr commit -q -m ours",
    )
    assert world.run("vgr merge other").code == 1
    before = world.run("vgr conflicts").out
    assert "name: color → ours hue | theirs colour\n" in before
    run(world, "vgr taxonomy mv -q color tint")
    told = world.run("vgr conflicts").out
    assert told.startswith("taxonomy:tint/red\n  name: red → ours crimson | theirs scarlet\n")
    assert "colour" not in told


def test_a_file_has_no_value_to_type(world: World) -> None:
    run(
        world,
        "vgr init -q",
        "echo base > notes.txt",
        "vgr add -q .",
        "vgr commit -q -m base",
        "vgr switch -q -c other",
        "echo theirs > notes.txt",
        "vgr add -q .",
        "vgr commit -q -m theirs",
        "vgr switch -q main",
        "echo ours > notes.txt",
        "vgr add -q .",
        "vgr commit -q -m ours",
    )
    assert world.run("vgr merge other").code == 1
    for value in ("foo", "'{\"size\": 1}'"):
        refused = world.run(f"vgr resolve notes.txt --value {value}")
        assert refused.code == 2
        assert "write the file and add it" in refused.err
    run(world, "echo both > notes.txt", "vgr add -q notes.txt")
    assert world.run("vgr conflicts").out == "no conflicts\n"
    run(world, "vgr merge --continue -q")

"""`vgr demo`: make a small repository with photographs to try things on."""

from __future__ import annotations

import os
import shlex
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from voyager.commands.context import Context
from voyager.commands.demo_bucket import bucket, can_serve
from voyager.commands.tour import Tour
from voyager.errors import ExistsError
from voyager.samples import BOXES, CLOTHING, copy_photos, photo_paths

if TYPE_CHECKING:
    from voyager.search.query import Hit

_SHOWN_SAMPLES = ".../voyager/samples/clothing/*"
_SHOWN_BOXES = ".../voyager/samples/boxes.json"
_SANDALS = "test/shoes/4797602a-efe9-438d-859a-3db113007ef9.jpg"
_HAT = "test/hat/3f0be386-9a59-4aeb-93f6-dbe63e3a3002.jpg"
_CAP = "test/hat/c399e385-258a-465c-95d1-ba216c16d7d1.jpg"
_COLOURS = ["black", "pink"]
_COPY = "train/shoes/more.jpg"
_BEN = "Ben <ben@example.org>"
_COUNTED = ("category", "boxes")
_QUERY = (
    "SELECT category, count(*) AS boxes, round(avg(area)) AS area"
    " FROM regions GROUP BY category ORDER BY boxes DESC, category"
)
_SMALL = "--model cnn-small --size 32 --epochs 2 --threads 1"
_NEXT = """
What to try next, in {folder}:
  vgr status
  vgr show cleanup
  vgr diff --stat v1 v3
  vgr diff v2 v3 --key {hat}
  vgr blame {hat}
  vgr search --like '{hat}#1' --html like.html
  vgr revert HEAD
  vgr taxonomy mv category/footwear category/for-feet
  vgr ls -l cleanup test/hat
  vgr restore --source v1 SOURCE.md
  vgr --help"""


def run(
    ctx: Context,
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="where; it is made, or must be empty")
    ] = Path("vgr-demo"),
) -> None:
    """Make a small repository with photographs to try things on.

    Every step is shown as it would be typed, really run, and its result checked.

    JSON: {"folder", "steps": [{"command", "exit", "output"}], "checks": [text]}.

    Example:
      $ vgr demo
      $ cd vgr-demo
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ExistsError(f"'{folder}' is not empty", hint=f"vgr demo {folder}-2")
    folder.mkdir(parents=True, exist_ok=True)
    tour = _Demo(ctx, folder)
    tour.walk()
    if ctx.json:
        ctx.emit({"folder": str(folder), "steps": tour.steps, "checks": tour.checks})
    ctx.say(_NEXT.format(folder=folder, hat=_HAT))


def _has_sql() -> bool:
    return bool(find_spec("duckdb") and find_spec("pyarrow"))


class _Demo(Tour):
    """The tour of a hundred photographs."""

    def walk(self) -> None:
        """The whole tour."""
        self._begin()
        edited, renamed, deleted = self._clean_up()
        self._come_back()
        self._take_labels()
        self._change_labels()
        self._compare()
        self._give_labels()
        self._work_apart()
        self._merge()
        self._find()
        self._ask()
        self._train()
        self._share()
        self._look(edited, renamed, deleted)

    def _begin(self) -> None:
        self.tell("A repository is a folder with .vgr in it; here is one with 100 photographs.")
        self.vgr("init")
        self._name_author()
        self.shell(f"cp -r {_SHOWN_SAMPLES} .", lambda: copy_photos(self.folder))
        self.tell("Images become samples; --split-from folder reads train and test from the keys.")
        self.vgr("add . --split-from folder")
        self.vgr("commit -m 'A hundred photographs of clothes'")
        self.vgr("tag v1 -m 'As they came'")
        self.check("all 100 photographs are in v1", self._samples("v1") == 100)

    def _name_author(self) -> None:
        """Commits have an author; where nobody said who that is, the demo says it."""
        from voyager.config import Config

        if Config.load(None).author_or_unknown() == "unknown <>":
            self.vgr("config user.name 'Demo'")
            self.vgr("config user.email 'demo@example.org'")

    def _clean_up(self) -> tuple[str, str, str]:
        """A branch on which one photograph is replaced, one renamed and one deleted."""
        keys = [path.relative_to(CLOTHING).as_posix() for path in photo_paths()]
        edited, renamed, deleted = (
            next(key for key in keys if key.startswith(start))
            for start in ("test/shoes/", "test/hat/", "train/hat/")
        )
        better = next(key for key in reversed(keys) if key.startswith("test/shoes/"))
        self.tell("Work goes on a branch: replace a photograph, rename one, delete one.")
        self.vgr("switch -c cleanup")
        self._edit("cp", better, edited)
        self._edit("mv", renamed, "test/hat/renamed.jpg")
        self._edit("rm", deleted)
        self.vgr("status -s")
        self.tell("A renamed file is known by its bytes, and would keep its labels.")
        self.vgr("add -A .")
        self.vgr("diff --staged")
        self.vgr("commit -m 'Clean up'")
        return edited, renamed, deleted

    def _edit(self, verb: str, *keys: str) -> None:
        """A change of the working tree, as typed in a shell and as done here."""
        paths = [self.folder / key for key in keys]
        doing: dict[str, Callable[..., object]] = {
            "cp": shutil.copyfile,
            "mv": os.rename,
            "rm": os.remove,
        }
        self.shell(shlex.join([verb, *keys]), lambda: doing[verb](*paths))

    def _come_back(self) -> None:
        self.tell("Going back lays every file out as it was.")
        self.vgr("switch main")
        self.check("all 100 photographs are back, byte for byte", self._is_as_came())
        self.tell("Whatever the last step was, undo takes it back; so do it twice.")
        self.vgr("undo")
        self.check("we are on cleanup again", (self.folder / "test/hat/renamed.jpg").exists())
        self.vgr("undo")
        self.vgr("status -s")
        self.tell("That took back the commit, and the changes are staged still. Commit them again.")
        self.vgr("commit -m 'Clean up, thought over'")
        self.vgr("switch main")
        self.shell("rm SOURCE.md", lambda: os.remove(self.folder / "SOURCE.md"))
        self.vgr("commit -a -m 'Leave the list of sources out'")

    def _take_labels(self) -> None:
        self.tell("Labels come in from the files of other tools. People drew these, with COCO.")
        self.shell(f"cp {_SHOWN_BOXES} .", lambda: shutil.copy(BOXES, self.folder))
        self.vgr("import boxes.json --source human")
        self.vgr("commit -m 'Boxes of the test photographs'")
        self.vgr("tag v2")
        self.vgr(f"show {_SANDALS}")

    def _change_labels(self) -> None:
        self.tell("Classes are arranged like folders. Labels name them by an id that stays.")
        before = self._said()
        self.vgr("taxonomy mkdir category/footwear")
        self.vgr("taxonomy mv category/shoes category/footwear")
        self.check("no sample was rewritten", self._said() == before)
        self.tell("Say what a region is, and move one: #1 is the first, #* are all.")
        self.vgr(f"label '{_SANDALS}#*' category=footwear/sandals --create")
        self.vgr(f"region move '{_HAT}#1' --by 0,30")
        self.vgr("status -s")
        self.vgr("commit -m 'Sandals are footwear, and a box is where its hat is'")
        self.vgr("tag v3")

    def _compare(self) -> None:
        self.tell("What differs between two versions, in words of labels.")
        self.vgr("diff v2 v3")
        self.tell("The same as a page of pictures, before and after, for any browser.")
        self.vgr("diff v2 v3 --html changes.html")
        page = self.folder / "changes.html"
        self.check(f"{page.resolve()} is there to be opened", page.stat().st_size > 0)

    def _give_labels(self) -> None:
        self.tell("Labels go out to other tools. What a format has no place for is reported.")
        before = self._said()
        self.vgr("export yolo --format yolo")
        self.tell("An export remembers its commit: when nothing was edited, nothing comes back.")
        self.vgr("import yolo")
        self.check("the labels are as they were", self._said() == before)
        if _has_sql():
            self.tell("SQL chooses samples, in ls, diff, label, export and others.")
            self.vgr("""ls --where "split = 'test' and has('footwear')\"""")
        else:
            self.tell("SQL can choose samples too, after pip install 'voyager-vgr[sql]'.")

    def _work_apart(self) -> None:
        """Two branches which both say what colour a hat has; one copies a test photograph."""
        self.tell("Two people work at once. Ben says what colour hats have, on a branch.")
        self.vgr("task add color")
        self.vgr("commit -m 'A question: which colour?'")
        self.vgr("switch -c ben")
        self.vgr(f"label {_HAT} color=black --create")
        self.vgr(f"label {_CAP} color=red --create")
        self.tell(
            "He finds one more photograph to train on. It is one of the test set, saved anew."
        )
        self._edit("cp", _SANDALS, _COPY)
        self.shell(f"echo >> {_COPY}", self._append_a_byte)
        self.vgr("add train --split train")
        self.vgr(f"commit -m 'Colours, and one more pair of shoes' --author '{_BEN}'")
        self.vgr("switch main")
        self.vgr(f"label {_CAP} color=pink --create")
        self.vgr(f"region move '{_CAP}#1' --by 0,-5")
        self.vgr("commit -m 'The cap is pink, and its box higher'")

    def _merge(self) -> None:
        self.tell("A merge goes label by label. What both changed differently is a conflict.")
        self.vgr("merge ben", ends_with=1)
        self.vgr("conflicts")
        self.tell("Both sides as pictures, for any browser; then the decision.")
        self.vgr("conflicts --html conflicts.html")
        self.vgr(f"resolve {_CAP} --ours")
        self.vgr("merge --continue")
        self.vgr("tag v4")
        self.check("the cap is pink, and the other hat black", self._colours() == _COLOURS)
        self.tell("The guard let no copy of a test photograph into train. Who said what, and when?")
        self.check("the copy was dropped", _COPY not in self._keys("main"))
        self.vgr("guard check")
        self.vgr(f"blame {_HAT} --task color")

    def _find(self) -> None:
        """Search by words, by a picture and by an object in one, and what is there twice."""
        self.tell("Find images by words, the words of classes above included…")
        self.vgr("search 'footwear -sandals' -k 3")
        found = {hit.key for hit in self._search("footwear -sandals")}
        self.check("it has the shoes, and no sandals", bool(found) and _SANDALS not in found)
        self.tell("… by a picture, and by one object in a picture: no model, no download.")
        self.vgr(f"search --image {_HAT} -k 3")
        self.vgr(f"search --like '{_CAP}#1' -k 3")
        first = self._search(image=self.folder / _HAT)[0]
        self.check(
            "a photograph finds itself first", (first.key, round(first.score, 2)) == (_HAT, 1)
        )
        self.tell("What is there twice? On Ben's branch the copy is, which the guard kept out.")
        self.vgr("duplicates ben --across train,test")
        self.check("the copy on Ben's branch is found, and nothing on main", self._finds_copies())

    def _search(self, text: str | None = None, *, image: Path | None = None) -> list[Hit]:
        import voyager

        with voyager.open(self.folder) as repo:
            return list(voyager.search(repo, text, image=image))

    def _finds_copies(self) -> bool:
        import voyager
        from voyager.curate.duplicates import find_duplicates

        with voyager.open(self.folder) as repo:
            pairs = [find_duplicates(repo, repo.at(name)).pairs for name in ("ben", "main")]
        return [[(one.a, one.b) for one in each] for each in pairs] == [[(_SANDALS, _COPY)], []]

    def _ask(self) -> None:
        """One question in SQL, and the page of statistics."""
        if not _has_sql():
            self.tell("Left out here: vgr sql and vgr stats, for which [sql] is to be installed.")
            return
        self.tell("Any question, in SQL: how many boxes are there of what, and how large?")
        self.vgr(f'sql "{_QUERY}"')
        self.check("it counts what Python counts", self._boxes() == self._boxes_counted())
        self.tell("What a version consists of, and what of it deserves a look, as a page.")
        self.vgr("stats --pixels --html stats.html")
        page = self.folder / "stats.html"
        self.check(f"{page.resolve()} is there to be opened", page.stat().st_size > 0)

    def _train(self) -> None:
        """Train on a commit, look at the mistakes, mend a label, train again, and ask why."""
        if not _has_sql():
            self.tell("Left out here: vgr train, for which [train] and [sql] are to be installed.")
            return
        self.tell("A list says what each photograph shows, but somebody took pants for skirts.")
        self.vgr("import labels.csv --task garment")
        self.vgr("label 'train/pants/**' garment=Skirt")
        self.vgr("commit -m 'What each photograph shows'")
        self.tell("A model is a function of a commit. Here heads on the built-in vectors: seconds.")
        self.vgr("train main --task garment --frozen default --name first")
        self.tell("How good is it on the test split, which training never reads? And where not?")
        self.vgr("eval first --html failures.html")
        page = self.folder / "failures.html"
        self.check(f"{page.resolve()} is there to be opened", page.stat().st_size > 0)
        self.tell("No pants are known as such. Mend what was said of them, and train again.")
        self.vgr("label 'train/pants/**' garment=Pants")
        self.vgr("commit -m 'Pants are no skirts'")
        self.vgr("train main --task garment --frozen default --name second")
        self.vgr("eval second --compare first")
        self.check("the second run is better on the test split", self._is_better())
        self.tell("Which data made this model, and what does it differ in from the other?")
        self.vgr("runs diff first second")
        self.vgr("why second")
        if find_spec("torch") is None:
            self.tell("Networks are trained in the same way: pip install 'voyager-vgr[train]'.")
            return
        self.tell("A whole network, for two epochs; the same command gives the same bits again.")
        self.vgr(f"train main --task garment {_SMALL} --name network")
        self.vgr("train --repeat network")

    def _is_better(self) -> bool:
        """Whether the second run answers more of the test photographs right than the first."""
        import voyager
        from voyager.train.record import find_run

        with voyager.open(self.folder) as repo:
            accuracy: list[float] = []
            for name in ("first", "second"):
                metrics = find_run(repo, name).record.metrics
                (said,) = (value for key, value in metrics.items() if key.startswith("test@"))
                accuracy.append(said["garment"]["accuracy"])
        first, second = accuracy
        return second > first

    def _boxes(self) -> dict[str, int]:
        """Boxes of each class, as SQL has them."""
        import voyager

        with voyager.open(self.folder) as repo:
            found = voyager.sql(repo.at("main"), _QUERY)
        return dict(zip(*(found.column(name).to_pylist() for name in _COUNTED), strict=True))

    def _boxes_counted(self) -> dict[str, int]:
        """The same, sample by sample."""
        import voyager

        with voyager.open(self.folder) as repo:
            version = repo.at("main")
            word = version.vocabulary.word
            regions = (region for sample in version.values() for region in sample.regions)
            return dict(Counter(word(label) for region in regions for label in region.labels))

    def _share(self) -> None:
        """Push, clone, and read a photograph in the clone; nothing of it stays."""
        with ExitStack() as stack:
            other = Path(stack.enter_context(TemporaryDirectory(prefix="vgr-demo-")))
            url = stack.enter_context(bucket()) if can_serve() else str(other / "shared")
            place = "an S3 server, begun here for the moment" if can_serve() else "a folder"
            self.tell(f"Others get it by a remote: a bucket, a folder, ssh. Here {place}.")
            self.vgr(f"remote add origin {url}")
            self.vgr("push -u origin main")
            clone = other / "clone"
            self.tell("A lazy clone has all history and labels, and images when one looks at them.")
            self.vgr(f"clone --lazy {url} {clone}")
            self.check("a photograph comes from there, byte for byte", self._has_photo(clone, _HAT))
            self.tell("Nothing is new now, and one request says so. Then we forget the remote.")
            self.vgr("push")
            self.vgr("remote rm origin")

    def _has_photo(self, repository: Path, key: str) -> bool:
        import voyager

        with voyager.open(repository) as repo:
            return repo.at("HEAD").image_bytes(key) == (CLOTHING / key).read_bytes()

    def _append_a_byte(self) -> None:
        with (self.folder / _COPY).open("ab") as file:
            file.write(b"\n")

    def _colours(self) -> list[str]:
        """The colours of the hats, in key order."""
        import voyager

        with voyager.open(self.folder) as repo:
            version = repo.at("main")
            word = version.vocabulary.word
            hats = [sample for _, sample in version.items("test/hat/")]
            return [word(label) for sample in hats for label in sample.labels]

    def _said(self) -> list[bytes | None]:
        """The rows of all samples, as staged."""
        import voyager

        with voyager.open(self.folder) as repo:
            staged = repo.staged()
            return [staged.row("samples", key.encode()) for key in staged]

    def _look(self, edited: str, renamed: str, deleted: str) -> None:
        self.tell("History, what differs, and how much space it takes.")
        self.vgr("log --oneline --graph --all")
        self.vgr("diff --stat v1 cleanup")
        self.vgr("du cleanup")
        self.vgr("fsck")
        self.tell("From Python, any version is a mapping from keys to samples.")
        self._read_from_python(edited)
        version = self._keys("cleanup")
        gone = not {renamed, deleted} & version and "test/hat/renamed.jpg" in version
        self.check("cleanup has the new name and not the deleted photograph", gone)

    def _read_from_python(self, key: str) -> None:
        import voyager

        lines = (
            "import voyager",
            "repo = voyager.open()",
            f'sample = repo.at("v1")["{key}"]',
            "print(sample.image.width, sample.image.height, sample.split)",
        )
        for line in lines:
            self.ctx.say(self.ctx.style(f">>> {line}", "bold"))
        with voyager.open(self.folder) as repo:
            version = repo.at("v1")
            sample = version[key]
            same = version.image_bytes(key) == (CLOTHING / key).read_bytes()
        self.ctx.say(f"{sample.image.width} {sample.image.height} {sample.split}")
        self.check("its bytes in v1 are those that came", same)

    def _keys(self, revision: str) -> set[str]:
        import voyager

        with voyager.open(self.folder) as repo:
            return set(repo.at(revision))

    def _samples(self, revision: str) -> int:
        return len(self._keys(revision))

    def _is_as_came(self) -> bool:
        """Whether every photograph of the set lies in the folder as it came."""
        return all(
            (self.folder / path.relative_to(CLOTHING)).read_bytes() == path.read_bytes()
            for path in photo_paths()
        )

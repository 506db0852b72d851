"""Options of `vgr train` that exclude each other, name nothing, or tell how a repeat came out."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from training_repos import make_photos_repo, train

from voyager.cli import main
from voyager.commands.context import Context
from voyager.commands.repeats import tell_repeat
from voyager.repo.repository import Repository
from voyager.train.record import Record

SMALL = "--task category --model cnn-small --size 16 --batch 8 --threads 1"


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    with make_photos_repo(tmp_path_factory.mktemp("photos")) as opened:
        yield opened


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            f"{SMALL} --validate vall",
            "error: no samples in split 'vall'; there are test, train, val\n"
            "hint: did you mean 'val'?\n",
        ),
        (
            "--frozen default --validate check",
            "error: no samples in split 'check'; there are test, train, val\n"
            "hint: vgr train --validate SPLIT\n",
        ),
        (
            f"{SMALL} --validate none --patience 3",
            "error: --patience waits for a better validation\nhint: vgr train --validate SPLIT\n",
        ),
        (
            "--frozen default --log tensorboard",
            "error: heads on a frozen model have no steps to log\nhint: vgr train --help\n",
        ),
        (
            "--frozen default --device cuda",
            "error: the built-in descriptor runs on cpu, not on cuda\n"
            "hint: vgr train --device auto\n",
        ),
        (
            "--frozen default --set kk=3",
            "error: no setting 'kk' of a training on a frozen model\nhint: did you mean 'k'?\n",
        ),
        (
            "--frozen default --set strengths=0.3",
            "error: strengths is a list of numbers, not 0.3\nhint: vgr train --help\n",
        ),
        ("--frozen default --scope pixel", "error: the scope is image or region\n"),
        (f"{SMALL} --patience 0", None),
        (
            f'{SMALL} --set task_weights={{"category":0}}',
            "error: a task counts 0 times or more, and not each of them 0 times\n",
        ),
    ],
)
def test_what_is_refused(
    repo: Repository, words: str, said: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(repo, words) == 2
    assert said is None or capsys.readouterr().err == said


def test_the_usual_split_is_missed_where_it_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with make_photos_repo(tmp_path) as repo:
        with repo.edit(message="No val") as edit:
            for key in repo.at("HEAD"):
                if repo.at("HEAD")[key].split == "val":
                    edit[key] = repo.at("HEAD")[key].replace(split="train")
        capsys.readouterr()
        usual = "--frozen default --set strengths=[1] --json"
        assert train(repo, usual) == 0
        assert json.loads(capsys.readouterr().out)["metrics"] == {}
        assert train(repo, f"{usual} --validate val") == 2
        assert "no samples in split 'val'; there are test, train" in capsys.readouterr().out
        assert train(repo, f"{SMALL} --patience 2") == 2
        assert "split 'val' has nothing to validate with" in capsys.readouterr().err


def test_a_run_that_is_gone_on_with_is_not_tried_out(
    repo: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would be taken for one of two steps, of which nothing is kept."""
    for options in ("--fast-dev-run", "--name other", "-m why"):
        assert train(repo, f"--resume any {options}") == 2
        assert "--resume takes the settings of the run, and no others" in capsys.readouterr().err


def test_a_list_of_runs_has_a_line_for_what_failed(
    repo: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = "--lr 1e30 --set optimiser=sgd --set clip=0 --set warmup=0 --validate none --name lost"
    assert train(repo, f"{SMALL} {lost}") == 5
    capsys.readouterr()
    assert main(["-C", str(repo.folder.parent), "runs"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "lost: " in line]
    assert "lost: the loss of step " in line
    assert "batch" not in line
    assert main(["-C", str(repo.folder.parent), "runs", "show", "lost"]) == 0
    assert "; its batch was 'train/" in capsys.readouterr().out


def test_one_answer_alone_teaches_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with make_photos_repo(tmp_path) as repo:
        for words in ("worn --kind bool", "price --kind number"):
            assert main(["-C", str(tmp_path), "task", "add", "-q", *words.split()]) == 0
        version = repo.at("HEAD")
        key = next(key for key in version if version[key].split == "train")
        said = ["worn=true", "price=3"]
        assert main(["-C", str(tmp_path), "label", "-q", key, *said]) == 0
        assert main(["-C", str(tmp_path), "commit", "-q", "-m", "One each"]) == 0
        repo.store.refresh()
        capsys.readouterr()
        for task, answer in (("worn", "true"), ("price", "3")):
            for how in (
                f"--task {task} --model cnn-small --size 16",
                f"--frozen default --task {task}",
            ):
                assert train(repo, how) == 2
                assert capsys.readouterr().err == (
                    f"error: task '{task}' has one answer alone to tell: {answer}\n"
                    "hint: vgr stats\n"
                )


def test_skipped_images_are_told_by_the_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """But not where a measure is judged: `vgr bisect run` would take it for a fault."""
    with make_photos_repo(tmp_path) as repo:
        for split in ("train", "test"):
            whole = next(path for path in sorted(tmp_path.glob(f"{split}/hat/*.jpg")))
            cut = tmp_path / split / "hat/cut.jpg"
            cut.write_bytes(whole.read_bytes()[:3000])
        for words in (
            "add train --split train -q",
            "add test --split test -q",
            "label */hat/cut.jpg category=hat -q",
            "commit -q -m Cut",
        ):
            assert main(["-C", str(tmp_path), *words.split()]) in (0, 10)
        repo.store.refresh()
        capsys.readouterr()
        heads = "--frozen default --set strengths=[1] --allow-unchecked"
        assert train(repo, f"{heads} --name cut") == 10
        assert "skipped train/hat/cut.jpg: its image cannot be read" in capsys.readouterr().err
        assert train(repo, f"{heads} --fail-below category=0.01") == 0
        evaluated = ["-C", str(tmp_path), "eval", "cut"]
        assert main(evaluated) == 10
        assert "skipped test/hat/cut.jpg: its image cannot be read" in capsys.readouterr().err
        assert main([*evaluated, "--fail-below", "category=0.01"]) == 0


def test_heads_need_no_torch(repo: Repository) -> None:
    """Neither to be trained nor to be asked."""
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "from voyager.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    heads = ["train", "--frozen", "default", "--set", "strengths=[1]"]
    for words in (
        [*heads, "--fast-dev-run"],
        [*heads, "--name", "torchless", "-q"],
        ["eval", "torchless", "-q"],
    ):
        done = subprocess.run(
            [sys.executable, "-c", script, "-C", str(repo.folder.parent), *words],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")


RECORD = Record(
    run="5566",
    commit="00" * 32,
    state="finished",
    config={"repro": "bits"},
    weights="aa" * 32,
    order="bb" * 32,
    versions={"torch": "2.1", "numpy": "1.26"},
    hardware={"cpu": "AVX2", "device": "cpu"},
    threads=2,
)


@pytest.mark.parametrize(
    ("promise", "changes", "code", "said"),
    [
        ("bits", {}, 0, ["the weights are the same as those of run 5566: aaaaaaaaaaaaaaaa"]),
        (
            "bits",
            {"weights": "cc" * 32, "versions": {"torch": "2.2", "numpy": "1.26"}, "threads": 4},
            1,
            [
                "the weights are not the same as those of run 5566: cccccccccccccccc",
                "  torch was 2.1, and is 2.2",
                "  threads was 2, and is 4",
            ],
        ),
        (
            "order",
            {"weights": "cc" * 32, "hardware": {"cpu": "AVX512", "device": "cpu"}},
            0,
            [
                "the order is the same as in run 5566: bbbbbbbbbbbbbbbb",
                "the weights, of which nothing was promised, are not the same: cccccccccccccccc",
                "  cpu was AVX2, and is AVX512",
            ],
        ),
        (
            "order",
            {"order": "dd" * 32},
            1,
            [
                "the order is not the same as in run 5566: dddddddddddddddd",
                "the weights, of which nothing was promised, are the same: aaaaaaaaaaaaaaaa",
            ],
        ),
    ],
)
def test_a_repeat_says_what_differs(
    promise: str,
    changes: dict[str, Any],
    code: int,
    said: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = replace(RECORD, config={"repro": promise})
    assert tell_repeat(Context(), replace(before, **changes), before) == code
    assert capsys.readouterr().out.splitlines() == said


def test_floors_of_networks_know_the_classes(
    repo: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    small = "--model cnn-small --size 16 --batch 8 --steps 1 --threads 1"
    assert train(repo, f"{small} --fail-below category/hat=0") == 0
    assert train(repo, f"{small} --fail-below category/hat=1.1") == 1
    assert "category/hat is" in capsys.readouterr().out
    assert train(repo, f"{small} --fail-below category/none=0.1") == 125
    assert train(repo, f"{small} --validate none --fail-below category/hat=0") == 125


def test_why_says_what_heads_were_not_trained_on(
    repo: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    version = repo.at("HEAD")
    keys = [key for key in version if version[key].split == "train"]
    left, other = keys[0], keys[-1]
    how = f"--frozen default --set strengths=[1] --name narrow --where key!='{left}'"
    assert train(repo, how) == 0
    for key, role in ((left, "unused"), (other, "trained")):
        capsys.readouterr()
        assert main(["-C", str(repo.folder.parent), "why", "narrow", "--key", key, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["role"] == role

"""The benchmarks run; what they measure is not judged here."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from voyager.samples import photo_paths

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
def test_versions_runs_and_writes_what_it_found(tmp_path: Path) -> None:
    where = ["--sets", tmp_path / "sets", "--out", tmp_path / "out", "--work", tmp_path / "work"]
    program = [sys.executable, BENCHMARKS / "versions.py"]
    done = subprocess.run(
        [*program, "--small", "--runs", "1", "--tools", "git", *where],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "| work | git |" in done.stdout
    [file] = (tmp_path / "out").glob("versions-*.json")
    report = json.loads(file.read_text())
    assert {"tiny-commit", "tiny-full", "photos-commit"} <= {row["row"] for row in report["rows"]}
    assert len(list((tmp_path / "sets" / "tiny").rglob("*.jpg"))) == 600
    assert not list((tmp_path / "work").iterdir())


def test_near_duplicates_runs_and_tells_times_and_recall() -> None:
    program = [sys.executable, BENCHMARKS / "near_duplicates.py"]
    done = subprocess.run(
        [
            *program,
            "--new",
            "20",
            "--known",
            "500",
            "--samples",
            "8",
            "--small",
            "400,100",
            "--parts",
            "guard,recall,pairs",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert "| look up, mirrored too |" in done.stdout
    assert "| the default | 100.0 | 100.0 | 100.0 | 100.0 | 100.0 | 100.0 |" in done.stdout


def test_merge_resolve_runs_and_tells_times() -> None:
    program = [sys.executable, BENCHMARKS / "merge_resolve.py"]
    done = subprocess.run(
        [*program, "--rows", "60", "--conflicts", "20", "--runs", "1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert "| resolved: from a file |" in done.stdout


def test_merge_vote_runs_and_tells_what_was_decided() -> None:
    program = [sys.executable, BENCHMARKS / "merge_vote.py"]
    done = subprocess.run(
        [*program, "--labels", "200", "--conflicts", "100"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert "| 100 conflicts by strategy |" in done.stdout
    assert "| vote of 5 branches, 200 labels each |" in done.stdout


def test_push_runs_and_tells_requests_and_memory() -> None:
    program = [sys.executable, BENCHMARKS / "push.py"]
    done = subprocess.run(
        [*program, "--samples", "2000", "--megabytes", "3"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert "| nothing new | 1 | 0 | 0 |" in done.stdout
    assert "| 10 changed labels | 5 |" in done.stdout
    assert "| 3 MB of images | 7 |" in done.stdout


@pytest.mark.deep
def test_remotes_runs_and_tells_times_and_requests(tmp_path: Path) -> None:
    where = ["--sets", tmp_path / "sets", "--out", tmp_path / "out", "--work", tmp_path / "work"]
    program = [sys.executable, BENCHMARKS / "remotes.py"]
    done = subprocess.run(
        [*program, "--small", "--runs", "1", "--only", "photos,labels,raw", "--no-dvc", *where],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "| a million labeled samples, nothing new: push, requests | 1 |" in done.stdout
    [file] = (tmp_path / "out").glob("remotes-*.json")
    report = json.loads(file.read_text())
    assert {"photos-push", "photos-clone", "labels", "raw"} <= {
        row["row"] for row in report["rows"]
    }
    assert not list((tmp_path / "work").iterdir())


def test_text_search_runs_and_tells_times_and_what_words_find() -> None:
    program = [sys.executable, BENCHMARKS / "text_search.py"]
    done = subprocess.run(
        [*program, "--rows", "1200", "--runs", "1", "--samples", "200"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert "| alias | 43 | 100 | 100 |" in done.stdout
    assert "| left out: " in done.stdout


@pytest.mark.deep
def test_embeddings_runs_and_tells_quality() -> None:
    program = [sys.executable, BENCHMARKS / "embeddings.py"]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "70 training photographs, 30 of test" in done.stdout
    assert "| default | 256 |" in done.stdout


@pytest.mark.deep
def test_derive_runs_and_tells_shares_and_times() -> None:
    program = [sys.executable, BENCHMARKS / "derive.py"]
    done = subprocess.run(
        [*program, "--count", "40", "--rounds", "2"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert "| one pass, all of them |" in done.stdout
    assert "| on another branch |" in done.stdout


@pytest.mark.deep
def test_vector_search_runs_and_tells_times_and_recall() -> None:
    program = [sys.executable, BENCHMARKS / "vector_search.py"]
    done = subprocess.run(
        [*program, "--vectors", "4000", "--rounds", "3"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert "| exact and faiss Flat agree on 100.0% of the queries | pass |" in done.stdout
    assert "| a new branch, 1,000 of 4,000 images changed | bytes | seconds |" in done.stdout


@pytest.mark.deep
def test_sql_runs_and_tells_times() -> None:
    program = [sys.executable, BENCHMARKS / "sql.py"]
    done = subprocess.run(
        [*program, "--samples", "3000", "--runs", "1"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert "| group-by, first time at a commit |" in done.stdout


@pytest.mark.deep
def test_train_quality_runs_and_tells_how_good_trainings_are(tmp_path: Path) -> None:
    for path in photo_paths():
        split, label = path.parts[-3:-1]
        later = split == "train" and int(path.stem[:2], 16) % 4 == 0
        target = tmp_path / "clothing" / ("validation" if later else split) / label / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    program = [sys.executable, BENCHMARKS / "train_quality.py", "--data", tmp_path]
    done = subprocess.run(
        [*program, "--parts", "clothes,tasks", "--seeds", "1", "--steps", "2", "--threads", "1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr + done.stdout
    assert "accuracy of the better 0." in done.stdout
    assert "| linear head, frozen embedding | 0." in done.stdout
    assert "| from scratch, 1 seeds | 0." in done.stdout
    assert "| both, half of those about legs | 0." in done.stdout


@pytest.mark.deep
def test_gpu_train_runs_without_an_accelerator() -> None:
    """To its end, with every goal judged: the shares mean nothing here."""
    program = [sys.executable, BENCHMARKS / "gpu_train.py", "--device", "cpu", "--no-compile"]
    how = ["--models", "cnn-small", "--size", "32", "--batch", "8", "--steps", "3", "--copies", "1"]
    done = subprocess.run([*program, *how], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr + done.stdout
    assert done.stderr == ""
    assert "| cnn-small |" in done.stdout
    assert "goals: 3 ×, 95%:" in done.stdout


@pytest.mark.deep
def test_loader_start_runs_and_judges_memory() -> None:
    program = [sys.executable, BENCHMARKS / "loader_start.py", "--samples", "2000"]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr + done.stdout
    assert "state 40 bytes of 64: pass" in done.stdout
    assert " MiB of 400: pass" in done.stdout


@pytest.mark.deep
def test_loader_runs_and_judges_every_goal() -> None:
    program = [sys.executable, BENCHMARKS / "loader.py", "--count", "120", "--large", "20"]
    how = ["--rounds", "1", "--workers", "0", "--steps", "2"]
    done = subprocess.run([*program, *how], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr + done.stdout
    judged = [line for line in done.stdout.splitlines() if line.endswith((" pass", " **fail**"))]
    assert len(judged) == 15
    assert (done.returncode == 0) == all(line.endswith(" pass") for line in judged)
    assert "mean difference: 0.0" in done.stdout
    assert "data wait with vit-tiny/16: " in done.stdout


@pytest.mark.deep
def test_frozen_runs_and_judges_its_time() -> None:
    program = [sys.executable, BENCHMARKS / "frozen.py", "--rows", "20000"]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    assert " s of 20 for 20,000 vectors: pass" in done.stdout

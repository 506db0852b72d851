"""What a training is made of: the order by sources, and renditions that a run can repeat."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from training_repos import TRAINED, config, make_photos_repo, trained

from voyager.errors import UsageError
from voyager.repo.deriving import derived_cache
from voyager.repo.repository import Repository
from voyager.train.renditions import Rendition
from voyager.train.session import train_run
from voyager.train.start import gather


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    with make_photos_repo(tmp_path_factory.mktemp("photos")) as opened:
        yield opened


def test_sources_have_equal_shares(repo: Repository) -> None:
    with repo.edit(message="Ann says some") as edit:
        for key in [key for key in repo.at("HEAD") if key.startswith("train/hat/")]:
            (label,) = edit[key].labels
            edit[key] = edit[key].replace(labels=(label.replace(source="human:ann"),))
    material = gather(repo, repo.at("HEAD"), config(sampling="sources"))
    assert material.view.sources is not None
    assert len(material.view.source_names) == 2
    rows = material.order.at(0, np.arange(TRAINED))
    shares = np.bincount(material.view.sources[rows])
    assert shares.tolist() == [TRAINED // 2] * 2


def test_a_rendition_that_is_asked_for_is_made_first(repo: Repository) -> None:
    derived_cache(repo).drop()
    version = repo.at("HEAD")
    assert gather(repo, version, config()).rendition == "none"
    done: list[int] = []
    material = gather(
        repo, version, config(rendition="256"), progress=lambda at, of: done.append(at)
    )
    assert material.rendition == "256"
    assert done[-1] == TRAINED
    assert gather(repo, version, config()).rendition == "256"
    assert gather(repo, version, config(rendition="none")).rendition == "none"
    with pytest.raises(UsageError, match="no rendition '300'"):
        config(rendition="300")
    derived_cache(repo).drop()


def test_a_run_keeps_what_auto_was(repo: Repository, tmp_path: Path) -> None:
    """A repeat reads the same renditions, whatever others are there by then."""
    version, how = repo.at("HEAD"), config(steps=2, validate=None)
    gather(repo, version, config(rendition="256"))
    first = train_run(repo, version, how)
    assert first.record.config["rendition"] == "256"
    derived_cache(repo).drop()
    repeat = config(**{**first.record.config, "task_weights": (), "tasks": ("category",)})
    assert trained(repo, tmp_path, repeat).weights == first.trained.weights
    assert derived_cache(repo).kept()[0].name == Rendition(256).method.name
    derived_cache(repo).drop()
    assert train_run(repo, version, how).record.config["rendition"] == "none"

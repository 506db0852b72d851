"""The models that commands name: `default`, a folder, a file of weights, or a run."""

from __future__ import annotations

from pathlib import Path

from voyager.errors import NotFoundError
from voyager.repo.repository import Repository


def looks_model(repo: Repository, given: str | None) -> str:
    """The model of looks: the one that is given, else that of the setting, else the built-in.

    Search, semantic duplicates and embeddings ahead of time all take this one.
    """
    from voyager.derived.embeddings import DEFAULT
    from voyager.repo.deriving import MODEL

    return model_name(repo, given or repo.config.get(MODEL) or DEFAULT)


def model_name(repo: Repository, name: str) -> str:
    """A model as the engines open it: of a run it is the file of its weights.

    NotFoundError for what is none of these.
    """
    from voyager.derived.embeddings import DEFAULT

    if name == DEFAULT or Path(name).exists():
        return name
    from voyager.train.record import find_run
    from voyager.train.weights_file import weights_file

    try:
        run = find_run(repo, name)
    except NotFoundError:
        raise NotFoundError(
            f"no model '{name}': neither '{DEFAULT}', nor a folder, a checkpoint or a run",
            hint="vgr runs",
        ) from None
    return str(weights_file(repo, run))

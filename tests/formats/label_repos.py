"""What the tests of imports and exports do to small repositories."""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voyager.formats import registry
from voyager.formats.base import Format
from voyager.formats.exporting import Exported, export
from voyager.formats.importing import Imported, import_labels
from voyager.formats.reading import ReadOptions
from voyager.formats.torture import image_bytes
from voyager.formats.writing import WriteOptions
from voyager.repo.commit import commit
from voyager.repo.dataset import Dataset
from voyager.repo.repository import Repository
from voyager.repo.snapshot import SAMPLES
from voyager.repo.staging import stage
from voyager.repo.worktree import Plan, update
from voyager.schema import Region, Sample, encode_sample
from voyager.store.ids import Kind

DATA = Path(__file__).parent.parent / "data"


def formats() -> list[Format]:
    """The formats that are there."""
    names = [name for name in registry.FORMATS.values() if importlib.util.find_spec(name)]
    modules = map(importlib.import_module, names)
    return [module.FORMAT for module in modules if hasattr(module, "FORMAT")]


def take(repo: Repository, path: Path, form: str = "coco", **options: Any) -> Imported:
    """Import labels; options of the engine by their names, the rest are of the reader."""
    own = {"name", "base", "merge", "strict", "dry_run"}
    engine = {name: options.pop(name) for name in list(options) if name in own}
    form_ = registry.format_named(form)
    return import_labels(repo, path, form_, ReadOptions(**options), **engine)


def give(
    repo: Repository, path: Path, form: str = "coco", at: str = "HEAD", **options: Any
) -> Exported:
    """Export a commit; options of the engine by their names, the rest are of the writer."""
    own = {"where", "keys", "strict", "force", "record"}
    engine = {name: options.pop(name) for name in list(options) if name in own}
    form_ = registry.format_named(form)
    return export(repo, repo.at(at), path, form_, WriteOptions(**options), **engine)


def save(repo: Repository, message: str = "labels") -> bytes:
    """Commit what is staged."""
    return commit(repo, message).commit


def load(repo: Repository, version: Dataset) -> bytes:
    """Commit a version that lies in memory, and lay its files out."""
    before = repo.staged()
    with repo.transaction("load") as txn:
        objects = version.objects
        for kind, data in objects.entries.values():  # type: ignore[attr-defined]
            if kind is Kind.BLOB:
                txn.put_blob(data)
        rows = [(space, key, row) for space in version.roots for key, row in version.rows(space)]
        stage(txn, repo.staging, rows)
        txn.commit()
    after = repo.staged()
    update(repo, Plan(list(after.tracked()), []), after, before_token=before.token)
    return save(repo, "loaded")


def change(repo: Repository, key: str, **fields: Any) -> Sample:
    """Stage a sample with other fields, as commands that label do."""
    sample = repo.staged()[key].replace(**fields)
    with repo.transaction("stage", key) as txn:
        stage(txn, repo.staging, [(SAMPLES, key.encode(), encode_sample(sample))])
        txn.commit()
    return sample


def changed_region(repo: Repository, key: str, place: int, **fields: Any) -> Region:
    """Stage a sample with one region changed."""
    regions = list(repo.staged()[key].regions)
    regions[place] = regions[place].replace(**fields)
    change(repo, key, regions=tuple(regions))
    return regions[place]


def everything(repo: Repository) -> dict[str, dict[bytes, bytes]]:
    """All staged rows by space."""
    staged = repo.staged()
    return {space: dict(staged.rows(space)) for space in sorted({*staged.roots, SAMPLES})}


def words(repo: Repository, key: str) -> list[str]:
    """The classes of the regions of a sample, in order."""
    version = repo.staged()
    return [
        version.vocabulary.word(label) for region in version[key].regions for label in region.labels
    ]


def photo(folder: Path, name: str, width: int = 64, height: int = 48) -> Path:
    """A small real image, another one for each name."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(image_bytes(path.name, width, height))
    return path


class Coco:
    """A COCO file in the making."""

    def __init__(self, *classes: str) -> None:
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []
        self.categories = [{"id": n, "name": name} for n, name in enumerate(classes, 1)]
        self.tables: dict[str, Any] = {}

    def image(self, name: str, width: int = 64, height: int = 48, **fields: Any) -> int:
        """Add an image; its id."""
        number = len(self.images) + 1
        row = {"id": number, "file_name": name, "width": width, "height": height}
        self.images.append(row | fields)
        return number

    def box(
        self, image: int, x: float, y: float, w: float, h: float, category: int = 1, **fields: Any
    ) -> dict[str, Any]:
        """Add a box."""
        row = {"id": len(self.annotations) + 1, "image_id": image, "category_id": category}
        row |= {"bbox": [x, y, w, h], "area": w * h, "iscrowd": 0}
        self.annotations.append(row | fields)
        return self.annotations[-1]

    def polygon(
        self, image: int, *rings: list[float], category: int = 1, **fields: Any
    ) -> dict[str, Any]:
        """Add a polygon."""
        row = {"id": len(self.annotations) + 1, "image_id": image, "category_id": category}
        self.annotations.append(row | {"segmentation": list(rings)} | fields)
        return self.annotations[-1]

    def as_json(self) -> dict[str, Any]:
        """The file as a value."""
        return {
            "images": self.images,
            "annotations": self.annotations,
            "categories": self.categories,
            **self.tables,
        }

    def write(self, path: Path) -> Path:
        """Write the file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.as_json()))
        return path


def kinds(report: Any, loss: str | None = None) -> Mapping[str, int]:
    """Kind → count of findings."""
    return {kind: entry.count for found, kind, entry in report if loss in (None, found)}

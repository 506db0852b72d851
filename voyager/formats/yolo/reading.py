"""Reading YOLO: an item for each image, its labels from the text file that belongs to it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Final

from voyager.errors import InvalidDataError
from voyager.formats.base import Item, Source, decode_text, new_item_sample
from voyager.formats.folder_files import iter_files, read_file
from voyager.formats.known_images import known_name
from voyager.formats.reading import Reading
from voyager.formats.splits import split_of
from voyager.formats.yolo.config import (
    Config,
    is_yaml_file,
    read_data_file,
    read_names,
    read_yaml,
)
from voyager.formats.yolo.lines import (
    Line,
    Shape,
    box_of,
    keypoints_of,
    parse_lines,
    ring_of,
    shape_of,
)
from voyager.formats.yolo.parts import Parts, parse_sizes
from voyager.formats.yolo.tree import (
    Labels,
    Tree,
    find_tree,
    is_label_place,
    is_list_name,
    usual_image,
)
from voyager.schema import Box, Geometry, Image, Keypoints, Polygon, Region
from voyager.schema.convert import rectangle_of
from voyager.schema.measures import bounds
from voyager.schema.task import Skeleton
from voyager.schema.taxonomy import NodeId

KINDS: Final = ("auto", "detect", "segment", "pose", "obb")
_DERIVED = 1e-3
_OUTSIDE = 1e-6
_LOOKED_AT = 2000
_QUARTER_TURNS = (5, 6, 7, 8)


def read(source: Source, reading: Reading) -> Iterator[Item]:
    """The items of a dataset: of a folder, or of the data.yaml or obj.data in it."""
    yield from _Dataset(source, reading).items()


class _Dataset:
    def __init__(self, source: Source, reading: Reading) -> None:
        self._root = source.root
        self._reading = reading
        self._report = reading.report
        self._tree = find_tree(iter_files(source.root))
        chosen = "" if source.is_folder else source.path.name
        self._config = self._read_config(self._tree, chosen)
        self._nodes = self._read_classes()
        self._sizes = self._read_sizes()
        self._parts = self._read_parts()
        self._texts = {name for name in self._tree.texts if self._is_label(name)}
        self._labels = Labels(self._texts)
        self._pose, self._dimensions = self._pose_of()
        self._oriented: bool | None = None
        self._shared: set[str] = set()
        self._define()

    # -- what the dataset says of itself ---------------------------------------------------------

    def _text(self, name: str) -> str:
        return decode_text(read_file(self._root, name), name, self._report)

    def _read_config(self, tree: Tree, chosen: str) -> Config:
        for name in [chosen] if is_yaml_file(chosen) else sorted(tree.yamls, key=_config_rank):
            config = read_yaml(read_file(self._root, name), name, self._report)
            if config.names is not None or config.parts:
                return config
        for name in [chosen] if chosen.endswith(".data") else sorted(tree.datas):
            return read_data_file(self._text(name), name)
        return Config()

    def _read_classes(self) -> dict[int, NodeId]:
        names = self._config.names
        if names is None:
            for name in sorted(self._tree.names, key=lambda name: (name.count("/"), name)):
                names = read_names(self._text(name))
                break
        nodes: dict[int, NodeId] = {}
        for number, word in sorted((names or {}).items()):
            nodes[number] = self._reading.category(word or str(number))
        if len(set(nodes.values())) < len(nodes):
            self._report.add("approximated", "two classes have one name", self._config.path)
        self._named = bool(nodes)
        return nodes

    def _read_parts(self) -> Parts:
        tree = self._tree
        images = tree.images | self._sizes.keys()
        parts = Parts(self._config, images, tree.texts, self._text, self._report)
        for name in sorted(tree.texts - parts.lists):
            if is_list_name(name) and not is_label_place(name) and not self._config.parts:
                word = os.path.splitext(name.rpartition("/")[2])[0]
                parts.add_list(split_of(word), name)
        return parts

    def _read_sizes(self) -> dict[str, tuple[int, int] | None]:
        name = self._tree.sizes
        return {} if name is None else parse_sizes(self._text(name), name)

    def _is_label(self, name: str) -> bool:
        """Whether a text file holds labels: by its folder or its image, else by what is in it."""
        if name in self._parts.lists:
            return False
        if is_label_place(name):
            return True
        stem = os.path.splitext(name)[0]
        if any(stem + suffix in self._tree.images for suffix in (".jpg", ".png", ".jpeg")):
            return True
        return is_label_text(read_file(self._root, name)[:4096])

    def _pose_of(self) -> tuple[int, int]:
        """(numbers of a line with keypoints, numbers of a point); 0 where there are none."""
        config, kind = self._config, self._kind
        if kind == "pose" and not config.points:
            raise InvalidDataError(
                "kpt_shape is missing: how many points has an object?",
                path=config.path or "data.yaml",
            )
        if config.points and kind in ("auto", "pose"):
            return 4 + config.points * config.dimensions, config.dimensions
        return 0, 0

    @property
    def _kind(self) -> str:
        return self._reading.choice("kind", KINDS, "auto")

    def _define(self) -> None:
        reading, config = self._reading, self._config
        reading.define(scope="region")
        task = reading.draft.tasks[reading.task]
        if self._pose and task.skeleton is None:
            skeleton = Skeleton(names=config.point_names, flips=config.flips, edges=config.edges)
            task = task.replace(skeleton=skeleton)
        if config.own and not task.extra:
            task = task.replace(extra={"yolo": config.own})
            self._report.add("extra", "fields of the dataset are kept in its task", config.path)
        reading.draft.put_task(reading.task, task)

    # -- items -----------------------------------------------------------------------------------

    def items(self) -> Iterator[Item]:
        """An item for each image and for each label file without one."""
        names = self._image_names()
        used: set[str] = set()
        for done, name in enumerate(names):
            self._reading.progress(done, len(names))
            label = self._labels.of(name)
            if label is not None:
                if label in used:
                    self._report.add("guessed", "one label file belongs to two images", label)
                used.add(label)
            yield self._item(name, label)
        taken = set(names)
        for label in sorted(self._texts - used):
            stem = usual_image(label)
            name = known_name(self._reading, self._root, stem) or stem
            if name not in taken:
                taken.add(name)
                yield self._item(name, label)

    def _image_names(self) -> list[str]:
        """Images here that belong to the dataset, and those that lists name, in order."""
        parts = self._parts
        known = {*parts.by_image, *self._sizes}
        folders = [folder + "/" if folder else "" for folder in parts.by_folder]
        for name in self._tree.images:
            inside = any(name.startswith(folder) for folder in folders)
            if inside or not (parts.by_folder or parts.by_image) or self._labels.of(name):
                known.add(name)
        if parts.by_folder:
            splits = set(parts.by_folder.values())
            known |= {n for n in self._tree.images if parts.split(n) not in (None, *splits)}
        return sorted(known)

    def _item(self, name: str, label: str | None) -> Item:
        path = self._root / name if name in self._tree.images else None
        stated = self._sizes.get(name)
        image = Image() if stated is None else Image(width=stated[0], height=stated[1])
        regions: list[Region] = []
        coverage = self._reading.options.assume_exhaustive
        if label is not None:
            lines = list(parse_lines(self._text(label), label))
            coverage = coverage or not lines
            regions = list(self._regions(name, label, lines, stated))
        fields: dict[str, Any] = (
            {"coverage": {self._reading.task: "exhaustive"}} if coverage else {}
        )
        sample = new_item_sample(
            image=image, regions=regions, split=self._parts.split(name), **fields
        )
        return Item(name, sample, path, place=label or name)

    def _size(self, name: str, stated: tuple[int, int] | None) -> tuple[int, int] | None:
        """The size that numbers are parts of: of the image itself, else as it is stated."""
        found = self._reading.find(name)
        if found is not None and found.width and found.height:
            turned = found.orientation in _QUARTER_TURNS
            if turned and self._reading.options.frame == "upright":
                return found.height, found.width
            return found.width, found.height
        return stated

    # -- regions ---------------------------------------------------------------------------------

    def _regions(
        self, name: str, label: str, lines: list[Line], stated: tuple[int, int] | None
    ) -> Iterator[Region]:
        in_parts = any(not line.name for line in lines)
        size = self._size(name, stated) if in_parts else (1, 1)
        if size is None:
            self._report.add(
                "lost", "no size of the image is known: its labels were left out", label
            )
            return
        seen: set[tuple[int, Any]] = set()
        for line in lines:
            if (line.category, line.values) in seen and not line.name:
                self._report.add(
                    "extra", "a line stands twice and both were kept", f"{label}:{line.number}"
                )
            seen.add((line.category, line.values))
            yield self._region(label, line, size)

    def _region(self, label: str, line: Line, size: tuple[int, int]) -> Region:
        oriented = not line.name and len(line.values) in (8, 9) and self._is_oriented()
        shape = shape_of(line, label, pose=self._pose, oriented=oriented)
        place = f"{label}:{line.number}"
        labels = [self._reading.label(self._node(line, label))]
        flags = ("difficult",) if line.difficult else ()
        if not line.is_finite:
            self._report.add("lost", "a geometry is not made of finite numbers", place)
            text = " ".join(map(str, line.values))
            return self._reading.region(None, labels, extra={"source_geometry": text}, flags=flags)
        if not line.name and any(abs(value - 0.5) > 0.5 + _OUTSIDE for value in shape.values[:2]):
            self._report.add("extra", "a shape begins outside of the image and was kept", place)
        width, height = (1, 1) if line.name else size
        extra: dict[str, Any] = {}
        shapes = self._shapes(shape, width, height, place, extra)
        return self._reading.region(
            shapes,
            labels,
            primary=next(iter(shapes)) if len(shapes) > 1 else None,
            score=shape.score,
            extra=extra,
            flags=flags,
        )

    def _shapes(
        self, shape: Shape, width: int, height: int, place: str, extra: dict[str, Any]
    ) -> dict[str, Geometry]:
        if shape.kind == "box":
            return {"box": self._box(shape.values, width, height, place)}
        if shape.kind == "pose":
            return self._with_points(shape, width, height, place, extra)
        ring = ring_of(shape.values, width, height)
        if shape.kind == "corners":
            rectangle = rectangle_of(ring)
            if rectangle is not None:
                return {"rotated-box": rectangle}
            self._report.add("extra", "a rotated box has no right angles: it is a polygon", place)
        return {"polygon": Polygon(((ring,),))}

    def _box(self, values: tuple[float, ...], width: int, height: int, place: str) -> Box:
        box = Box(*box_of(values, width, height))
        if values[2] <= 0 or values[3] <= 0:
            self._report.add("extra", "a box has no area and was kept", place)
        return box

    def _with_points(
        self, shape: Shape, width: int, height: int, place: str, extra: dict[str, Any]
    ) -> dict[str, Geometry]:
        """Keypoints and their box, which is left out where it only bounds them."""
        box = self._box(shape.values[:4], width, height, place)
        points, seen, odd = keypoints_of(shape.values[4:], self._dimensions, width, height)
        if odd:
            extra["keypoint_scores"] = [
                float(value) for value in shape.values[6 :: self._dimensions]
            ]
            self._report.add("extra", "scores of keypoints", place)
        if not any(seen):
            return {"box": box}
        shown = Keypoints(points, seen)  # type: ignore[arg-type]
        around = bounds(shown)
        corners = (box.x0, box.y0, box.x1, box.y1)
        if around is not None and all(
            abs(one - other) <= _DERIVED for one, other in zip(corners, around, strict=True)
        ):
            return {"keypoints": shown}
        return {"keypoints": shown, "box": box}

    def _node(self, line: Line, label: str) -> NodeId:
        if line.name:
            return self._reading.category(line.name)
        node = self._nodes.get(line.category)
        if node is None:
            if self._named:
                raise InvalidDataError(
                    f"class {line.category} is none of the {len(self._nodes)} named ones",
                    path=label,
                    line=line.number,
                )
            kind = "classes have no names: their numbers are their names"
            if not self._report.count("guessed", kind):
                self._report.add("guessed", kind, label)
            node = self._nodes[line.category] = self._reading.category(str(line.category))
        return node

    # -- rotated boxes or polygons ---------------------------------------------------------------

    def _is_oriented(self) -> bool:
        """Whether lines of 8 numbers are rotated boxes: as it is said, else by a guess."""
        if self._oriented is None:
            stated = self._kind if self._kind != "auto" else self._config.task
            if stated:
                self._oriented = stated == "obb"
            else:
                self._oriented = self._looks_oriented()
                word = "corners of rotated boxes" if self._oriented else "polygons of four points"
                self._report.add("guessed", f"8 numbers are {word} (--set kind= says it)")
        return self._oriented

    def _looks_oriented(self) -> bool:
        """All polygons of the first files have four points and, where sizes are known, right
        angles."""
        for label in sorted(self._texts)[:_LOOKED_AT]:
            lines = list(parse_lines(self._text(label), label))
            counts = {len(line.values) for line in lines if not line.name}
            if any(
                count >= 6 and count not in (8, 9, self._pose, self._pose + 1) for count in counts
            ):
                return False
            if counts & {8, 9} and not self._are_right(label, lines):
                return False
        return True

    def _are_right(self, label: str, lines: list[Line]) -> bool:
        name = known_name(self._reading, self._root, usual_image(label)) or usual_image(label)
        size = self._size(name, self._sizes.get(name))
        if size is None:
            return True
        rings = (line.values[:8] for line in lines if len(line.values) in (8, 9) and line.is_finite)
        return all(rectangle_of(ring_of(ring, *size), 1.5) is not None for ring in rings)


def _config_rank(name: str) -> tuple[bool, int, str]:
    usual = name.rpartition("/")[2] in ("data.yaml", "data.yml", "dataset.yaml")
    return not usual, name.count("/"), name


def is_label_text(head: bytes) -> bool:
    """Whether a text looks like labels: a class and at least 4 numbers a line."""
    lines = [line.split() for line in head.decode(errors="replace").splitlines()[:5]]
    if len(head) >= 4096 and len(lines) > 1:
        del lines[-1]
    full = [words for words in lines if words]
    return bool(full) and all(map(_is_label_line, full))


def _is_label_line(words: list[str]) -> bool:
    if len(words) == 10 and not _is_number(words[8]):
        return all(map(_is_number, words[:8])) and words[9] in ("0", "1", "2")
    return len(words) >= 5 and words[0].isdecimal() and all(map(_is_number, words[1:]))


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True

"""CVAT for video: one file for each group of samples, regions with one track together.

Frames are numbered by `group.index`. A region without a track becomes a track of one frame whose id
says so, and comes back as it was; CVAT itself gives tracks ids of its own.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from voyager.formats.base import Detection, Format, Source
from voyager.formats.cvat import HOLDS as IMAGE_HOLDS
from voyager.formats.cvat.meta import FRAMES
from voyager.formats.cvat.reading import FRAME_NAME, NO_STATE, UNTRACKED, detect_kind, read
from voyager.formats.cvat.writing import ShapeWriter, Xml
from voyager.formats.writing import Writing, flat_name
from voyager.schema import Region, Sample


@dataclass(frozen=True, slots=True)
class _Frame:
    """One sample as a frame of its video."""

    at: int
    key: str
    sample: Sample


HOLDS = replace(IMAGE_HOLDS, image_labels="none", tracks=True, group=True, split=False)


def detect(source: Source) -> Detection | None:
    """CVAT for video, by the <annotations> and tracks of an XML file."""
    return detect_kind(source, video=True)


def write(writing: Writing) -> None:
    """Write each group as a video: in the root when there is one, else in folders of their own."""
    videos = _videos(writing)
    shapes = ShapeWriter(writing)
    shapes.write_labels()
    taken: set[str] = set()
    for group, frames in videos.items():
        folder = "" if len(videos) == 1 else flat_name(group, taken) + "/"
        _write_video(shapes, group, frames, folder)


def _videos(writing: Writing) -> dict[str, list[_Frame]]:
    groups: dict[str, list[tuple[str, Sample]]] = defaultdict(list)
    for key, sample in writing.samples():
        if sample.group is None:
            writing.report.add("lost", "an image of no group is in no video", key)
            continue
        groups[sample.group.id].append((key, sample))
    return {group: _frames(writing, pairs) for group, pairs in sorted(groups.items())}


def _frames(writing: Writing, pairs: Iterable[tuple[str, Sample]]) -> list[_Frame]:
    """The frames of a group by their index; those without one, or with one that is taken, last."""
    by_count = writing.choice("frames", ("index", "count"), "index") == "count"
    found: dict[int, _Frame] = {}
    late: list[tuple[str, Sample]] = []
    for key, sample in sorted(pairs, key=_order):
        index = None if sample.group is None else sample.group.index
        if index is None or index < 0 or index in found:
            late.append((key, sample))
        else:
            found[index] = _Frame(index, key, sample)
    for key, sample in late:
        writing.report.add("approximated", "a frame without a number of its own got one", key)
        at = max(found, default=-1) + 1
        found[at] = _Frame(at, key, sample)
    frames = [found[at] for at in sorted(found)]
    if not by_count:
        return frames
    return [_Frame(at, frame.key, frame.sample) for at, frame in enumerate(frames)]


def _order(pair: tuple[str, Sample]) -> tuple[int, str]:
    group = pair[1].group
    return (0 if group is None or group.index is None else group.index, pair[0])


def _write_video(shapes: ShapeWriter, group: str, frames: list[_Frame], folder: str) -> None:
    writing = shapes.writing
    for frame in frames:
        name = FRAME_NAME.format(frame.at) + os.path.splitext(frame.key)[1]
        stored = writing.image(frame.key, frame.sample, f"{folder}images/{name}")
        writing.named(f"{folder}{FRAME_NAME.format(frame.at)}.PNG", frame.key)  # without images
        if stored:
            writing.named(f"{folder}images/{name}", frame.key)
    with writing.open(f"{folder}annotations.xml") as file:
        xml = Xml(file, writing)
        with xml.inside("annotations"):
            xml.text("version", "1.1")
            shapes.write_meta(xml, _task(group, frames))
            for (_, track), regions in sorted(_tracks(shapes, frames).items()):
                _write_track(shapes, xml, track, regions)


def _task(group: str, frames: list[_Frame]) -> dict[str, Any]:
    first = frames[0].sample.image
    task: dict[str, Any] = {
        "name": group,
        "size": len(frames),
        "mode": "interpolation",
        "start_frame": frames[0].at,
        "stop_frame": frames[-1].at,
        FRAMES: " ".join(str(frame.at) for frame in frames),
        "width": first.width,
        "height": first.height,
    }
    splits = {frame.sample.split for frame in frames}
    if len(splits) == 1 and None not in splits:
        task["subset"] = splits.pop()
    return task


_Tracks = dict[tuple[int, tuple[str, str]], list[tuple[_Frame, Region]]]


def _tracks(shapes: ShapeWriter, frames: list[_Frame]) -> _Tracks:
    """Regions by (rank, (track, class)); those without a track are tracks of one frame."""
    writing = shapes.writing
    found: _Tracks = defaultdict(list)
    ranks: dict[tuple[str, str], int] = {}
    single = 0
    for frame in frames:
        for region in frame.sample.regions:
            label = writing.category(region.labels)
            if label is None or region.geometry is None:
                continue
            track = region.track
            if track is None:
                track, single = f"{UNTRACKED}{single}", single + 1
            pair = (track, writing.class_name(label))
            rank = ranks.setdefault(pair, len(ranks))
            found[rank, pair].append((frame, region))
    return found


def _write_track(
    shapes: ShapeWriter, xml: Xml, track: tuple[str, str], regions: list[tuple[_Frame, Region]]
) -> None:
    first = regions[0][1]
    fields = {
        "id": track[0],
        "label": track[1],
        "source": shapes.source(first),
        "group_id": first.extra.get("group_id"),
    }
    with xml.inside("track", fields):
        for frame, region in regions:
            state = region.frame_state or "keyframe"
            here: dict[str, Any] = {
                "frame": frame.at,
                "keyframe": int(state != "interpolated"),
                "outside": int(state == "outside"),
            }
            if region.track is not None and region.frame_state is None:
                here["state"] = NO_STATE
            shapes.write_region(xml, region, frame.key, here)


FORMAT = Format(
    name="cvat-video",
    title="CVAT for video 1.1",
    detect=detect,
    read=read,
    write=write,
    holds=HOLDS,
    settings={
        "frames": "export: index (default: frames are numbered as in their group) or count (from 0)"
    },
)

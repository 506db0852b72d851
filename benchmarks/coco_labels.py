"""A COCO file of the size and shape of instances_train2017: polygons, boxes, areas, crowds."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np

IMAGES = 118_287
ANNOTATIONS = 860_001
CLASSES = 80
_WIDTH, _HEIGHT = 640, 480


def write_coco(
    path: Path,
    *,
    images: int = IMAGES,
    annotations: int = ANNOTATIONS,
    seed: int = 1,
    changed: int = 0,
) -> None:
    """Write the file; with `changed`, so many annotations are moved or get another class."""
    rng = np.random.default_rng(seed)
    ids = rng.permutation(600_000)[:images]
    owners = ids[rng.integers(0, images, annotations)]
    vertices = np.clip(rng.geometric(1 / 16, annotations) + 3, 4, 120)
    centres = rng.uniform((20, 20), (_WIDTH - 20, _HEIGHT - 20), (annotations, 2))
    radii = np.clip(rng.lognormal(3.4, 0.8, annotations), 3, 200)
    classes = rng.integers(0, CLASSES, annotations)
    crowd = rng.random(annotations) < 0.012
    picked = set(random.Random(seed + 1).sample(range(annotations), changed))
    with path.open("w") as file:
        file.write(
            '{"info": {"description": "generated", "year": 2017}, "licenses": [], "images": ['
        )
        file.write(
            ", ".join(
                f'{{"license": 3, "file_name": "{n:012d}.jpg", "coco_url": '
                f'"http://images.example.org/train2017/{n:012d}.jpg", "height": {_HEIGHT}, '
                f'"width": {_WIDTH}, "date_captured": "2013-11-14 11:18:45", "id": {n}}}'
                for n in ids.tolist()
            )
        )
        file.write('], "annotations": [')
        for number in range(annotations):
            file.write(", " if number else "")
            file.write(
                _annotation(
                    number,
                    int(owners[number]),
                    int(classes[number]),
                    int(vertices[number]),
                    centres[number],
                    float(radii[number]),
                    rng,
                    crowd=bool(crowd[number]),
                    change=number in picked,
                )
            )
        categories = [
            {"supercategory": f"group {n // 8}", "id": n + 1 + n // 10, "name": f"class {n}"}
            for n in range(CLASSES)
        ]
        file.write(f'], "categories": {json.dumps(categories)}}}')


def _annotation(
    number: int,
    owner: int,
    label: int,
    vertices: int,
    centre: np.ndarray,
    radius: float,
    rng: np.random.Generator,
    *,
    crowd: bool,
    change: bool,
) -> str:
    angles = np.sort(rng.random(vertices)) * (2 * np.pi)
    reach = radius * (0.6 + 0.4 * rng.random(vertices))
    if change and number % 3 == 0:
        label = (label + 1) % CLASSES
    elif change:
        centre = centre + 3.0
    ring = np.empty(2 * vertices)
    ring[0::2] = np.clip(centre[0] + reach * np.cos(angles), 0, _WIDTH)
    ring[1::2] = np.clip(centre[1] + reach * np.sin(angles), 0, _HEIGHT)
    ring = ring.round(2)
    x, y = ring[0::2], ring[1::2]
    box = [float(x.min()), float(y.min()), float(x.max() - x.min()), float(y.max() - y.min())]
    box = [round(side, 2) for side in box]
    area = round(float(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2), 4)
    if crowd:
        start = int(centre[0]) * _HEIGHT + int(centre[1])
        counts = [start, 40, 440, 40, 440, 40, _WIDTH * _HEIGHT - start - 1000]
        shape = f'{{"counts": {counts}, "size": [{_HEIGHT}, {_WIDTH}]}}'
    else:
        shape = f"[{ring.tolist()}]"
    return (
        f'{{"segmentation": {shape}, "area": {area}, "iscrowd": {int(crowd)}, "image_id": {owner}, '
        f'"bbox": {box}, "category_id": {label + 1 + label // 10}, "id": {900_100 + number}}}'
    )

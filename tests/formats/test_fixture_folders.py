"""Datasets as other tools write them: each is detected and read, or refused with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from voyager.errors import VoyagerError
from voyager.formats import registry
from voyager.formats.collecting import collect

DATA = Path(__file__).parents[1] / "data" / "formats"

READ = {
    # source: format, images, regions, labels of images
    "datumaro/camvid": ("masks", 4, 10, 0),
    "datumaro/coco/coco": ("coco", 14, 11, 6),
    "datumaro/coco/coco_captions": ("coco", 2, 0, 3),
    "datumaro/coco/coco_image_info": ("coco", 2, 0, 0),
    "datumaro/coco/coco_instances": ("coco", 2, 3, 0),
    "datumaro/coco/coco_labels": ("coco", 2, 0, 3),
    "datumaro/coco/coco_panoptic": ("coco", 2, 3, 0),
    "datumaro/coco/coco_person_keypoints": ("coco", 2, 3, 0),
    "datumaro/coco/coco_roboflow": ("coco", 2, 3, 0),
    "datumaro/coco/coco_stuff": ("coco", 2, 2, 0),
    "datumaro/coco/mmdet_coco": ("coco", 2, 3, 0),
    "datumaro/common_semantic_segmentation/dataset": ("masks", 2, 4, 0),
    "datumaro/common_semantic_segmentation/non_standard_dataset": ("masks", 2, 5, 0),
    "datumaro/cvat/for_images": ("cvat", 8, 16, 0),
    "datumaro/cvat/for_video": ("cvat-video", 3, 7, 0),
    "datumaro/dota": ("yolo", 3, 4, 0),
    "datumaro/imagenet": ("folders", 4, 0, 3),
    "datumaro/imagenet_subsets": ("folders", 12, 0, 9),
    "datumaro/roboflow/coco": ("coco", 3, 4, 0),
    "datumaro/roboflow/voc": ("voc", 3, 4, 0),
    "datumaro/roboflow/yolo": ("yolo", 3, 4, 0),
    "datumaro/roboflow/yolo_obb": ("yolo", 3, 4, 0),
    "datumaro/voc/voc_dataset1": ("voc", 2, 3, 9),
    "datumaro/voc/voc_dataset2": ("voc", 5, 4, 0),
    "datumaro/voc/voc_dataset3": ("voc", 1, 1, 0),
    "datumaro/vott_csv/dataset": ("table", 4, 5, 0),
    "datumaro/vott_csv/dataset_with_meta_file": ("table", 2, 2, 0),
    "datumaro/yolo/annotations": ("yolo", 1, 2, 0),
    "datumaro/yolo/labels": ("yolo", 2, 4, 0),
    "datumaro/yolo/strict": ("yolo", 1, 2, 0),
    "label_studio/test_export_coco/data.json": ("label-studio", 1, 4, 0),
    "label_studio/test_export_csv/csv_test.json": ("label-studio", 2, 5, 0),
    "label_studio/test_export_doclang/data.json": ("label-studio", 3, 2, 1),
    "label_studio/test_export_json_min/data.json": ("label-studio", 1, 1, 0),
    "label_studio/test_export_yolo": ("label-studio", 7, 33, 0),
    "label_studio/test_import_coco": ("coco", 2, 2, 0),
    "label_studio/test_import_yolo_data": ("yolo", 7, 13, 0),
    "label_studio/test_import_yolo_data_unif_dims": ("yolo", 5, 19, 0),
    "nuclei": ("masks", 8, 85, 0),
    "roboflow_sharks/coco": ("coco", 10, 60, 0),
    "roboflow_sharks/yolov9": ("yolo", 10, 60, 0),
}

UNKNOWN = "is in no format that vgr knows"

REFUSED = {
    # source: words of the error, the format where one was detected
    "datumaro/ade20k2017/dataset": UNKNOWN,
    "datumaro/cityscapes/dataset": UNKNOWN,
    "datumaro/cityscapes/train_dataset": UNKNOWN,
    "datumaro/datumaro/legacy": UNKNOWN,
    "datumaro/image_dir": UNKNOWN,
    "datumaro/image_zip": UNKNOWN,
    "datumaro/imagenet_txt/basic": UNKNOWN,
    "datumaro/imagenet_txt/custom_labels": UNKNOWN,
    "datumaro/imagenet_txt/no_labels": UNKNOWN,
    "datumaro/compat/v0.1": UNKNOWN,
    "datumaro/labelme": UNKNOWN,  # the XML of the old LabelMe
    "datumaro/mnist_csv": UNKNOWN,
    "datumaro/mot/mot_seq": UNKNOWN,
    "datumaro/mots": UNKNOWN,
    "datumaro/mvtec": UNKNOWN,
    "datumaro/open_images/v5": UNKNOWN,
    "datumaro/roboflow": "could be",  # several datasets side by side
    "datumaro/roboflow/createml": UNKNOWN,
    "datumaro/roboflow/multiclass": UNKNOWN,
    "datumaro/roboflow/tfrecord": UNKNOWN,
    "datumaro/segment_anything": UNKNOWN,
    "datumaro/tf_detection_api": UNKNOWN,
    "datumaro/vott_json/dataset": UNKNOWN,
    "datumaro/widerface": UNKNOWN,
    "label_studio/test_export_csv/csv_test2.json": "no task has an image",
    "label_studio/test_export_json_min/chat_data.json": "no task has an image",
}


@pytest.mark.parametrize("name", READ)
def test_is_read(name: str) -> None:
    form, why = registry.detect(DATA / name)
    wanted = READ[name]
    assert form.name == wanted[0], why
    items = collect(form, DATA / name).items
    samples = [item.sample for item in items]
    regions = sum(len(sample.regions) for sample in samples)
    labels = sum(len(sample.labels) for sample in samples)
    assert (len(items), regions, labels) == wanted[1:]


@pytest.mark.parametrize("name", REFUSED)
def test_is_refused_in_words(name: str) -> None:
    with pytest.raises(VoyagerError) as caught:
        form, _ = registry.detect(DATA / name)
        collect(form, DATA / name)
    assert REFUSED[name] in caught.value.message


def test_everything_is_in_the_tables() -> None:
    """No dataset of the fixtures is forgotten."""
    tables = {*READ, *REFUSED}
    known = {name for one in tables for name in (one, *map(str, Path(one).parents))}
    known |= {folder for one in tables for folder in _below(DATA / one)}
    folders = {path.relative_to(DATA).as_posix() for path in DATA.glob("*/*") if path.is_dir()}
    assert not folders - known


def _below(path: Path) -> set[str]:
    return {found.relative_to(DATA).as_posix() for found in path.rglob("*") if found.is_dir()}

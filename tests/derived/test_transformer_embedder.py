"""Models in folders: what they make of images and texts, and what is said of folders that are none.

The checkpoints are tiny and random and written by the tests; the library itself is the peer.
"""

from __future__ import annotations

import json
import pickle
import shutil
import socket
import struct
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
import transformers
from checkpoints import CHECKPOINTS, HALF, write_clip, write_preprocessor, write_siglip, write_vit
from derived_images import encoded, photos, picture, reader

from voyager.derived.cache import DerivedCache
from voyager.derived.embeddings import Embedder, embedding, open_embedder, refuse_mixing, vectors
from voyager.derived.picture import Picture
from voyager.derived.transformer_embedder import TransformerEmbedder
from voyager.derived.transformer_folder import KINDS
from voyager.derived.transformer_preprocessing import read_preprocessing
from voyager.errors import InvalidDataError, MissingExtraError, UsageError, VoyagerError

EACH = pytest.mark.parametrize("kind", CHECKPOINTS)

PROCESSORS = {
    "vit": "ViTImageProcessorPil",
    "dinov2": "BitImageProcessorPil",
    "clip": "CLIPImageProcessorPil",
    "siglip": "SiglipImageProcessorPil",
}


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {kind: write(root / kind) for kind, write in CHECKPOINTS.items()}


@pytest.fixture(scope="session")
def opened(written: dict[str, Path]) -> dict[str, Embedder]:
    return {kind: open_embedder(str(folder), device="cpu") for kind, folder in written.items()}


def photo_data(count: int) -> list[bytes]:
    return list(photos(count).values())


def rows(embedder: Embedder, data: list[bytes]) -> np.ndarray:
    return embedder.embed([embedder.prepare(Picture(one)) for one in data])


# --- what a model makes of images and texts ---


@EACH
def test_vectors_are_those_of_the_library(
    kind: str, written: dict[str, Path], opened: dict[str, Embedder]
) -> None:
    processor = getattr(transformers, PROCESSORS[kind]).from_pretrained(written[kind])
    images = [picture(data).resize((90, 120)) for data in photo_data(6)]
    inputs = processor(images, return_tensors="pt")["pixel_values"]
    model = transformers.AutoModel.from_pretrained(written[kind]).eval()
    with torch.no_grad():
        if kind in ("clip", "siglip"):
            theirs = model.get_image_features(pixel_values=inputs).pooler_output
        else:
            theirs = model(pixel_values=inputs).last_hidden_state[:, 0]
    theirs = torch.nn.functional.normalize(theirs, dim=1).numpy()
    ours = rows(opened[kind], [encoded(image, "PNG") for image in images])
    assert ours.shape == (6, opened[kind].dims)
    assert (ours * theirs).sum(axis=1).min() > 0.9999


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_texts_lie_where_the_library_puts_them(
    kind: str, written: dict[str, Path], opened: dict[str, Embedder]
) -> None:
    texts = ["a red dress", "Blue shoes", "photo of a hat", "words " * 50, ""]
    model = transformers.AutoModel.from_pretrained(written[kind]).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(written[kind])
    how = {"padding": "max_length" if kind == "siglip" else True, "truncation": True}
    tokens = tokenizer(texts, **how, max_length=12, return_tensors="pt")
    with torch.no_grad():
        theirs = model.get_text_features(input_ids=tokens["input_ids"]).pooler_output
    theirs = torch.nn.functional.normalize(theirs, dim=1).numpy()
    text = opened[kind].text
    assert text is not None
    ours = text.embed_text(texts)
    assert np.abs(ours - theirs).max() < 1e-5
    assert np.abs(text.embed_text(texts[:1]) - ours[:1]).max() < 1e-5
    assert text.embed_text([]).shape == (0, opened[kind].dims)


def test_models_of_images_alone_have_no_text(opened: dict[str, Embedder], tmp_path: Path) -> None:
    assert opened["vit"].text is None
    assert opened["dinov2"].text is None
    folder = write_clip(tmp_path / "clip")
    (folder / "tokenizer.json").unlink()
    assert open_embedder(str(folder)).text is None


@EACH
def test_a_batch_changes_nothing_that_counts(kind: str, opened: dict[str, Embedder]) -> None:
    together = rows(opened[kind], photo_data(8) * 9)
    alone = np.concatenate([rows(opened[kind], [one]) for one in photo_data(5)])
    assert np.abs(together[:5] - alone).max() < 1e-4
    assert rows(opened[kind], []).shape == (0, opened[kind].dims)


def test_embeddings_of_a_model_are_derived_values(
    opened: dict[str, Embedder], tmp_path: Path
) -> None:
    method = embedding(opened["clip"])
    assert (method.cost, method.size) == ("model", 48)
    values = DerivedCache(tmp_path).compute(method, photos(40), reader(photos()))
    assert np.abs(vectors(values) - rows(opened["clip"], photo_data(40))).max() < 2e-3
    with pytest.raises(UsageError, match="cannot be compared"):
        refuse_mixing(opened["clip"].model_id, opened["vit"].model_id)


def test_grey_cmyk_and_turned_images_are_taken(opened: dict[str, Embedder]) -> None:
    image = picture(photo_data(1)[0])
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    turned = encoded(image.transpose(PIL.Image.Transpose.ROTATE_90), "PNG", exif=exif)
    found = rows(
        opened["dinov2"],
        [
            encoded(image, "PNG"),
            turned,
            encoded(image.convert("CMYK"), quality=95),
            encoded(image.convert("L"), "PNG"),
            encoded(PIL.Image.new("1", (1, 1)), "PNG"),
            encoded(PIL.Image.new("RGB", (5000, 1), "red"), "PNG"),
        ],
    )
    assert np.isfinite(found).all()
    assert np.array_equal(found[0], found[1])
    assert found[0] @ found[2] > 0.99


def test_bad_images_have_no_value(opened: dict[str, Embedder]) -> None:
    vast = bytearray(encoded(PIL.Image.new("RGB", (8, 8)), "BMP"))
    vast[18:26] = (1 << 30).to_bytes(4, "little") * 2
    method = embedding(opened["vit"])
    bad, huge, good = method([b""] * 3, [b"no image", bytes(vast), photo_data(1)[0]])
    assert (bad, huge) == (None, None)
    assert good is not None


def test_a_crop_is_embedded_from_its_pixels(opened: dict[str, Embedder]) -> None:
    image = picture(photo_data(1)[0]).resize((300, 400))
    crop = Picture(encoded(image, "PNG")).crop((40, 100, 171, 320))
    cut = Picture(encoded(image.crop((40, 100, 171, 320)), "PNG"))
    for embedder in opened.values():
        assert np.array_equal(embedder.prepare(crop), embedder.prepare(cut))


def test_a_large_jpeg_is_decoded_in_part_and_hardly_differs(opened: dict[str, Embedder]) -> None:
    large = picture(photo_data(1)[0]).resize((600, 800))
    stored = [encoded(large, quality=95), encoded(large, "BMP")]
    for embedder in opened.values():
        ours = rows(embedder, stored)
        assert ours[0] @ ours[1] > 0.995


def test_an_embedder_is_opened_again_in_another_process(opened: dict[str, Embedder]) -> None:
    again = pickle.loads(pickle.dumps(opened["vit"]))
    assert again.model_id == opened["vit"].model_id
    assert np.array_equal(rows(again, photo_data(2)), rows(opened["vit"], photo_data(2)))


def test_no_socket_is_opened_and_nothing_is_printed(
    written: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was made")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    for folder in written.values():
        embedder = open_embedder(str(folder))
        assert isinstance(embedder, TransformerEmbedder)
        if embedder.text is not None:
            embedder.text.embed_text(["a hat"])
    assert capfd.readouterr() == ("", "")


# --- the id of a model ---


def test_the_id_follows_weights_and_preprocessing_and_not_the_folder(tmp_path: Path) -> None:
    first = write_vit(tmp_path / "one")
    shutil.copytree(first, tmp_path / "two")
    ids = [open_embedder(str(first)).model_id, open_embedder(str(tmp_path / "two")).model_id]
    assert len(ids[0]) == 32
    assert ids[0] == ids[1]
    assert open_embedder(str(tmp_path / "two")).name == "two"

    config = json.loads((first / "config.json").read_text())
    (first / "config.json").write_text(json.dumps(config | {"transformers_version": "9.9"}))
    ids.append(open_embedder(str(first)).model_id)
    write_preprocessor(first, size=32, image_mean=[0.4, 0.5, 0.5], image_std=HALF, resample=2)
    ids.append(open_embedder(str(first)).model_id)
    ids.append(open_embedder(str(write_vit(tmp_path / "three", seed=2))).model_id)
    assert ids[0] == ids[2]
    assert len(set(ids)) == 3


def test_weights_in_parts_are_read(tmp_path: Path) -> None:
    whole = write_vit(tmp_path / "whole")
    torch.manual_seed(1)
    model = transformers.AutoModelForImageClassification.from_pretrained(whole)
    model.save_pretrained(tmp_path / "parts", max_shard_size="20KB")
    shutil.copy(whole / "preprocessor_config.json", tmp_path / "parts")
    names = sorted(path.name for path in (tmp_path / "parts").glob("*.safetensors"))
    assert len(names) > 1
    one, other = (open_embedder(str(tmp_path / name)) for name in ("whole", "parts"))
    assert np.allclose(rows(one, photo_data(3)), rows(other, photo_data(3)), atol=1e-6)
    (tmp_path / "parts" / names[1]).unlink()
    with pytest.raises(InvalidDataError, match=f"{names[1]} is named there and missing"):
        open_embedder(str(tmp_path / "parts"))


# --- folders that are no model ---


def refused(folder: Path, kind: type[VoyagerError] = InvalidDataError) -> str:
    with pytest.raises(kind) as caught:
        open_embedder(str(folder))
    assert caught.value.path is not None
    return caught.value.message


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    assert "no config.json" in refused(tmp_path)
    (tmp_path / "config.json").write_text("{")
    assert "not JSON" in refused(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    assert "not a JSON object" in refused(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    message = refused(tmp_path, UsageError)
    assert message == (
        "a model of type 'bert' makes no embeddings here; there are " + ", ".join(KINDS)
    )


def test_a_folder_with_parts_missing_is_named(tmp_path: Path) -> None:
    folder = write_vit(tmp_path / "vit")
    (folder / "preprocessor_config.json").rename(tmp_path / "kept")
    assert "no preprocessor_config.json" in refused(folder)
    (tmp_path / "kept").rename(folder / "preprocessor_config.json")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "no model.safetensors in it; weights in pickles are not read" in refused(folder)


def test_damaged_weights_are_named(tmp_path: Path) -> None:
    folder = write_vit(tmp_path / "vit")
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    for damaged in (b"", whole[:40], b"\xff" * 100, whole[: len(whole) // 2]):
        weights.write_bytes(damaged)
        assert refused(folder).startswith("unreadable: ")


def test_weights_that_lack_or_do_not_fit_are_named(tmp_path: Path) -> None:
    folder = write_vit(tmp_path / "vit")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    assert "weights are missing" in refused(folder)
    (folder / "config.json").write_text(json.dumps(config | {"hidden_size": 64}))
    refused(folder)


def test_images_of_another_size_than_the_model_takes_are_named(tmp_path: Path) -> None:
    folder = write_vit(tmp_path / "vit")
    write_preprocessor(folder, size={"height": 48, "width": 48})
    assert "does not take images of 48x48" in refused(folder)


def test_a_broken_tokenizer_is_named(tmp_path: Path) -> None:
    folder = write_siglip(tmp_path / "siglip")
    (folder / "tokenizer.json").write_text("{}")
    assert "unreadable tokenizer" in refused(folder)


def test_an_older_tokenizer_is_read(tmp_path: Path) -> None:
    folder = write_clip(tmp_path / "clip")
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "CLIPTokenizer"}')
    words = ["<|startoftext|>", "a</w>", "h", "t</w>", "hat</w>", "a", "ha", "t", "x", "y"]
    vocab = {word: i for i, word in enumerate([*words, "<|endoftext|>"])}
    (folder / "vocab.json").write_text(json.dumps(vocab))
    (folder / "merges.txt").write_text("#version: 0.2\nh a\nha t</w>\n")
    text = open_embedder(str(folder)).text
    assert text is not None
    one, same, other = text.embed_text(["A hat", "a  hat ", "hat"])
    assert np.allclose(one, same, atol=1e-6)
    assert not np.allclose(one, other, atol=1e-3)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"size": {"height": 0, "width": 32}}, "size: 0"),
        ({"size": {"height": 1 << 30, "width": 32}}, "size: 1073741824"),
        ({"size": {"longest_edge": 32}}, "size: None"),
        ({"size": "large"}, "size: 'large'"),
        ({"size": 32, "do_center_crop": True, "crop_size": 64}, "crop_size: 64x64 of 32x32"),
        ({"do_resize": False}, "do_resize: a model that takes images of any size"),
        ({"do_normalize": "yes"}, "do_normalize: 'yes'"),
        ({"resample": 17}, "resample: 17"),
        ({"image_std": [0, 1, 1]}, "image_std: "),
        ({"image_mean": [0.5]}, "image_mean: "),
        ({"rescale_factor": float("inf")}, "rescale_factor: inf"),
    ],
)
def test_preprocessing_that_cannot_be_done_is_named(
    fields: dict[str, object], said: str, tmp_path: Path
) -> None:
    write_preprocessor(tmp_path, **fields)
    with pytest.raises(InvalidDataError) as caught:
        read_preprocessing(tmp_path, KINDS["vit"].usual)
    assert caught.value.message.startswith(said)
    assert caught.value.path == str(tmp_path / "preprocessor_config.json")


def test_preprocessing_is_found_in_the_file_of_newer_processors(tmp_path: Path) -> None:
    told = {"image_processor": {"size": 240, "resample": 3}, "processor_class": "CLIPProcessor"}
    (tmp_path / "processor_config.json").write_text(json.dumps(told))
    found = read_preprocessing(tmp_path, KINDS["vit"].usual)
    assert (found.size, found.resample) == ((240, 240), PIL.Image.Resampling.BICUBIC)
    clip = read_preprocessing(tmp_path, KINDS["clip"].usual)
    assert (clip.shortest, clip.crop) == (240, (224, 224))


def test_a_missing_extra_is_named(
    written: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(MissingExtraError) as caught:
        open_embedder(str(written["vit"]))
    assert caught.value.message == "models in folders need transformers, which is not installed"
    assert caught.value.hint == "pip install 'voyager-vgr[embeddings]'"


def test_a_device_that_is_not_there_is_named(written: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match="no device 'tpu' here; there are cpu"):
        open_embedder(str(written["vit"]), device="tpu")


def test_a_claimed_size_of_weights_costs_no_memory(tmp_path: Path) -> None:
    folder = write_vit(tmp_path / "vit")
    header = json.dumps(
        {"vit.x": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}
    ).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    assert refused(folder).startswith("unreadable: ")

"""The open_clip encoder: small random models of the library's real classes."""

import json
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seehear.encoders.open_clip import OpenClipEncoder, load_open_clip
from seehear.errors import (
    ModelIntegrityError,
    ModelUnavailableError,
    UnknownModelError,
    UsageError,
)
from seehear.types import ImageSample, Modality, VideoSample
from tests.encoders.conftest import SMALL_CLIP

ARCHITECTURES = ["seehear-small-clip", "seehear-small-pe"]


@pytest.fixture(scope="module", params=ARCHITECTURES)
def encoder(request: pytest.FixtureRequest, small_open_clip: Path) -> OpenClipEncoder:
    return load_open_clip(f"{request.param}/{small_open_clip / request.param}.safetensors", "cpu")


def library_model(architecture: str, folder: Path, **settings: Any) -> tuple[Any, Any, Any]:
    """The same model as the library itself would make it."""
    import open_clip

    model, _, transform = open_clip.create_model_and_transforms(
        architecture, pretrained=str(folder / f"{architecture}.safetensors"), **settings
    )
    return model.eval(), transform, open_clip.get_tokenizer(architecture)


def test_pictures_and_texts_are_those_of_the_library(
    encoder: OpenClipEncoder, small_open_clip: Path, pictures: list[ImageSample]
) -> None:
    import torch
    from PIL import Image

    architecture = encoder.space.name.removeprefix("open_clip:")
    model, transform, tokenizer = library_model(architecture, small_open_clip)
    inputs = torch.stack([transform(Image.fromarray(picture.pixels)) for picture in pictures])
    for picture, expected in zip(pictures, inputs, strict=True):
        torch.testing.assert_close(encoder.prepare(picture), expected, rtol=0, atol=0)
    texts = ["a red car", "the sea at night"]
    with torch.no_grad():
        images_there = model.encode_image(inputs, normalize=True).numpy()
        texts_there = model.encode_text(tokenizer(texts), normalize=True).numpy()
    np.testing.assert_allclose(encoder.encode(Modality.IMAGE, pictures), images_there, atol=1e-5)
    np.testing.assert_allclose(encoder.encode(Modality.TEXT, texts), texts_there, atol=1e-5)


@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_a_folder_brings_its_own_preprocessing(
    small_open_clip: Path,
    tmp_path: Path,
    pictures: list[ImageSample],
    mode: str,
    interpolation: str,
) -> None:
    import torch
    from PIL import Image

    settings = {"resize_mode": mode, "interpolation": interpolation, "mean": [0.4, 0.5, 0.6]}
    config = {"model_cfg": SMALL_CLIP, "preprocess_cfg": settings}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    weights = (small_open_clip / "seehear-small-clip.safetensors").read_bytes()
    (tmp_path / "open_clip_model.safetensors").write_bytes(weights)
    _, transform, _ = library_model(
        "seehear-small-clip",
        small_open_clip,
        image_resize_mode=mode,
        image_interpolation=interpolation,
        image_mean=(0.4, 0.5, 0.6),
    )
    for name in (str(tmp_path), f"seehear-small-clip/{tmp_path}/open_clip_model.safetensors"):
        encoder = load_open_clip(name, "cpu")
        for picture in pictures:
            expected = transform(Image.fromarray(picture.pixels))
            torch.testing.assert_close(encoder.prepare(picture), expected, rtol=0, atol=0)


def test_a_file_without_settings_takes_those_its_architecture_always_has() -> None:
    from seehear.encoders.open_clip_source import _preprocessing_of

    assert _preprocessing_of("PE-Core-B-16") == {
        "mean": (0.5, 0.5, 0.5),
        "std": (0.5, 0.5, 0.5),
        "interpolation": "bilinear",
        "resize_mode": "squash",
    }
    assert _preprocessing_of("ViT-B-16-SigLIP2")["mean"] == (0.5, 0.5, 0.5)
    assert _preprocessing_of("seehear-small-clip") == {}


def test_a_shot_is_the_renormalised_mean_of_its_frames(
    encoder: OpenClipEncoder, pictures: list[ImageSample]
) -> None:
    shots = [VideoSample(tuple(pictures)), VideoSample((pictures[1],))]
    rows = encoder.encode(Modality.VIDEO, shots)
    frames = encoder.encode(Modality.IMAGE, pictures)
    mean = frames.mean(axis=0)
    np.testing.assert_allclose(rows[0], mean / np.linalg.norm(mean), atol=1e-5)
    np.testing.assert_allclose(rows[1], frames[1], atol=1e-5)


def test_texts_of_any_length_are_those_of_the_library(
    encoder: OpenClipEncoder, small_open_clip: Path
) -> None:
    import torch

    architecture = encoder.space.name.removeprefix("open_clip:")
    model, _, tokenizer = library_model(architecture, small_open_clip)
    texts = ["", "a", "a dog " * 5, "the sea " * 60, "ÄÖ 猫 🐈", "it's 3 o'clock"]
    with torch.no_grad():
        expected = model.encode_text(tokenizer(texts), normalize=True).numpy()
    for batch in (range(1, 6), [3], [1], [1, 2]):
        rows = encoder.encode(Modality.TEXT, [texts[position] for position in batch])
        np.testing.assert_allclose(rows, expected[list(batch)], atol=1e-5)


def test_towers_that_look_at_padding_are_left_to_the_library() -> None:
    import open_clip

    from seehear.encoders.open_clip import encode_text_unpadded

    config: dict[str, Any] = {**SMALL_CLIP, "text_cfg": {**SMALL_CLIP["text_cfg"]}}
    assert encode_text_unpadded(open_clip.CLIP(**config)) is not None
    for changed in ({"no_causal_mask": True}, {"pool_type": "last"}, {"pool_type": "first"}):
        text = {**config["text_cfg"], **changed}
        assert encode_text_unpadded(open_clip.CLIP(**{**config, "text_cfg": text})) is None
        assert (
            encode_text_unpadded(open_clip.CustomTextCLIP(**{**config, "text_cfg": text})) is None
        )
    padded = {**config["text_cfg"], "embed_cls": True}
    assert encode_text_unpadded(open_clip.CustomTextCLIP(**{**config, "text_cfg": padded})) is None


def test_the_spec_is_what_the_model_takes(encoder: OpenClipEncoder) -> None:
    small = encoder.space.name.endswith("clip")
    assert encoder.spec.image_px == (32 if small else 64)
    assert encoder.spec.passage_words == (53 if small else 21)
    assert encoder.space.dim == (24 if small else 32)


def test_the_space_is_named_by_the_content_of_a_local_file(
    encoder: OpenClipEncoder, small_open_clip: Path, tmp_path: Path
) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    architecture = encoder.space.name.removeprefix("open_clip:")
    original = small_open_clip / f"{architecture}.safetensors"
    (tmp_path / "copy.safetensors").write_bytes(original.read_bytes())
    copy = load_open_clip(f"{architecture}/{tmp_path / 'copy.safetensors'}", "cpu")
    assert copy.space == encoder.space
    state = load_file(original)
    state["logit_scale"] = state["logit_scale"] + torch.tensor(1.0)
    save_file(state, tmp_path / "tuned.safetensors")
    tuned = load_open_clip(f"{architecture}/{tmp_path / 'tuned.safetensors'}", "cpu")
    assert tuned.space.revision != encoder.space.revision


def test_pytorch_files_are_read_without_running_what_is_in_them(
    small_open_clip: Path, tmp_path: Path, encoder: OpenClipEncoder
) -> None:
    import torch
    from safetensors.torch import load_file

    architecture = encoder.space.name.removeprefix("open_clip:")
    state = load_file(small_open_clip / f"{architecture}.safetensors")
    torch.save({"state_dict": state}, tmp_path / "weights.pt")
    again = load_open_clip(f"{architecture}/{tmp_path / 'weights.pt'}", "cpu")
    texts = ["a harbour", "two dogs"]
    np.testing.assert_array_equal(
        again.encode(Modality.TEXT, texts), encoder.encode(Modality.TEXT, texts)
    )

    witness = tmp_path / "it ran"

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (witness,))

    torch.save({"state_dict": {"weight": Evil()}}, tmp_path / "evil.pt")
    (tmp_path / "evil.bin").write_bytes(pickle.dumps(Evil()))
    for name in ("evil.pt", "evil.bin"):
        with pytest.raises(ModelIntegrityError, match="does not hold weights"):
            load_open_clip(f"{architecture}/{tmp_path / name}", "cpu")
    assert not witness.exists()


@pytest.mark.parametrize("content", [b"", b"not weights", b"\x10\x00\x00\x00\x00\x00\x00\x00{}"])
@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_damaged_weights_are_one_clear_error(
    small_open_clip: Path, tmp_path: Path, content: bytes, suffix: str
) -> None:
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(content)
    with pytest.raises(ModelIntegrityError, match="does not hold weights of seehear-small-clip"):
        load_open_clip(f"seehear-small-clip/{path}", "cpu")


def test_weights_of_another_architecture_are_refused(small_open_clip: Path) -> None:
    path = small_open_clip / "seehear-small-pe.safetensors"
    with pytest.raises(ModelIntegrityError) as caught:
        load_open_clip(f"seehear-small-clip/{path}", "cpu")
    assert "\n" not in str(caught.value)


def test_what_is_not_here_says_what_it_is_and_the_three_ways_on() -> None:
    with pytest.raises(ModelUnavailableError) as caught:
        load_open_clip("PE-Core-B-16/meta", "cpu")
    message = str(caught.value)
    assert "\n" not in message
    for said in (
        "open_clip:PE-Core-B-16/meta (1.8 GB, licence Apache-2.0)",
        "connect",
        "--model open_clip:PE-Core-B-16/FILE",
        "--model tiny",
    ):
        assert said in message
    with pytest.raises(ModelUnavailableError, match=r"huggingface\.co/timm/PE-Core-S") as s:
        load_open_clip("PE-Core-S-16-384/meta", "cpu")
    assert "(349 MB" in str(s.value)
    with pytest.raises(ModelUnavailableError, match="hf-hub:nobody/nothing"):
        load_open_clip("hf-hub:nobody/nothing", "cpu")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ViT-B-23/openai", "no architecture 'ViT-B-23'; did you mean ViT-B-32"),
        ("ViT-B-32", "choose one of ViT-B-32/openai"),
        ("ViT-B-32/openia", "ViT-B-32/openai"),
        ("ViT-B-32//nowhere/weights.pt", "no file /nowhere/weights.pt"),
    ],
)
def test_names_that_mean_nothing_say_what_would(name: str, said: str) -> None:
    with pytest.raises(UnknownModelError, match=re.escape(said)):
        load_open_clip(name, "cpu")


def test_folders_without_a_model_say_so(tmp_path: Path) -> None:
    with pytest.raises(UnknownModelError, match=r"has no open_clip_config\.json"):
        load_open_clip(str(tmp_path), "cpu")
    (tmp_path / "open_clip_config.json").write_text("{}")
    with pytest.raises(ModelUnavailableError, match="the folder has no weights"):
        load_open_clip(str(tmp_path), "cpu")


def test_devices_that_are_not_there_are_refused(small_open_clip: Path) -> None:
    name = f"seehear-small-clip/{small_open_clip}/seehear-small-clip.safetensors"
    for device in ("gpu", "cuda:x", "cpu:1", ""):
        with pytest.raises(UsageError, match="no device"):
            load_open_clip(name, device)


def test_loading_leaves_logging_alone(small_open_clip: Path) -> None:
    import logging

    before = list(logging.getLogger().handlers)
    load_open_clip(f"seehear-small-clip/{small_open_clip}/seehear-small-clip.safetensors", "cpu")
    assert logging.getLogger().handlers == before

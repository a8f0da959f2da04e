"""Test what only a GPU does: tests marked `gpu`, and the same tests on any CPU."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from seehear.encoders.autotune import AutotunedModule, all_backends
from seehear.encoders.clap import load_clap
from seehear.encoders.devices import choose_device
from seehear.encoders.open_clip import load_open_clip
from seehear.encoders.open_clip_pixels import GpuImageTransform
from seehear.encoders.tiny import load_tiny
from seehear.types import AudioSample, ImageSample, Modality, VideoSample
from tests.gpu import require_cards

CPU = torch.device("cpu")


@pytest.fixture
def card() -> torch.device:
    require_cards(torch.cuda.device_count())
    return torch.device("cuda")


SETTINGS = list(product(["shortest", "longest", "squash"], ["bicubic", "bilinear"], [64, (48, 80)]))


def compare_transforms(
    picture: ImageSample, mode: str, interpolation: str, size: int | tuple[int, int], where: str
) -> tuple[float, float]:
    """Largest and mean difference from the library's transform, in steps of 255."""
    from open_clip.transform import PreprocessCfg, image_transform_v2
    from PIL import Image

    settings = PreprocessCfg(
        size=size,
        resize_mode=mode,
        interpolation=interpolation,
        mean=(0.4, 0.5, 0.6),
        std=(0.2, 0.25, 0.3),
        fill_color=9,
    )
    expected = image_transform_v2(settings, is_train=False)(Image.fromarray(picture.pixels))
    ours = GpuImageTransform.of(settings, torch.device(where))(picture.pixels).cpu()
    assert ours.shape == expected.shape
    steps = (ours - expected).abs() * torch.tensor(settings.std)[:, None, None] * 255
    return steps.max().item(), steps.mean().item()


@pytest.mark.parametrize(("mode", "interpolation", "size"), SETTINGS)
def test_the_transform_for_cards_is_the_library_s_within_one_step(
    pictures: list[ImageSample], mode: str, interpolation: str, size: int | tuple[int, int]
) -> None:
    for picture in pictures:
        most, mean = compare_transforms(picture, mode, interpolation, size, "cpu")
        assert most < 2.01
        assert mean < 0.03


def test_vectors_of_pictures_prepared_for_a_card_are_the_same(
    small_open_clip: Path, pictures: list[ImageSample]
) -> None:
    for name in ("seehear-small-clip", "seehear-small-pe"):
        plain = load_open_clip(f"{name}/{small_open_clip / name}.safetensors", "cpu")
        on_card = load_open_clip(f"{name}/{small_open_clip / name}.safetensors", "cpu")
        from open_clip.transform import PreprocessCfg

        settings = PreprocessCfg(**on_card._model.visual.preprocess_cfg)
        on_card._on_gpu = GpuImageTransform.of(settings, CPU)
        rows = on_card.encode(Modality.IMAGE, pictures)
        expected = plain.encode(Modality.IMAGE, pictures)
        assert (rows * expected).sum(axis=1).min() > 0.9999


@pytest.mark.gpu
@pytest.mark.parametrize(("mode", "interpolation", "size"), SETTINGS)
def test_the_transform_on_a_card(
    card: torch.device,
    pictures: list[ImageSample],
    mode: str,
    interpolation: str,
    size: int | tuple[int, int],
) -> None:
    for picture in pictures:
        most, mean = compare_transforms(picture, mode, interpolation, size, str(card))
        assert most < 2.01
        assert mean < 0.03


@pytest.mark.gpu
def test_auto_takes_the_card(card: torch.device) -> None:
    assert choose_device("auto").type == card.type


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["seehear-small-clip", "seehear-small-pe"])
def test_open_clip_on_a_card_gives_the_same_vectors(
    card: torch.device, small_open_clip: Path, pictures: list[ImageSample], name: str
) -> None:
    source = f"{name}/{small_open_clip / name}.safetensors"
    ours, plain = load_open_clip(source, str(card)), load_open_clip(source, "cpu")
    texts = ["a red car", "the sea at night", "x"]
    many = [*pictures] * 40
    for modality, samples in (
        (Modality.TEXT, texts),
        (Modality.IMAGE, many),
        (Modality.VIDEO, [VideoSample(tuple(pictures))]),
    ):
        rows, expected = ours.encode(modality, samples), plain.encode(modality, samples)
        assert rows.dtype == np.float32
        assert (rows * expected).sum(axis=1).min() > 0.999


@pytest.mark.gpu
def test_clap_on_a_card_gives_the_same_vectors(
    card: torch.device, small_clap: Path, sounds: list[AudioSample]
) -> None:
    ours, plain = load_clap(str(small_clap), str(card)), load_clap(str(small_clap), "cpu")
    for modality, samples in ((Modality.TEXT, ["a dog", "rain"]), (Modality.AUDIO, sounds * 5)):
        rows, expected = ours.encode(modality, samples), plain.encode(modality, samples)
        assert (rows * expected).sum(axis=1).min() > 0.999


@pytest.mark.gpu
def test_the_compiled_way_gives_the_same_vectors(card: torch.device, tmp_path: Path) -> None:
    plain = torch.nn.Sequential(torch.nn.Linear(32, 64), torch.nn.GELU(), torch.nn.Linear(64, 8))
    plain = plain.to(card).eval()
    tower = AutotunedModule(plain, "small", card, notes=tmp_path / "ways.json", ways=all_backends())
    with torch.inference_mode():
        for rows in (8, 64, 4_096, 33):
            x = torch.randn(rows, 32, device=card)
            torch.testing.assert_close(tower(x), plain(x), atol=1e-3, rtol=1e-3)
    assert "compiled" in tower.decision.tried


@pytest.mark.gpu
def test_tiny_on_a_card_gives_the_same_vectors_in_half_precision(
    card: torch.device, pictures: list[ImageSample], sounds: list[AudioSample]
) -> None:
    ours, plain = load_tiny(device=str(card)), load_tiny(device="cpu")
    for modality, samples in (
        (Modality.TEXT, ["a red car", "the sea at night"]),
        (Modality.IMAGE, [*pictures] * 40),
        (Modality.AUDIO, [*sounds] * 5),
        (Modality.VIDEO, [VideoSample(tuple(pictures))]),
    ):
        rows, expected = ours.encode(modality, samples), plain.encode(modality, samples)
        heard = np.linalg.norm(expected, axis=1) > 0
        assert (rows * expected).sum(axis=1)[heard].min() > 0.999
        assert not rows[~heard].any()


@pytest.mark.gpu
def test_every_card_gives_the_same_vectors(pictures: list[ImageSample]) -> None:
    require_cards(torch.cuda.device_count(), 2)
    first, *others = (
        load_tiny(device=f"cuda:{number}").encode(Modality.IMAGE, pictures)
        for number in range(torch.cuda.device_count())
    )
    for rows in others:
        assert (rows * first).sum(axis=1).min() > 0.999

"""The convolutional towers equal the teachers they start from, and give stable results."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from numpy.typing import NDArray

from seehear.encoders.tiny import TinyEncoder, load_tiny
from seehear.encoders.tiny.checkpoint import save_folder
from seehear.encoders.tiny.log_mel import spectrograms, waveform_16k
from seehear.encoders.tiny.towers import (
    BACKBONES,
    EFFICIENTNET,
    AudioTower,
    Backbone,
    ImageTower,
    convolutions,
)
from seehear.errors import ModelIntegrityError, UsageError
from seehear.types import AudioSample, ImageSample, Modality, VideoSample
from tests.encoders.small_builtin import SMALL, VOCABULARY_OF_SMALL, small_arrays
from training.efficientnet import efficientnet_arrays, efficientnet_weights
from training.tflite import (
    AUDIO_CLASSES,
    IMAGE_FEATURES,
    QuantisedTeacher,
    convolution_weights,
)

_DATA = Path(
    os.environ.get("SEEHEAR_TRAINING_DATA", Path(__file__).parents[2].parent / "shared" / "data")
)
_TEACHERS = _DATA / "teachers"
needs_teachers = pytest.mark.skipif(
    not (_TEACHERS / IMAGE_FEATURES).is_file(),
    reason="no teachers: set SEEHEAR_TRAINING_DATA to the training data",
)


def _start_from(
    backbone: Backbone, weights: list[tuple[NDArray[np.float32], NDArray[np.float32]]]
) -> None:
    with torch.no_grad():
        for convolution, (weight, bias) in zip(convolutions(backbone), weights, strict=True):
            assert convolution.bias is not None
            convolution.weight.copy_(torch.from_numpy(weight))
            convolution.bias.copy_(torch.from_numpy(bias))


def _cosine(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))


def _scene(seed: int, px: int) -> NDArray[np.uint8]:
    """Shapes on a gradient: unlike noise, it excites what a network learned from photos."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:px, :px] / px
    scene = np.stack([60 + 150 * y, 90 + 100 * x, 200 - 120 * y], axis=2)
    for _ in range(6):
        cx, cy, r = rng.uniform(0.1, 0.9, 3)
        inside = (x - cx) ** 2 + (y - cy) ** 2 < (0.25 * r) ** 2
        scene[inside] = rng.uniform(0, 255, 3)
    return scene.astype(np.uint8)


def _tone(hertz: float, duration_s: float, rate_hz: int = 16_000) -> NDArray[np.float32]:
    times = np.arange(int(rate_hz * duration_s)) / rate_hz
    chirp = 0.3 * np.sin(2 * np.pi * hertz * times * (1 + 0.2 * times / duration_s))
    return (chirp * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * times))).astype(np.float32)


@needs_teachers
def test_image_tower_gives_the_teachers_features() -> None:
    tower = ImageTower(8, 8).eval()
    _start_from(tower.backbone, convolution_weights(_TEACHERS / IMAGE_FEATURES))
    teacher = QuantisedTeacher(_TEACHERS / IMAGE_FEATURES)

    for seed in range(3):
        scene = _scene(seed, 224)
        with torch.inference_mode():
            given = tower.features(torch.from_numpy(scene).permute(2, 0, 1)[None])[0].numpy()
        # The teacher computes in eight bits from layer to layer; the tower in floats.
        assert _cosine(given, teacher(scene)) > 0.98


@pytest.mark.parametrize(
    ("photo", "classes"), [("chelsea", range(281, 286)), ("coffee", range(967, 969))]
)
def test_efficientnet_names_what_photographs_show(photo: str, classes: range) -> None:
    tower = ImageTower(8, 8, backbone=EFFICIENTNET, blocks=16).eval()
    _start_from(tower.backbone, efficientnet_weights())
    pixels = torch.from_numpy(getattr(skimage.data, photo)()).permute(2, 0, 1)[None]
    with torch.inference_mode():
        square = torch.nn.functional.interpolate(pixels.float(), size=(224, 224), mode="bilinear")
        pooled = tower.features(square)[0].numpy()
    arrays = efficientnet_arrays()

    assert int((arrays["_fc.weight"] @ pooled + arrays["_fc.bias"]).argmax()) in classes


@needs_teachers
def test_sound_tower_gives_the_teachers_classes() -> None:
    tower = AudioTower(8, 8).eval()
    path = _TEACHERS / AUDIO_CLASSES
    _start_from(tower.backbone, convolution_weights(path))
    teacher = QuantisedTeacher(path)
    weight, bias = _classifier(path)

    for hertz in (300.0, 900.0, 2500.0):
        mels, _ = spectrograms([waveform_16k(_tone(hertz, 1.2), 16_000)])
        patch = mels[:, :96]
        with torch.inference_mode():
            pooled = tower.frames(patch).mean(dim=1)[0].numpy()
        given = 1 / (1 + np.exp(-(weight @ pooled + bias)))
        wanted = teacher(patch[0].numpy())
        assert _cosine(given, wanted) > 0.97
        assert abs(float(given.max() - wanted.max())) < 0.1


def _classifier(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """YAMNet's last layer, which the tower does without."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    details = {entry["index"]: entry for entry in interpreter.get_tensor_details()}
    last = [op for op in interpreter._get_ops_details() if op["op_name"] == "FULLY_CONNECTED"]
    arrays = []
    for index in last[0]["inputs"][1:3]:
        scale, zero = details[int(index)]["quantization"]
        arrays.append(((interpreter.get_tensor(int(index)) - float(zero)) * scale).astype("f4"))
    return arrays[0], arrays[1]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> TinyEncoder:
    folder = tmp_path_factory.mktemp("small")
    save_folder(folder, "small", SMALL, small_arrays(), VOCABULARY_OF_SMALL, {})
    return load_tiny(folder, device="cpu")


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("px", [31, 32, 33])
def test_padding_is_tensorflows_at_every_size(px: int, backbone: str) -> None:
    first = BACKBONES[backbone](3, scale=0.25, blocks=4)

    assert first(torch.zeros(1, 3, px, px)).shape[-1] == -(-px // 8)


def test_a_backbone_of_a_later_version_is_one_line(tmp_path: Path) -> None:
    later = replace(SMALL, image=replace(SMALL.image, backbone="later"))
    save_folder(tmp_path, "small", later, small_arrays(), VOCABULARY_OF_SMALL, {})

    with pytest.raises(ModelIntegrityError, match=r"backbone 'later'.*upgrade seehear"):
        load_tiny(tmp_path, device="cpu").load(Modality.IMAGE)


def test_pictures_of_any_shape_and_company(encoder: TinyEncoder) -> None:
    pictures = [
        ImageSample(_scene(seed, 64)[:height, :width])
        for seed, (height, width) in enumerate([(64, 64), (20, 60), (1, 1), (64, 7)])
    ]

    together = encoder.encode(Modality.IMAGE, pictures * 12)
    alone = np.concatenate([encoder.encode(Modality.IMAGE, [one]) for one in pictures])

    assert np.linalg.norm(together, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert together.reshape(12, 4, -1)[7] == pytest.approx(alone, abs=1e-4)


def test_read_only_pixels_are_taken(encoder: TinyEncoder) -> None:
    pixels = _scene(1, 40)
    pixels.flags.writeable = False

    assert encoder.encode(Modality.IMAGE, [ImageSample(pixels)]).shape == (1, SMALL.dim)


def test_shot_is_the_mean_of_its_frames(encoder: TinyEncoder) -> None:
    frames = [ImageSample(_scene(seed, 32)) for seed in range(3)]

    shots = [VideoSample((frames[0],)), VideoSample(tuple(frames))]
    vectors = encoder.encode(Modality.VIDEO, shots)

    mean = encoder.encode(Modality.IMAGE, frames).mean(axis=0)
    assert vectors[0] == pytest.approx(encoder.encode(Modality.IMAGE, frames[:1])[0], abs=1e-5)
    assert vectors[1] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)


def test_silence_is_near_nothing(encoder: TinyEncoder) -> None:
    silent = AudioSample(np.zeros(16_000, np.float32), 16_000)
    empty = AudioSample(np.zeros(0, np.float32), 16_000)
    heard = AudioSample(_tone(440, 1.0), 16_000)

    vectors = encoder.encode(Modality.AUDIO, [silent, heard, empty])

    assert np.linalg.norm(vectors, axis=1) == pytest.approx([0, 1, 0], abs=1e-5)


def test_level_and_company_of_a_sound_change_nothing(encoder: TinyEncoder) -> None:
    tone = _tone(440, 1.5)
    loud, quiet = AudioSample(tone, 16_000), AudioSample(tone * np.float32(0.02), 16_000)
    long = AudioSample(_tone(900, 6.0), 16_000)

    alone = encoder.encode(Modality.AUDIO, [loud])
    together = encoder.encode(Modality.AUDIO, [quiet, long, loud])

    assert together[0] == pytest.approx(together[2], abs=1e-4)
    # A longer neighbour pads the batch; the padding takes no part but for the last frames' edge.
    assert float(alone[0] @ together[2]) > 0.999


def test_other_sample_rates_are_brought_to_sixteen_kilohertz(encoder: TinyEncoder) -> None:
    samples = [AudioSample(_tone(440, 2.0, rate), rate) for rate in (16_000, 44_100, 48_000)]

    vectors = encoder.encode(Modality.AUDIO, samples)

    assert (vectors @ vectors[0] > 0.99).all()


def test_sample_of_another_modality_is_refused(encoder: TinyEncoder) -> None:
    with pytest.raises(UsageError, match="sent to be encoded as image"):
        encoder.encode(Modality.IMAGE, ["a dog"])


def test_nothing_gives_nothing(encoder: TinyEncoder) -> None:
    for modality in Modality:
        assert encoder.encode(modality, []).shape == (0, SMALL.dim)

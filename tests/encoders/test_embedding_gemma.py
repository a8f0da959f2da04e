"""The model `omni`: a small random EmbeddingGemma 2 of the library's real classes."""

import contextlib
import importlib
import json
import shutil
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seehear.encoders import load_model
from seehear.encoders.embedding_gemma import PROMPT, EmbeddingGemmaEncoder, load_omni
from seehear.encoders.torch_tools import half_precision
from seehear.errors import (
    ModelIntegrityError,
    ModelUnavailableError,
    UnknownModelError,
    UsageError,
)
from seehear.types import AudioSample, ImageSample, Modality, VideoSample

RATE_HZ = 16_000


@pytest.fixture(scope="module")
def encoder(small_omni: Path) -> EmbeddingGemmaEncoder:
    return load_omni(small_omni, "cpu")


@pytest.fixture(scope="module")
def windows() -> list[AudioSample]:
    rng = np.random.default_rng(19)
    lengths = (800, 9_000, 16_000, 16_000)
    return [AudioSample(rng.normal(0, 0.2, n).astype(np.float32), RATE_HZ) for n in lengths]


def test_every_kind_of_sample_is_as_in_the_library(
    encoder: EmbeddingGemmaEncoder,
    small_omni: Path,
    pictures: list[ImageSample],
    windows: list[AudioSample],
) -> None:
    import torch

    classes: Any = importlib.import_module("transformers")
    model = classes.EmbeddingGemma2Model.from_pretrained(small_omni, dtype=torch.float32).eval()
    processor = classes.EmbeddingGemma2Processor.from_pretrained(small_omni)

    def expected(**samples: Any) -> Any:
        inputs = processor(**samples, return_tensors="pt")
        with torch.no_grad():
            rows = model(**inputs).last_hidden_state[0]
        mean = rows[inputs["attention_mask"][0].bool()].mean(dim=0).numpy()
        return mean / np.linalg.norm(mean)

    texts = ["a dog", "das Meer bei Nacht, weit draußen"]
    for row, text in zip(encoder.encode(Modality.TEXT, texts), texts, strict=True):
        np.testing.assert_allclose(row, expected(text=[PROMPT + text]), atol=1e-5)
    for row, image in zip(encoder.encode(Modality.IMAGE, pictures), pictures, strict=True):
        np.testing.assert_allclose(row, expected(images=[[image.pixels]]), atol=1e-5)
    for row, window in zip(encoder.encode(Modality.AUDIO, windows), windows, strict=True):
        np.testing.assert_allclose(row, expected(audio=[window.waveform]), atol=1e-5)
    shots = [VideoSample((pictures[0],) * n) for n in (1, 3)]
    for row, shot in zip(encoder.encode(Modality.VIDEO, shots), shots, strict=True):
        video = np.stack([frame.pixels for frame in shot.frames])
        wanted = expected(videos=[video], do_sample_frames=False)
        np.testing.assert_allclose(row, wanted, atol=1e-5)


def test_one_space_answers_all_sixteen_routes(
    small_omni: Path, pictures: list[ImageSample], windows: list[AudioSample]
) -> None:
    model = load_model(f"omni:{small_omni}", "cpu")
    rows = {
        Modality.TEXT: model.encode(Modality.TEXT, ["a dog", "собака"]),
        Modality.IMAGE: model.encode(Modality.IMAGE, pictures[:2]),
        Modality.AUDIO: model.encode(Modality.AUDIO, windows[:2]),
        # Frames of different sizes share a shot.
        Modality.VIDEO: model.encode(Modality.VIDEO, [VideoSample(tuple(pictures[:3]))]),
    }
    for query, item in product(Modality, Modality):
        space = model.route(query, item).space
        similarities = rows[query][space] @ rows[item][space].T
        assert similarities.shape == (len(rows[query][space]), len(rows[item][space]))
        assert np.isfinite(similarities).all()
    (space,) = model.spaces_of(Modality.TEXT)
    assert (space.name, space.dim) == (f"omni:{small_omni.name}", 24)
    assert (model.spec.sample_rate_hz, model.spec.image_px) == (RATE_HZ, 100)


def test_long_shots_give_evenly_chosen_frames(
    encoder: EmbeddingGemmaEncoder, pictures: list[ImageSample]
) -> None:
    plain, other = (ImageSample(np.full((32, 32, 3), tone, dtype=np.uint8)) for tone in (40, 200))
    mixed = VideoSample((plain, other) * 40)
    kept = np.linspace(0, 79, 32, dtype=int)
    chosen = VideoSample(tuple(mixed.frames[n] for n in kept))
    rows = encoder.encode(Modality.VIDEO, [mixed, chosen])
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-5)


def test_float16_is_never_chosen(
    encoder: EmbeddingGemmaEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def chosen(**how: bool) -> Any:
        return half_precision(torch.device("cuda"), **how)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "autocast", lambda _, *, dtype: dtype)
        patch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
        assert chosen() == torch.float16
        assert isinstance(chosen(float16=False), contextlib.nullcontext)
        patch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
        assert chosen(float16=False) == torch.bfloat16
    asked = []

    def note(device: torch.device, *, float16: bool = True) -> Any:
        asked.append(float16)
        return contextlib.nullcontext()

    monkeypatch.setattr("seehear.encoders.embedding_gemma.half_precision", note)
    encoder.encode(Modality.TEXT, ["rain"])
    assert asked == [False]
    assert {p.dtype for p in encoder._model.parameters()} == {torch.float32}


def test_other_sample_rates_are_refused(encoder: EmbeddingGemmaEncoder) -> None:
    window = AudioSample(np.ones(4_800, dtype=np.float32), 48_000)
    with pytest.raises(UsageError, match="takes sound at 16000 Hz, not at 48000 Hz"):
        encoder.encode(Modality.AUDIO, [window])


def test_what_is_not_here_says_what_it_is_and_the_ways_on(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError) as caught:
        load_model("omni", "cpu")
    message = str(caught.value)
    assert "\n" not in message
    for said in ("model omni (1.5 GB, licence Apache-2.0)", "--model omni:FOLDER", "tiny"):
        assert said in message
    with pytest.raises(UnknownModelError, match=r"no EmbeddingGemma 2 model in .*config\.json"):
        load_model(f"omni:{tmp_path}", "cpu")


def test_folders_that_hold_no_whole_model(
    small_omni: Path, small_clap: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    with pytest.raises(ModelIntegrityError, match="describes a model of type clap"):
        load_omni(small_clap, "cpu")
    folder = tmp_path / "copy"
    shutil.copytree(small_omni, folder)
    weights = folder / "model.safetensors"
    state = load_file(weights)
    ours = (name for name in state if name.startswith("audio_tower"))
    lost = next(name for name in ours if name.endswith("weight"))
    del state[lost]
    save_file(state, weights, metadata={"format": "pt"})
    with pytest.raises(ModelIntegrityError, match="lacks 1 tensors of EmbeddingGemma 2,"):
        load_omni(folder, "cpu")
    weights.write_bytes(weights.read_bytes()[:2_000])
    with pytest.raises(ModelIntegrityError, match="holds no EmbeddingGemma 2 model"):
        load_omni(folder, "cpu")
    config = json.loads((small_omni / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "audio_config": None}))
    shutil.copy(small_omni / "model.safetensors", weights)
    with pytest.raises(ModelIntegrityError, match="without the part for images or the one for"):
        load_omni(folder, "cpu")

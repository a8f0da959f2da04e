"""The PE-AV encoder: a small random model of the library's real classes."""

import importlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seehear.encoders import load_model, transformers_source
from seehear.encoders.pe_av import PeAvEncoder, load_pe_av
from seehear.encoders.torch_tools import batches_alike
from seehear.errors import (
    ModelIntegrityError,
    ModelUnavailableError,
    UnknownModelError,
    UsageError,
)
from seehear.types import AudioSample, ImageSample, Modality, VideoSample


@pytest.fixture(scope="module")
def encoder(small_pe_av: Path) -> PeAvEncoder:
    return load_pe_av(str(small_pe_av), "cpu")


@pytest.fixture(scope="module")
def library(small_pe_av: Path) -> tuple[Any, Any]:
    """The library's own model and processor."""
    classes: Any = importlib.import_module("transformers")
    return (
        classes.PeAudioVideoModel.from_pretrained(small_pe_av).eval(),
        classes.PeAudioVideoProcessor.from_pretrained(small_pe_av),
    )


def unit(rows: Any) -> Any:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_texts_sounds_and_shots_are_those_of_the_library(
    encoder: PeAvEncoder,
    library: tuple[Any, Any],
    sounds: list[AudioSample],
    pictures: list[ImageSample],
) -> None:
    import torch

    model, processor = library
    texts = ["a dog barking", "rain"]
    shot = VideoSample((pictures[0], pictures[0], pictures[0]))
    waves = [sound.waveform[:10_000] for sound in sounds[1:3]]  # of equal length: no padding
    inputs = processor(
        text=texts,
        audio=waves,
        videos=[np.stack([frame.pixels for frame in shot.frames])] * 2,
        sampling_rate=48_000,
        do_sample_frames=False,
        padding=True,
        return_tensors="pt",
    )
    with torch.no_grad():
        expected = model(**inputs)
        heard = model.get_audio_embeds(inputs["input_values"], inputs["padding_mask"])
    np.testing.assert_allclose(
        encoder.encode(Modality.TEXT, texts), unit(expected.text_audio_embeds.numpy()), atol=1e-5
    )
    audio = encoder.encode(Modality.AUDIO, [AudioSample(wave, 48_000) for wave in waves])
    np.testing.assert_allclose(audio, unit(expected.audio_embeds.numpy()), atol=1e-5)
    np.testing.assert_allclose(audio, unit(heard.numpy()), atol=1e-5)
    np.testing.assert_allclose(
        encoder.encode(Modality.VIDEO, [shot, shot]),
        unit(expected.video_embeds.numpy()),
        atol=1e-5,
    )


def test_short_sounds_are_not_changed_by_longer_ones(
    encoder: PeAvEncoder, library: tuple[Any, Any], sounds: list[AudioSample]
) -> None:
    """The library's batch pads the shorter sound, and gives another vector."""
    import torch

    model, processor = library
    pair = [sounds[0], sounds[2]]
    alone = np.concatenate([encoder.encode(Modality.AUDIO, [sound]) for sound in pair])
    np.testing.assert_allclose(encoder.encode(Modality.AUDIO, pair), alone, atol=1e-6)
    padded = processor.feature_extractor(
        [sound.waveform for sound in pair], sampling_rate=48_000, return_tensors="pt"
    )
    with torch.no_grad():
        together = unit(model.get_audio_embeds(**padded).numpy())
    np.testing.assert_allclose(together[1], alone[1], atol=1e-5)
    assert np.abs(together[0] - alone[0]).max() > 1e-4


def test_shots_differ_in_frames_and_frames_in_size(
    encoder: PeAvEncoder, pictures: list[ImageSample]
) -> None:
    shots = [VideoSample(tuple(pictures[:n])) for n in (1, 3, 2, 3)]
    shots[3] = VideoSample(tuple(reversed(pictures[:3])))
    rows = encoder.encode(Modality.VIDEO, shots)
    alone = np.concatenate([encoder.encode(Modality.VIDEO, [shot]) for shot in shots])
    np.testing.assert_allclose(rows, alone, atol=1e-5)
    assert len({row.tobytes() for row in rows}) == 4  # the order of the frames counts


def test_batches_hold_items_of_one_size_and_no_more_than_the_most() -> None:
    found = list(batches_alike(["aa", "b", "cc", "dd", "eeeee", "f"], len, 4))
    assert found == [["aa", "cc"], ["dd"], ["b", "f"], ["eeeee"]]


def test_the_spec_is_what_the_model_takes(encoder: PeAvEncoder) -> None:
    assert (encoder.spec.image_px, encoder.spec.sample_rate_hz) == (64, 48_000)
    assert encoder.space.dim == 24
    assert encoder.space.name == "pe_av:small-pe-av"
    with pytest.raises(UsageError, match="takes sound at 48000 Hz, not at 16000 Hz"):
        encoder.encode(Modality.AUDIO, [AudioSample(np.ones(1600, dtype=np.float32), 16_000)])


def test_long_texts_are_cut_not_refused(encoder: PeAvEncoder) -> None:
    rows = encoder.encode(Modality.TEXT, ["word " * 500, "word"])
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_what_joins_sound_with_video_is_not_kept(
    small_pe_av: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gc
    import weakref

    from seehear.encoders import pe_av

    left: list[weakref.ref[Any]] = []

    def load(*name: Any) -> Any:
        loaded = transformers_source.load_pretrained(*name)
        joined = loaded.model.audio_video_encoder
        left.extend(weakref.ref(part) for part in (joined.layers, loaded.model.audio_video_head))
        return loaded

    monkeypatch.setattr(pe_av, "load_pretrained", load)
    encoder = load_pe_av(str(small_pe_av), "cpu")
    gc.collect()
    assert [part() for part in left] == [None, None]
    assert encoder.encode(Modality.TEXT, ["rain"]).any()


def test_loading_prints_nothing(small_pe_av: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = load_model(f"pe_av:{small_pe_av}", "cpu")
    assert model.spaces_of(Modality.IMAGE) == ()
    assert capsys.readouterr() == ("", "")


def test_what_is_not_here_says_what_it_is_and_the_ways_on() -> None:
    with pytest.raises(ModelUnavailableError) as caught:
        load_model("pe_av:facebook/pe-av-small", "cpu")
    message = str(caught.value)
    assert "\n" not in message
    for said in ("pe_av:facebook/pe-av-small (3.4 GB, licence Apache-2.0)", "--model pe_av:FOLDER"):
        assert said in message
    with pytest.raises(UnknownModelError, match="such as pe_av:facebook/pe-av-small"):
        load_model("pe_av:nothing", "cpu")


def test_folders_that_hold_no_whole_model(
    small_pe_av: Path, small_clap: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    with pytest.raises(ModelIntegrityError, match=r"describes a model of type clap"):
        load_pe_av(str(small_clap), "cpu")
    with pytest.raises(UnknownModelError, match=r"no PE-AV model in .*: it has no config\.json"):
        load_pe_av(str(tmp_path), "cpu")
    folder = tmp_path / "copy"
    shutil.copytree(small_pe_av, folder)
    weights = folder / "model.safetensors"
    state = load_file(weights)
    del state["audio_model.audio_head.proj.weight"]
    save_file(state, weights, metadata={"format": "pt"})
    with pytest.raises(ModelIntegrityError, match=r"lacks 1 tensors of PE-AV, audio_model"):
        load_pe_av(str(folder), "cpu")
    weights.write_bytes(weights.read_bytes()[:5_000])
    with pytest.raises(ModelIntegrityError, match="holds no PE-AV model"):
        load_pe_av(str(folder), "cpu")
    weights.unlink()
    with pytest.raises(ModelUnavailableError, match="the folder has no weights"):
        load_pe_av(str(folder), "cpu")

"""The CLAP encoder: small random models of the library's real classes."""

import importlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seehear.encoders.clap import ClapEncoder, ClapFeatures, load_clap
from seehear.errors import (
    ModelIntegrityError,
    ModelUnavailableError,
    UnknownModelError,
    UsageError,
)
from seehear.types import AudioSample, Modality
from tests.encoders.small_transformers import make_clap


@pytest.fixture(scope="module")
def encoder(small_clap: Path) -> ClapEncoder:
    return load_clap(str(small_clap), "cpu")


def extractor(truncation: str, padding: str) -> Any:
    from transformers import ClapFeatureExtractor

    return ClapFeatureExtractor(
        feature_size=64, max_length_s=1, frequency_min=50, truncation=truncation, padding=padding
    )


@pytest.mark.parametrize("padding", ["repeatpad", "repeat", "pad"])
@pytest.mark.parametrize("truncation", ["rand_trunc", "fusion"])
def test_features_are_those_of_the_library(
    sounds: list[AudioSample], truncation: str, padding: str
) -> None:
    library = extractor(truncation, padding)
    twin = ClapFeatures.of(library)
    for sound in sounds:
        if len(sound.waveform) > 48_000:
            continue  # where the library draws at random
        expected = library(sound.waveform, sampling_rate=48_000)["input_features"][0]
        np.testing.assert_allclose(twin(sound.waveform), expected, atol=1e-3)


def test_long_windows_are_cut_in_the_middle(sounds: list[AudioSample]) -> None:
    twin = ClapFeatures.of(extractor("rand_trunc", "repeatpad"))
    wave = sounds[-1].waveform
    assert len(wave) == 60_001
    np.testing.assert_array_equal(twin(wave), twin(wave[6_000:54_000]))


def test_sounds_and_texts_are_those_of_the_library(
    encoder: ClapEncoder, small_clap: Path, sounds: list[AudioSample]
) -> None:
    import torch

    library: Any = importlib.import_module("transformers")
    model = library.ClapModel.from_pretrained(small_clap).eval()
    processor = library.ClapProcessor.from_pretrained(small_clap)
    short = [sound for sound in sounds if len(sound.waveform) <= 48_000]
    texts = ["a dog barking", "rain"]
    with torch.no_grad():
        heard = model.get_audio_features(
            **processor(
                audio=[sound.waveform for sound in short],
                sampling_rate=48_000,
                return_tensors="pt",
            )
        ).pooler_output
        read = model.get_text_features(
            **processor(text=texts, padding=True, return_tensors="pt")
        ).pooler_output
    np.testing.assert_allclose(encoder.encode(Modality.AUDIO, short), heard, atol=1e-4)
    np.testing.assert_allclose(encoder.encode(Modality.TEXT, texts), read, atol=1e-5)


def test_a_model_with_fusion_gives_the_same_vector_every_time(
    tmp_path: Path, sounds: list[AudioSample]
) -> None:
    encoder = load_clap(str(make_clap(tmp_path / "fused", fusion=True)), "cpu")
    rows = [encoder.encode(Modality.AUDIO, sounds) for _ in range(3)]
    np.testing.assert_array_equal(rows[0], rows[1])
    np.testing.assert_array_equal(rows[0], rows[2])
    alone = np.concatenate([encoder.encode(Modality.AUDIO, [sound]) for sound in sounds])
    np.testing.assert_allclose(rows[0], alone, atol=1e-5)


def test_the_spec_is_what_the_model_takes(encoder: ClapEncoder) -> None:
    assert encoder.spec.sample_rate_hz == 48_000
    assert (encoder.spec.window_s, encoder.spec.hop_s) == (1.0, 0.5)
    assert encoder.space.dim == 20
    assert encoder.space.name == "clap:small-clap"


def test_other_sample_rates_are_refused(encoder: ClapEncoder) -> None:
    sound = AudioSample(np.ones(1600, dtype=np.float32), 16_000)
    with pytest.raises(UsageError, match="takes sound at 48000 Hz, not at 16000 Hz"):
        encoder.encode(Modality.AUDIO, [sound])


def test_long_texts_are_cut_not_refused(encoder: ClapEncoder) -> None:
    rows = encoder.encode(Modality.TEXT, ["word " * 500, "word"])
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_what_is_not_here_says_what_it_is_and_the_three_ways_on() -> None:
    with pytest.raises(ModelUnavailableError) as caught:
        load_clap("laion/clap-htsat-unfused", "cpu")
    message = str(caught.value)
    assert "\n" not in message
    for said in (
        "clap:laion/clap-htsat-unfused (614 MB, licence Apache-2.0)",
        "connect",
        "--model clap:FOLDER",
        "--model tiny",
    ):
        assert said in message
    with pytest.raises(ModelUnavailableError, match=r"laion/larger_clap_general \(776 MB"):
        load_clap("laion/larger_clap_general", "cpu")
    other = "laion/larger_clap_music_and_speech"
    with pytest.raises(ModelUnavailableError, match=rf"as stated at huggingface\.co/{other}"):
        load_clap(other, "cpu")


@pytest.mark.parametrize(
    "name", ["laion/larger_clap_music", "LAION/Larger_CLAP_music@main", "/copies/larger_clap_music"]
)
def test_the_model_whose_texts_find_no_sounds_is_refused(name: str) -> None:
    with pytest.raises(UnknownModelError) as caught:
        load_clap(name, "cpu")
    message = str(caught.value)
    assert "the projection of its texts is broken" in message
    assert "take clap:laion/larger_clap_general" in message
    assert "\n" not in message


@pytest.mark.parametrize("name", ["nothing", "/no/such/folder", "a/b/c", "~/nowhere/here"])
def test_names_that_mean_nothing_say_so(name: str) -> None:
    with pytest.raises(UnknownModelError, match="organisation/name"):
        load_clap(name, "cpu")


def test_folders_that_hold_no_whole_model(
    small_clap: Path, small_pe_av: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelIntegrityError, match="describes a model of type pe_audio_video"):
        load_clap(str(small_pe_av), "cpu")
    with pytest.raises(UnknownModelError, match=r"has no config\.json"):
        load_clap(str(tmp_path), "cpu")
    folder = tmp_path / "copy"
    shutil.copytree(small_clap, folder)
    (folder / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(ModelIntegrityError, match="holds no CLAP model"):
        load_clap(str(folder), "cpu")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelUnavailableError, match="the folder has no weights"):
        load_clap(str(folder), "cpu")


def test_weights_that_lack_tensors_are_refused(small_clap: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "copy"
    shutil.copytree(small_clap, folder)
    state = load_file(folder / "model.safetensors")
    del state["audio_projection.linear1.weight"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelIntegrityError, match="lacks 1 tensors"):
        load_clap(str(folder), "cpu")


def test_pickled_weights_run_no_code(small_clap: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    folder = tmp_path / "copy"
    shutil.copytree(small_clap, folder)
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    texts = ["a dog"]
    np.testing.assert_array_equal(
        load_clap(str(folder), "cpu").encode(Modality.TEXT, texts),
        load_clap(str(small_clap), "cpu").encode(Modality.TEXT, texts),
    )
    witness = tmp_path / "it ran"

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (witness,))

    torch.save({"logit_scale_a": Evil()}, folder / "pytorch_model.bin")
    with pytest.raises(ModelIntegrityError):
        load_clap(str(folder), "cpu")
    assert not witness.exists()

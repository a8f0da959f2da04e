"""What every encoder and every model must keep, whichever it is."""

from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from seehear.encoders import Encoder, Model, SingleSpaceModel, load_model
from seehear.encoders.clap import load_clap
from seehear.encoders.embedding_gemma import load_omni
from seehear.encoders.fake import FakeEncoder, fake_joined
from seehear.encoders.open_clip import load_open_clip
from seehear.encoders.pe_av import load_pe_av
from seehear.encoders.tiny import load_tiny
from seehear.errors import ModelUnavailableError, SpaceMismatchError, UsageError
from seehear.types import AudioSample, ImageSample, Modality, Sample, VideoSample

KINDS = [
    "fake",
    "fake-turned",
    "open_clip",
    "open_clip-pe",
    "clap",
    "pe_av",
    "omni",
    "builtin",
    "tiny",
]


@pytest.fixture(scope="module", params=KINDS)
def encoder(
    request: pytest.FixtureRequest,
    small_open_clip: Path,
    small_clap: Path,
    small_pe_av: Path,
    small_omni: Path,
    small_builtin: Path,
) -> Encoder:
    def of_open_clip(name: str) -> Encoder:
        return load_open_clip(f"{name}/{small_open_clip / name}.safetensors", "cpu")

    def tiny() -> Encoder:
        try:
            return load_tiny(device="cpu")
        except ModelUnavailableError:
            pytest.skip("the bundled weights are not built")

    make: dict[str, Callable[[], Encoder]] = {
        "fake": FakeEncoder,
        "fake-turned": lambda: FakeEncoder(turned=True),
        "open_clip": lambda: of_open_clip("seehear-small-clip"),
        "open_clip-pe": lambda: of_open_clip("seehear-small-pe"),
        "clap": lambda: load_clap(str(small_clap), "cpu"),
        "pe_av": lambda: load_pe_av(str(small_pe_av), "cpu"),
        "omni": lambda: load_omni(small_omni, "cpu"),
        "builtin": lambda: load_tiny(small_builtin, "cpu"),
        "tiny": tiny,
    }
    return make[str(request.param)]()


def samples_for(encoder: Encoder, modality: Modality, count: int = 5) -> list[Sample]:
    """Different samples of one modality, as a decoder would cut them for this encoder."""
    rng = np.random.default_rng(17)
    if modality is Modality.TEXT:
        texts = ["a red car", "rain at night", "dogs", "a letter from the harbour", "snow"]
        return list(texts[:count])
    if modality is Modality.AUDIO:
        rate = encoder.spec.sample_rate_hz
        times_s = np.arange(round(0.8 * rate)) / rate
        pitches = [210, 530, 990, 1860, 3490][:count]
        waves = [0.3 * np.sin(2 * np.pi * hz * times_s) for hz in pitches]
        noisy = [wave + 0.01 * rng.normal(size=len(wave)) for wave in waves]
        return [AudioSample(wave.astype(np.float32), rate) for wave in noisy]
    side = encoder.spec.image_px
    shapes = [(side, side + 9), (side + 30, side), (side, side), (2 * side, side), (side, side)]
    pictures = []
    for height, width in shapes[:count]:
        coarse = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        rows, columns = np.arange(height) * 4 // height, np.arange(width) * 4 // width
        pictures.append(ImageSample(np.ascontiguousarray(coarse[rows][:, columns])))
    if modality is Modality.IMAGE:
        return list(pictures)
    return [VideoSample((a, b)) for a, b in zip(pictures, pictures[::-1], strict=True)]


def empty_sample(encoder: Encoder, modality: Modality) -> Sample | None:
    if modality is Modality.TEXT:
        return "  "
    if modality is Modality.AUDIO:
        return AudioSample(np.zeros(4_000, dtype=np.float32), encoder.spec.sample_rate_hz)
    return None


def test_vectors_are_float32_of_unit_length_in_order(encoder: Encoder) -> None:
    for modality in encoder.modalities:
        samples = samples_for(encoder, modality)
        rows = encoder.encode(modality, samples)
        assert rows.dtype == np.float32
        assert rows.shape == (len(samples), encoder.space.dim)
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
        backwards = encoder.encode(modality, samples[::-1])
        np.testing.assert_allclose(backwards[::-1], rows, atol=1e-4)


def test_vectors_do_not_depend_on_the_batch(encoder: Encoder) -> None:
    for modality in encoder.modalities:
        samples = samples_for(encoder, modality)
        together = encoder.encode(modality, samples)
        alone = np.concatenate([encoder.encode(modality, [sample]) for sample in samples])
        np.testing.assert_allclose(together, alone, atol=1e-4)


def test_the_same_batch_gives_the_same_vectors(encoder: Encoder) -> None:
    for modality in encoder.modalities:
        samples = samples_for(encoder, modality)
        np.testing.assert_array_equal(
            encoder.encode(modality, samples), encoder.encode(modality, samples)
        )


def test_samples_without_content_are_zeros_and_disturb_no_neighbour(encoder: Encoder) -> None:
    for modality in encoder.modalities:
        empty = empty_sample(encoder, modality)
        if empty is None:
            continue
        full = samples_for(encoder, modality, 2)
        rows = encoder.encode(modality, [empty, full[0], empty, full[1]])
        assert not rows[[0, 2]].any()
        np.testing.assert_allclose(rows[[1, 3]], encoder.encode(modality, full), atol=1e-4)
        assert not encoder.encode(modality, [empty]).any()


def test_no_samples_give_no_rows(encoder: Encoder) -> None:
    for modality in encoder.modalities:
        assert encoder.encode(modality, []).shape == (0, encoder.space.dim)


def test_what_is_not_encoded_is_refused(encoder: Encoder) -> None:
    for modality in Modality:
        if modality in encoder.modalities:
            wrong = AudioSample(np.ones(8, dtype=np.float32), 16_000)
            other: Sample = "text" if modality is Modality.AUDIO else wrong
            with pytest.raises(UsageError):
                encoder.encode(modality, [other])
        else:
            with pytest.raises(UsageError, match=f"does not encode {modality}"):
                encoder.encode(modality, ["text"])


def test_samples_are_left_as_they_were(encoder: Encoder) -> None:
    if Modality.IMAGE in encoder.modalities:
        (picture,) = samples_for(encoder, Modality.IMAGE, 1)
        assert isinstance(picture, ImageSample)
        before = picture.pixels.copy()
        picture.pixels.flags.writeable = False
        encoder.encode(Modality.IMAGE, [picture])
        np.testing.assert_array_equal(picture.pixels, before)
    if Modality.AUDIO in encoder.modalities:
        (sound,) = samples_for(encoder, Modality.AUDIO, 1)
        assert isinstance(sound, AudioSample)
        heard = sound.waveform.copy()
        sound.waveform.flags.writeable = False
        encoder.encode(Modality.AUDIO, [sound])
        np.testing.assert_array_equal(sound.waveform, heard)


def test_threads_get_the_same_vectors(encoder: Encoder) -> None:
    from concurrent.futures import ThreadPoolExecutor

    for modality in encoder.modalities:
        samples = samples_for(encoder, modality)
        expected = encoder.encode(modality, samples)
        with ThreadPoolExecutor(3) as pool:
            jobs = [pool.submit(encoder.encode, modality, samples) for _ in range(6)]
            for job in jobs:
                np.testing.assert_allclose(job.result(), expected, atol=1e-5)


@pytest.fixture(scope="module", params=["fake", "fake-joined", "standard", "standard-av"])
def model(
    request: pytest.FixtureRequest,
    small_pe_folder: Path,
    small_clap: Path,
    small_pe_av: Path,
) -> Model:
    """A model that answers every route."""
    if request.param == "fake":
        return SingleSpaceModel("fake", FakeEncoder())
    if request.param == "fake-joined":
        return fake_joined()
    from seehear.encoders.bridge import fit_bridge
    from seehear.encoders.composite import CompositeModel

    sight = load_open_clip(str(small_pe_folder), "cpu")
    sound: Encoder = load_clap(str(small_clap), "cpu")
    if request.param == "standard-av":
        sound = load_pe_av(str(small_pe_av), "cpu")
    captions = ["a dog", "a red car", "rain", "the sea", "snow at night", "people", "music", "a"]
    return CompositeModel(
        request.param, sight, sound, lambda: fit_bridge(sound, sight, captions), "test"
    )


def test_a_model_has_a_vector_in_every_space_that_its_routes_ask_for(model: Model) -> None:
    class AsEncoder:
        spec = model.spec

    rows = {
        modality: model.encode(modality, samples_for(AsEncoder(), modality, 2))  # type: ignore[arg-type]
        for modality in Modality
    }
    for modality in Modality:
        assert tuple(rows[modality]) == model.spaces_of(modality)
    for query, item in product(Modality, Modality):
        route = model.route(query, item)
        assert route.name == f"{query}->{item}"
        similarities = rows[query][route.space] @ rows[item][route.space].T
        assert similarities.shape == (2, 2)
        assert np.abs(similarities).max() <= 1 + 1e-5


def test_a_model_of_one_encoder_refuses_routes_it_does_not_have(small_clap: Path) -> None:
    model = load_model(f"clap:{small_clap}", "cpu")
    assert model.spaces_of(Modality.IMAGE) == ()
    assert model.route(Modality.TEXT, Modality.AUDIO).space == model.spaces_of(Modality.TEXT)[0]
    with pytest.raises(SpaceMismatchError, match="does not encode image"):
        model.route(Modality.TEXT, Modality.IMAGE)

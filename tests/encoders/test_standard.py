"""Test the model `standard`, from small models of its two real classes."""

import shutil
from collections.abc import Mapping
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from seehear.encoders import known_shares, load_model
from seehear.encoders.composite import CompositeModel
from seehear.encoders.fake import FakeEncoder, fake_joined
from seehear.encoders.standard import (
    AUDIO_FOLDER,
    AV_FOLDER,
    LIGHTER_AUDIO_FOLDER,
    MULTILINGUAL_FOLDER,
    VISION_FOLDER,
)
from seehear.errors import ModelUnavailableError, SpaceMismatchError
from seehear.types import (
    AudioSample,
    EmbeddingSpace,
    ImageSample,
    Modality,
    Vectors,
    VideoSample,
)

ROUTES = {
    "sound": {("text", "audio"), ("audio", "text"), ("audio", "audio")},
    "bridge": {("image", "audio"), ("video", "audio"), ("audio", "image"), ("audio", "video")},
}


@pytest.fixture(autouse=True)
def _few_captions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fit bridges on nine captions."""
    monkeypatch.setattr(
        "seehear.encoders.bridge.bridge_captions",
        lambda: tuple(f"{a} {b}" for a in ("red", "old", "loud") for b in ("car", "dog", "sea")),
    )


@pytest.fixture(scope="module")
def folder(
    small_pe_folder: Path, small_clap: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("standard")
    shutil.copytree(small_pe_folder, folder / VISION_FOLDER)
    shutil.copytree(small_clap, folder / AUDIO_FOLDER)
    return folder


def test_standard_loads_from_copies_on_disk_and_answers_every_route(
    folder: Path,
    tmp_path: Path,
    pictures: list[ImageSample],
    sounds: list[AudioSample],
) -> None:
    steps: list[tuple[str, int, int]] = []
    model = load_model(
        f"standard:{folder}",
        "cpu",
        cache=tmp_path,
        progress=lambda *step: steps.append(step),
    )
    sight, sound = model.spaces_of(Modality.TEXT)
    assert (sight.dim, sound.dim) == (32, 20)
    assert model.spec.image_px == 64
    assert model.spec.sample_rate_hz == 48_000

    rows: dict[Modality, Mapping[EmbeddingSpace, Vectors]] = {
        Modality.TEXT: model.encode(Modality.TEXT, ["a dog", "the sea"]),
        Modality.IMAGE: model.encode(Modality.IMAGE, pictures[:2]),
        Modality.VIDEO: model.encode(Modality.VIDEO, [VideoSample(tuple(pictures[:2]))]),
    }
    assert steps == []  # the bridge is fitted when the first sound comes
    rows[Modality.AUDIO] = model.encode(Modality.AUDIO, sounds[:2])
    assert steps[-1][1:] == (9, 9)
    for modality in Modality:
        assert set(rows[modality]) == set(model.spaces_of(modality))
        for vectors in rows[modality].values():
            np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    for query, item in product(Modality, Modality):
        space = model.route(query, item).space
        assert (rows[query][space] @ rows[item][space].T).shape[0] == len(rows[query][space])
    (file,) = tmp_path.iterdir()
    assert sight.revision in file.name
    assert sound.revision in file.name

    steps.clear()
    again = load_model(f"standard:{folder}", "cpu", cache=tmp_path, progress=steps.append)  # type: ignore[arg-type]
    np.testing.assert_array_equal(
        again.encode(Modality.AUDIO, sounds[:2])[sight], rows[Modality.AUDIO][sight]
    )
    assert steps == []
    assert again.revision == model.revision


def test_multilingual_reads_other_scripts_and_answers_every_route(
    small_siglip_folder: Path,
    small_clap: Path,
    tmp_path: Path,
    pictures: list[ImageSample],
    sounds: list[AudioSample],
) -> None:
    folder = tmp_path / "copies"
    shutil.copytree(small_clap, folder / AUDIO_FOLDER)
    with pytest.raises(ModelUnavailableError, match=f"no copy of {MULTILINGUAL_FOLDER}"):
        load_model(f"multilingual:{folder}", "cpu")
    shutil.copytree(small_siglip_folder, folder / MULTILINGUAL_FOLDER)
    model = load_model(f"multilingual:{folder}", "cpu", cache=tmp_path / "cache")
    vision, audio = model.spaces_of(Modality.TEXT)
    assert (vision.dim, audio.dim) == (32, 20)
    assert "SigLIP2" in vision.name

    texts = ["a dog", "собака", "犬", "كلب", "ein Hund auf der Straße"]
    rows = model.encode(Modality.TEXT, texts)[vision]
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert len({row.tobytes() for row in rows}) == len(texts)
    assert known_shares(model, texts) == [1.0] * len(texts)
    assert set(model.encode(Modality.IMAGE, pictures[:1])) == {vision}
    assert set(model.encode(Modality.AUDIO, sounds[:1])) == {vision, audio}
    for query, item in product(Modality, Modality):
        assert model.route(query, item).space in model.spaces_of(item)


def test_standard_av_joins_sounds_with_videos_natively(
    small_pe_folder: Path,
    small_pe_av: Path,
    tmp_path: Path,
    pictures: list[ImageSample],
    sounds: list[AudioSample],
) -> None:
    folder = tmp_path / "copies"
    shutil.copytree(small_pe_folder, folder / VISION_FOLDER)
    with pytest.raises(ModelUnavailableError, match=f"no copy of {AV_FOLDER}"):
        load_model(f"standard-av:{folder}", "cpu")
    shutil.copytree(small_pe_av, folder / AV_FOLDER)
    model = load_model(f"standard-av:{folder}", "cpu", cache=tmp_path / "cache")
    vision, audio = model.spaces_of(Modality.TEXT)
    assert (vision.dim, audio.dim) == (32, 24)
    assert model.spec.image_px == 64
    assert model.spaces_of(Modality.IMAGE) == (vision,)
    assert model.spaces_of(Modality.VIDEO) == model.spaces_of(Modality.AUDIO) == (vision, audio)
    rows = {
        Modality.TEXT: model.encode(Modality.TEXT, ["a dog", "the sea"]),
        Modality.IMAGE: model.encode(Modality.IMAGE, pictures[:2]),
        Modality.VIDEO: model.encode(Modality.VIDEO, [VideoSample(tuple(pictures[:2]))]),
        Modality.AUDIO: model.encode(Modality.AUDIO, sounds[:2]),
    }
    native = ROUTES["sound"] | {("audio", "video"), ("video", "audio")}
    for query, item in product(Modality, Modality):
        space = model.route(query, item).space
        assert space == (audio if (str(query), str(item)) in native else vision)
        similarities = rows[query][space] @ rows[item][space].T
        assert similarities.shape == (len(rows[query][space]), len(rows[item][space]))
        assert np.isfinite(similarities).all()


def test_a_folder_may_hold_the_lighter_clap(folder: Path, tmp_path: Path) -> None:
    lighter = tmp_path / "copies"
    shutil.copytree(folder / VISION_FOLDER, lighter / VISION_FOLDER)
    wanted = f"no copy of {AUDIO_FOLDER} or {LIGHTER_AUDIO_FOLDER}"
    with pytest.raises(ModelUnavailableError, match=wanted):
        load_model(f"standard:{lighter}", "cpu")
    shutil.copytree(folder / AUDIO_FOLDER, lighter / LIGHTER_AUDIO_FOLDER)
    _, audio = load_model(f"standard:{lighter}", "cpu").spaces_of(Modality.TEXT)
    assert audio.name == f"clap:{LIGHTER_AUDIO_FOLDER}"
    shutil.copytree(folder / AUDIO_FOLDER, lighter / AUDIO_FOLDER)
    _, audio = load_model(f"standard:{lighter}", "cpu").spaces_of(Modality.TEXT)
    assert audio.name == f"clap:{AUDIO_FOLDER}"


def test_routes_use_native_spaces_where_both_ends_have_them() -> None:
    model = fake_joined()
    sight, sound = model.spaces_of(Modality.TEXT)
    for query, item in product(Modality, Modality):
        route = model.route(query, item)
        expected = sound if (str(query), str(item)) in ROUTES["sound"] else sight
        assert route.space == expected, route.name
        assert expected in model.spaces_of(query)
        assert expected in model.spaces_of(item)


def test_a_joined_model_needs_what_its_routes_need() -> None:
    sight = FakeEncoder(modalities=frozenset({Modality.TEXT, Modality.IMAGE}), name="sight")
    sound = FakeEncoder(modalities=frozenset({Modality.TEXT, Modality.AUDIO}), name="sound")
    bridge = fake_joined().bridge
    with pytest.raises(SpaceMismatchError, match="needs video from sight"):
        CompositeModel("joined", sight, sound, lambda: bridge, "1")
    whole = FakeEncoder(name="whole")
    mixed = CompositeModel("joined", whole, sound, lambda: bridge, "1")
    with pytest.raises(SpaceMismatchError, match="was given a bridge from fake-sound"):
        mixed.encode(Modality.AUDIO, [AudioSample(np.ones(99, dtype=np.float32), 16_000)])

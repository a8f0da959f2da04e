"""Test the bridge: what it recovers where the right answer is known, and its file."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from seehear.encoders.base import normalised
from seehear.encoders.bridge import (
    Bridge,
    bridge_from_pairs,
    cached_bridge,
    file_name,
    load_bridge,
    save_bridge,
)
from seehear.encoders.captions import DEFAULT_DIGEST, bridge_captions, captions_digest
from seehear.encoders.fake import FakeEncoder, fake_joined, image, tone
from seehear.errors import ModelIntegrityError, SpaceMismatchError
from seehear.types import EmbeddingSpace, Modality, Vectors

SOURCE = EmbeddingSpace("sounds", "a1", 24)
TARGET = EmbeddingSpace("sights", "b2", 40)


class World:
    """Meanings with 12 facets, seen by two pairs of towers with cones and gaps of their own."""

    def __init__(self, seed: int = 0, gap: float = 0.6, sound_spread: float = 0.5) -> None:
        rng = np.random.default_rng(seed)
        self.into_source = np.linalg.qr(rng.normal(size=(SOURCE.dim, SOURCE.dim)))[0]
        self.into_target = np.linalg.qr(rng.normal(size=(TARGET.dim, TARGET.dim)))[0]
        self.gap = gap
        self.sound_spread = sound_spread
        self.rng = rng

    def meanings(self, count: int) -> NDArray[np.float64]:
        return self.rng.normal(size=(count, 12))

    def _tower(
        self,
        axes: NDArray[np.float64],
        meanings: NDArray[np.float64],
        spread: float,
        gap: float,
        noise: float = 0.03,
    ) -> Vectors:
        # Axes 0..11 carry meaning, axis 12 is the cone that all share, axis 13 the modality's.
        rows = np.zeros((len(meanings), len(axes)))
        rows[:, :12] = spread * 0.25 * meanings
        rows[:, 12] = 0.8
        rows[:, 13] = gap
        rows += noise * self.rng.normal(size=rows.shape)
        return normalised((rows @ axes).astype(np.float32))

    def source_texts(self, meanings: NDArray[np.float64]) -> Vectors:
        return self._tower(self.into_source, meanings, 1.0, 0.0)

    def sounds(self, meanings: NDArray[np.float64]) -> Vectors:
        return self._tower(self.into_source, meanings, self.sound_spread, self.gap)

    def target_texts(self, meanings: NDArray[np.float64]) -> Vectors:
        return self._tower(self.into_target, meanings, 1.0, 0.0)

    def pictures(self, meanings: NDArray[np.float64], wander: float = 0.0) -> Vectors:
        rows = self._tower(self.into_target, meanings, 1.0, self.gap)
        middle = wander * self.rng.normal(size=(len(rows), 1)) * self.into_target[12]
        return normalised((rows + middle).astype(np.float32))


def fitted(world: World, count: int = 2000) -> Bridge:
    texts = world.meanings(count)
    return bridge_from_pairs(
        SOURCE, TARGET, world.source_texts(texts), world.target_texts(texts), "r"
    )


def recall_at_1(queries: Vectors, items: Vectors) -> float:
    return float(np.mean((queries @ items.T).argmax(axis=1) == np.arange(len(queries))))


def test_a_known_map_is_recovered() -> None:
    world = World()
    bridge = fitted(world)
    assert bridge.fit.cosine > 0.97
    assert bridge.fit.recall_at_1 > 0.95
    assert bridge.fit.held_out == 200
    meanings = world.meanings(100)
    mapped = bridge(world.source_texts(meanings))
    np.testing.assert_allclose(np.linalg.norm(mapped, axis=1), 1, atol=1e-5)
    assert recall_at_1(mapped, world.target_texts(meanings)) > 0.95


def test_sounds_find_pictures_and_pictures_sounds_across_the_modality_gap() -> None:
    world = World(gap=0.9, sound_spread=0.4)
    bridge = fitted(world)
    meanings = world.meanings(100)
    sounds, pictures = bridge(world.sounds(meanings)), world.pictures(meanings)
    assert recall_at_1(sounds, pictures) > 0.75
    assert recall_at_1(pictures, sounds) > 0.75


def test_centring_and_radius_beat_the_plain_ridge() -> None:
    """The naive twin: the same ridge without means and radius, on the same data, in a world where
    pictures differ in how near to the middle of all texts they lie."""
    world = World(gap=0.9, sound_spread=0.4)
    texts = world.meanings(2000)
    x, y = world.source_texts(texts), world.target_texts(texts)
    bridge = bridge_from_pairs(SOURCE, TARGET, x, y, "r")
    weight = np.linalg.solve(x.T @ x + 1e-3 * np.eye(SOURCE.dim), x.T @ y)
    meanings = world.meanings(200)
    sounds, pictures = world.sounds(meanings), world.pictures(meanings, wander=0.2)
    plain = normalised(sounds @ weight)
    assert recall_at_1(bridge(sounds), pictures) > recall_at_1(plain, pictures) + 0.2
    assert recall_at_1(pictures, bridge(sounds)) > recall_at_1(pictures, plain)


def test_silence_stays_zero_and_other_spaces_are_refused() -> None:
    bridge = fitted(World(), 200)
    rows = np.zeros((2, SOURCE.dim), dtype=np.float32)
    rows[1, 0] = 1.0
    assert bridge(rows)[0].tolist() == [0.0] * TARGET.dim
    assert bridge(rows)[1].any()
    with pytest.raises(SpaceMismatchError, match="sounds@a1:24"):
        bridge(np.zeros((2, TARGET.dim), dtype=np.float32))


def test_a_saved_bridge_is_the_same_bridge(tmp_path: Path) -> None:
    bridge = fitted(World(), 300)
    path = tmp_path / "deep" / "bridge.safetensors"
    save_bridge(bridge, path)
    again = load_bridge(path, SOURCE, TARGET, "r")
    rows = World().sounds(World().meanings(5))
    np.testing.assert_array_equal(bridge(rows), again(rows))
    assert again.fit == bridge.fit
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_bridge_file_is_verified_when_it_is_loaded(tmp_path: Path) -> None:
    bridge = fitted(World(), 300)
    path = tmp_path / "bridge.safetensors"
    save_bridge(bridge, path)
    other = EmbeddingSpace("sounds", "a2", 24)
    with pytest.raises(ModelIntegrityError, match="joins other spaces"):
        load_bridge(path, other, TARGET, "r")
    with pytest.raises(ModelIntegrityError, match="joins other spaces"):
        load_bridge(path, SOURCE, TARGET, "s")
    whole = path.read_bytes()
    for damaged in (whole[:-400], whole[:-4] + b"\x00\x01\x02\x03", b"", b"PK\x03\x04 no bridge"):
        path.write_bytes(damaged)
        with pytest.raises(ModelIntegrityError):
            load_bridge(path, SOURCE, TARGET, "r")


def test_the_cache_is_used_and_a_damaged_one_is_made_anew(tmp_path: Path) -> None:
    source, target = FakeEncoder(name="a", turned=True), FakeEncoder(name="b")
    captions = [f"{a} {b}" for a in ("red", "blue", "dog", "sea") for b in ("snow", "fire", "cat")]
    seen: list[tuple[str, int, int]] = []
    first = cached_bridge(source, target, tmp_path, captions, lambda *step: seen.append(step))
    assert [step[1:] for step in seen] == [(12, 12), (12, 12)]
    assert source.samples[Modality.TEXT] == 12
    again = cached_bridge(source, target, tmp_path, captions)
    assert source.samples[Modality.TEXT] == 12
    np.testing.assert_array_equal(first.weight, again.weight)

    (file,) = tmp_path.iterdir()
    assert "a-1-32" in file.name
    assert "b-1-32" in file.name
    file.write_bytes(b"rubbish")
    cached_bridge(source, target, tmp_path, captions)
    assert source.samples[Modality.TEXT] == 24
    newer = FakeEncoder(revision="2", name="a", turned=True)
    cached_bridge(newer, target, tmp_path, captions)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    encoders = FakeEncoder(name="a"), FakeEncoder(name="b")
    bridge = cached_bridge(*encoders, tmp_path / "file" / "bridges", ["red fire", "blue", "dog"])
    assert bridge.target.name == "b"


def test_file_names_are_safe_everywhere() -> None:
    space = EmbeddingSpace("open_clip:ViT-B-32//home/a:b", "x/y", 512)
    name = file_name(space, TARGET, "1-abc")
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-")


def test_the_joined_fake_model_finds_sounds_by_pictures() -> None:
    model = fake_joined()
    names = ["red", "blue", "white", "green", "black"]
    sounds = model.encode(Modality.AUDIO, [tone(name) for name in names])
    pictures = model.encode(Modality.IMAGE, [image(name) for name in names])
    sight, sound = model.spaces_of(Modality.AUDIO)
    np.testing.assert_array_equal(
        (pictures[sight] @ sounds[sight].T).argmax(axis=1), np.arange(len(names))
    )
    assert model.route(Modality.IMAGE, Modality.AUDIO).space == sight
    assert model.route(Modality.TEXT, Modality.AUDIO).space == sound
    assert model.revision == fake_joined().revision != fake_joined("2").revision


def test_captions_are_always_the_same_many_different_sentences() -> None:
    captions = bridge_captions()
    assert 2_800 < len(captions) <= 3_000
    assert len(set(captions)) == len(captions)
    assert {"dog", "thunder"} <= set(captions)
    assert all(caption == " ".join(caption.split()) for caption in captions)
    assert captions_digest(captions) == DEFAULT_DIGEST

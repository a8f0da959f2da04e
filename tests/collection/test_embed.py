"""Vectors leave the library and come back as queries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import seehear
from seehear.types import Embeddings, EmbeddingSpace, Modality

PIXELS = np.random.default_rng(1).integers(0, 256, (40, 60, 3), dtype=np.uint8)
TONE = np.sin(np.arange(24 * 16_000) * 0.1).astype(np.float32) * 0.5


@pytest.fixture(scope="module", params=["fake", "fake-joined"])
def library(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[seehear.Collection]:
    folder = tmp_path_factory.mktemp("embed")
    media = folder / "media"
    media.mkdir()
    Image.fromarray(PIXELS).save(media / "noise.png")
    Image.new("RGB", (20, 20), "red").save(media / "red.png")
    (media / "note.md").write_text("We saw a lighthouse.")
    with seehear.open(folder / "collection", model=request.param) as library:
        library.index(media)
        yield library


def test_each_thing_has_a_row_of_unit_length_in_each_space(library: seehear.Collection) -> None:
    several = {
        Modality.TEXT: library.embed(["a dog", "the sea"]),
        Modality.IMAGE: library.embed(images=[PIXELS, Image.fromarray(PIXELS[::-1].copy())]),
        Modality.AUDIO: library.embed(audio=[(TONE, 16_000), (TONE[:16_000], 16_000)]),
    }
    for modality, found in several.items():
        assert (found.modality, len(found)) == (modality, 2)
        assert tuple(found.vectors) == library.model().spaces_of(modality)
        for space, rows in found.vectors.items():
            assert rows.dtype == np.float32
            assert rows.shape == (2, space.dim)
            np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(several[Modality.TEXT][1:].array, library.embed("the sea").array)


def test_a_search_by_vectors_is_that_by_what_they_are_of(library: seehear.Collection) -> None:
    asked = library.search("a lighthouse by the sea", mode="semantic")
    by_vectors = library.search(vectors=library.embed("a lighthouse by the sea"))
    assert [hit.path for hit in by_vectors] == [hit.path for hit in asked]
    scores = [hit.score for hit in asked]
    assert [hit.score for hit in by_vectors] == pytest.approx(scores, abs=1e-5)
    (first, *_) = library.search(vectors=library.embed(images=PIXELS))
    assert first.path.name == "noise.png"
    both = library.search("a lighthouse", vectors=library.embed(images=PIXELS), explain=True)
    assert {one.part for one in both[0].why} == {"a lighthouse", "1 vector"}


def test_vectors_that_do_not_fit_are_refused_in_one_line(library: seehear.Collection) -> None:
    own = library.embed("a dog")
    (space, rows), *_ = own.vectors.items()
    other = EmbeddingSpace("elsewhere", "1", space.dim)
    wrong = [
        (Embeddings(Modality.TEXT, {other: rows}), "vectors are of elsewhere@1"),
        (Embeddings(Modality.TEXT, {**own.vectors, space: rows[:, :-1]}), "are float32"),
        (Embeddings(Modality.TEXT, {**own.vectors, space: rows[0]}), "are float32"),
        (Embeddings(Modality.TEXT, {**own.vectors, space: np.full_like(rows, np.nan)}), "NaN"),
        (Embeddings(Modality.TEXT, {**own.vectors, space: rows.astype(np.float64)}), "float64"),
        (Embeddings(Modality.TEXT, {s: np.zeros_like(v) for s, v in own.vectors.items()}), "1 vec"),
    ]  # fmt: skip
    for vectors, told in wrong:
        with pytest.raises(seehear.UsageError, match=told) as caught:
            library.search(vectors=vectors)
        assert "\n" not in str(caught.value)


def test_one_kind_at_a_time(library: seehear.Collection, tmp_path: Path) -> None:
    with pytest.raises(seehear.UsageError, match="one of the four"):
        library.embed()
    with pytest.raises(seehear.UsageError, match="one of the four"):
        library.embed("a dog", images=PIXELS)
    with pytest.raises(seehear.UsageError, match="is a picture, not a sound"):
        library.embed(audio=PIXELS)
    with pytest.raises(seehear.UsageError, match="No file"):
        library.embed(images=tmp_path / "none.png")

"""The weights in the tree give the vectors that they gave when they were put there."""

from __future__ import annotations

import json

import numpy as np
import pytest

from seehear.encoders.tiny import TinyEncoder, load_tiny
from seehear.encoders.tiny.encoder import TINY
from seehear.types import Modality
from tests.encoders.pin_tiny import PINS, embeddings, samples

pytestmark = pytest.mark.skipif(
    not (TINY / "manifest.json").is_file(), reason="the bundled weights are not built"
)
_MOST_BYTES = 25_000_000


@pytest.fixture(scope="module")
def encoder() -> TinyEncoder:
    return load_tiny(device="cpu")


def test_vectors_are_the_pinned_ones(encoder: TinyEncoder) -> None:
    pins = json.loads(PINS.read_text())
    assert encoder.space.revision == pins["revision"], (
        "the weights changed: run `python -m tests.encoders.pin_tiny` and commit the pins with them"
    )

    for name, vectors in embeddings(encoder).items():
        pinned = np.array(pins["embeddings"][name], np.float32)
        assert (vectors * pinned).sum(axis=1) == pytest.approx(1.0, abs=1e-3), name


@pytest.mark.parametrize("modality", [Modality.IMAGE, Modality.AUDIO])
def test_half_precision_gives_the_same_vectors(encoder: TinyEncoder, modality: Modality) -> None:
    some = samples()[modality]

    whole = encoder.encode(modality, some)
    half = load_tiny(device="cpu", half=True).encode(modality, some)

    assert ((whole * half).sum(axis=1) > 0.999).all()


def test_folder_is_small_enough_to_ship() -> None:
    assert sum(path.stat().st_size for path in TINY.iterdir()) <= _MOST_BYTES

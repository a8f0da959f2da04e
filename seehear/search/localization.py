"""Find where in a picture, and when in a sound, a text is met: what a hit is shown by.

Each patch of a picture, and each short window of a sound, is compared with the text and with
sentences about anything: what is nearer to the text than to those is where it is met. How often
that is the right place: docs/quality.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seehear.cancellation import check_current
from seehear.encoders import Model, encode_patches
from seehear.types import AudioSample, ImageSample, Modality, Vectors

_LEAST_SPREAD = 0.08
"""Difference of similarities that counts as met; less is not stretched until it looks like more."""
_WINDOW_S = 2.0
_MOST_WINDOWS = 30
_SEEN = (
    "a photo", "a picture of something", "a person", "a landscape", "an animal", "a building",
    "a street", "food on a table", "a room", "the sky", "a vehicle", "people outdoors", "a plant",
    "a close-up of an object",
)  # fmt: skip
_HEARD = (
    "a sound", "noise", "music", "somebody speaks", "an animal", "an engine", "nature", "a machine",
    "people", "something falls", "wind", "water",
)  # fmt: skip


def locate_in_image(
    model: Model, image: ImageSample, texts: Sequence[str]
) -> NDArray[np.float32] | None:
    """Return how much each patch of an image is what the texts say, from 0 to 1: (rows, columns).

    None where the model cannot tell patches apart, or does not know the texts.
    """
    patches = encode_patches(model, image)
    if patches is None:
        return None
    space = model.route(Modality.TEXT, Modality.IMAGE).space
    encoded = model.encode(Modality.TEXT, [*texts, *_SEEN])[space]
    return _scaled(_contrast(patches, encoded, len(texts)))


def locate_in_audio(
    model: Model, audio: AudioSample, texts: Sequence[str]
) -> tuple[float, NDArray[np.float32]] | None:
    """Return how much each of equal steps of a sound is what the texts say: float32 (n,), 0 to 1.

    The length of a step in seconds comes first. None as `locate_in_image`, and for a short sound.
    """
    rate = audio.sample_rate_hz
    step = max(_WINDOW_S / 2, audio.duration_s / _MOST_WINDOWS)
    count = round((audio.duration_s - _WINDOW_S) / step) + 1
    if encode_patches(model, _GREY) is None or count < 3:
        return None
    starts = [round(n * step * rate) for n in range(count)]
    windows = [
        AudioSample(audio.waveform[start : start + round(_WINDOW_S * rate)], rate)
        for start in starts
    ]
    space = model.route(Modality.TEXT, Modality.AUDIO).space
    found = model.encode(Modality.AUDIO, windows)[space]
    check_current()
    encoded = model.encode(Modality.TEXT, [*texts, *_HEARD])[space]
    met = _contrast(found, encoded, len(texts))
    met[~found.any(axis=1)] = met.min()  # silence
    # A step is heard in the windows that begin with it and half a window before it.
    steps = np.array([met[max(0, n - 1) : n + 1].mean() for n in range(count + 1)])
    scaled = _scaled(steps)
    return None if scaled is None else (step, scaled)


_GREY = ImageSample(np.full((32, 32, 3), 128, np.uint8))


def _contrast(found: Vectors, encoded: Vectors, count: int) -> NDArray[np.float32]:
    """Return by how much vectors are nearer to the first `count` texts than to the others."""
    texts, others = encoded[:count], encoded[count:]
    if not texts.any():
        return np.zeros(found.shape[:-1], np.float32)
    near: NDArray[np.float32] = (found @ texts.T).mean(-1) - (found @ others.T).mean(-1)
    return near


def _scaled(met: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Scale from the median, 0, to the highest value, 1; None if all are equal."""
    low, high = float(np.median(met)), float(met.max())
    if high - low < 1e-6:
        return None
    scaled: NDArray[np.float32] = (met - low) / max(high - low, _LEAST_SPREAD)
    return np.clip(scaled, 0.0, 1.0).astype(np.float32, copy=False)

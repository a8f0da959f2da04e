"""The bank of generic queries: what anyone might ask, so that we know what unrelated looks like.

Text queries come from `phrases.txt`. For pictures, sounds and clips the collection's own items are
the best bank there is; these made-up ones (textures, shapes, tones, noises) stand in while a
collection is small, weigh less and less as it grows (see calibrate.py), and are not asked for once
it has enough (OWN_QUERIES in fitted.py).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from seehear.encoders.base import Model
from seehear.encoders.plain import encoder_errors
from seehear.types import (
    AudioSample,
    EmbeddingSpace,
    ImageSample,
    Modality,
    Sample,
    SampleSpec,
    Vectors,
    VideoSample,
)

SYNTHETIC_COUNT = 32
"""Pictures, sounds and clips of each kind: enough for a mean and a spread to within a fifth."""

BATCH_ROWS = {Modality.IMAGE: 7, Modality.AUDIO: 7, Modality.VIDEO: 2}
"""Samples encoded in one call; texts all at once. So few rows (a clip has at most FRAMES) go
through a tower the plain way, as queries do (see encoders/faster.py): they give the same vectors
whatever way large batches take, and nothing is measured on them."""
FRAMES = 3

Signal = NDArray[np.float64]


@cache
def phrases() -> tuple[str, ...]:
    """The generic text queries, in the order of the file."""
    text = resources.files("seehear.search").joinpath("phrases.txt").read_text("utf-8")
    return tuple(line for line in text.splitlines() if line and not line.startswith("#"))


@cache
def bank_digest() -> str:
    """Changes whenever the bank does, so that stored vectors of an older bank are not used."""
    return hashlib.sha256("\n".join((f"1/{SYNTHETIC_COUNT}", *phrases())).encode()).hexdigest()[:12]


def bank_samples(
    modality: Modality, spec: SampleSpec, count: int | None = None
) -> Sequence[Sample]:
    """The bank's queries of one modality, as samples that a model of that spec takes; with
    `count` the first of them alone."""
    if modality is Modality.TEXT:
        return phrases()[:count]
    numbers = range(SYNTHETIC_COUNT)[:count]
    if modality is Modality.IMAGE:
        return [_image(number, spec.image_px) for number in numbers]
    if modality is Modality.AUDIO:
        return [_audio(number, spec) for number in numbers]
    return [_video(number, spec.image_px) for number in numbers]


def encode_bank(modality: Modality, model: Model) -> dict[EmbeddingSpace, Vectors]:
    """The bank's queries of one modality in each of their spaces: float32 (n, dim).

    Rows without content are zeros.
    """
    samples = bank_samples(modality, model.spec)
    step = BATCH_ROWS.get(modality, len(samples))
    with encoder_errors(model, modality):
        portions = [
            model.encode(modality, samples[start : start + step])
            for start in range(0, len(samples), step)
        ]
    return {
        space: np.concatenate([portion[space] for portion in portions])
        for space in model.spaces_of(modality)
    }


def with_content(vectors: Vectors) -> Vectors:
    """Without the rows of zeros: float32 (n, dim)."""
    return vectors[np.any(vectors != 0, axis=1)]


def bank_name(modality: Modality, space: EmbeddingSpace) -> str:
    """Under which name the catalog keeps the bank's vectors of one modality in one space."""
    return f"bank:{bank_digest()}:{modality}:{space.key}"


def pack(vectors: Vectors) -> bytes:
    """Vectors as bytes for the catalog; `unpack` is the way back. Nothing is ever unpickled."""
    buffer = io.BytesIO()
    np.save(buffer, vectors.astype(np.float32), allow_pickle=False)
    return buffer.getvalue()


def unpack(blob: bytes, dim: int) -> Vectors | None:
    """The vectors of `pack`; None where the blob is damaged or of another dimension."""
    try:
        vectors = np.load(io.BytesIO(blob), allow_pickle=False)
    except (ValueError, EOFError, OSError):
        return None
    if vectors.ndim != 2 or vectors.shape[1] != dim or vectors.dtype != np.float32:
        return None
    return np.asarray(vectors, dtype=np.float32)


def _video(number: int, size_px: int) -> VideoSample:
    """A shot of one still thing, and a shot in which something changes, by turns.

    A still one is one frame: the vector of a shot is the mean of its frames'.
    """
    frames = FRAMES if number % 2 else 1
    return VideoSample(tuple(_image(100 + number + n, size_px) for n in range(frames)))


def _image(number: int, size_px: int) -> ImageSample:
    """One of five kinds of made-up picture, in colours of its own."""
    rng = np.random.default_rng(1_000 + number)
    front, back = rng.random(3), rng.random(3)
    y, x = np.mgrid[0 : 1 : size_px * 1j, 0 : 1 : size_px * 1j]
    kind = number % 5
    if kind == 0:  # a gradient
        mask = np.cos(a := rng.random() * 6.28) * x + np.sin(a) * y
        mask = (mask - mask.min()) / (np.ptp(mask) or 1.0)
    elif kind == 1:  # stripes
        mask = 0.5 + 0.5 * np.sin((3 + 20 * rng.random()) * (x + rng.random() * y) * 6.28)
    elif kind == 2:  # a disc on a ground
        mask = (np.hypot(x - rng.random(), y - rng.random()) < 0.15 + 0.3 * rng.random()) * 1.0
    elif kind == 3:  # a chequered ground
        cells = 2 + int(8 * rng.random())
        mask = ((np.floor(x * cells) + np.floor(y * cells)) % 2) * 1.0
    else:  # a cloudy texture
        mask = _cloud(rng, size_px)
    pixels = mask[..., None] * front + (1 - mask[..., None]) * back
    pixels += 0.03 * (rng.random(pixels.shape) - 0.5)
    return ImageSample((pixels.clip(0, 1) * 255).astype(np.uint8))


def _cloud(rng: np.random.Generator, size_px: int) -> Signal:
    """Noise whose power falls with the square of the frequency, as in photographs: [0, 1]."""
    noise = np.fft.fft2(rng.random((size_px, size_px)) - 0.5)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(size_px), np.fft.fftfreq(size_px)))
    frequency[0, 0] = 1.0
    cloud = np.fft.ifft2(noise / frequency**1.5).real
    cloud -= cloud.min()
    return np.asarray(cloud / (cloud.max() or 1.0))


def _audio(number: int, spec: SampleSpec) -> AudioSample:
    """One of six kinds of made-up sound, as long as the model's window (at most 10 s)."""
    rng = np.random.default_rng(2_000 + number)
    rate = spec.sample_rate_hz
    t = np.arange(int(min(spec.window_s, 10.0) * rate)) / rate
    pitch_hz = 80.0 * 2 ** (5 * rng.random())
    kind = number % 6
    if kind == 0:  # a tone with overtones
        wave = sum(np.sin(6.2832 * pitch_hz * n * t) / n for n in range(1, 6))
    elif kind == 1:  # a rising or falling tone, again and again
        sweep = (t * (0.5 + 2 * rng.random())) % 1.0
        wave = np.sin(6.2832 * np.cumsum(pitch_hz * (1 + 2 * sweep)) / rate)
    elif kind == 2:  # noise, bright or dark
        wave = _coloured_noise(rng, len(t), 2 * rng.random())
    elif kind == 3:  # noise in bursts
        bursts = np.sin(6.2832 * (0.5 + 4 * rng.random()) * t) > 0.3
        wave = _coloured_noise(rng, len(t), 1.0) * bursts
    elif kind == 4:  # clicks
        wave = _strikes(rng, t, 40.0 + 200 * rng.random()) * (rng.random(len(t)) - 0.5)
    else:  # struck tones
        wave = _strikes(rng, t, 3.0 + 10 * rng.random()) * np.sin(6.2832 * pitch_hz * t)
    peak = float(np.abs(wave).max()) or 1.0
    return AudioSample((0.5 * np.asarray(wave) / peak).astype(np.float32), rate)


def _coloured_noise(rng: np.random.Generator, count: int, slope: float) -> Signal:
    spectrum = np.fft.rfft(rng.random(count) - 0.5)
    spectrum /= np.maximum(np.arange(len(spectrum)), 20.0) ** slope
    return np.asarray(np.fft.irfft(spectrum, count))


def _strikes(rng: np.random.Generator, t: Signal, decay: float) -> Signal:
    """Loudness of something struck once or more in each second."""
    since = (t * (1 + 4 * rng.random())) % 1.0
    return np.asarray(np.exp(-decay * since))

"""A deterministic encoder that needs no weights, so that tests of everything else take seconds.

It knows twelve concepts. Each has words, a colour and a tone, so text, images, sounds and videos of
one concept are near each other, and the answers of all sixteen routes can be foreseen:

    image("red")  ~  tone("red")  ~  "a fire engine"  ~  video("red")

The space has 32 dimensions, of four kinds:

    0..11   concepts      share of the image's pixels, the sound's energy or the text's words
    12..15  modality      a constant for each modality, because real spaces have a modality gap:
                          two items of one modality are nearer than two of different ones
    16..19  detail        how light or loud the four quarters are, so that a file is nearest to
                          itself and not only to others of its colour
    20..31  other words   a direction for each word that names no concept, from the word's hash

Silence, an empty text and an empty image give a row of zeros. The same sample always gives the
same vector, whatever else is in the batch.

Limit: it understands nothing. Words are matched exactly, in lower case; colours by distance in RGB;
tones by the band that contains their energy.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from seehear.encoders.base import normalised
from seehear.encoders.bridge import fit_bridge
from seehear.encoders.composite import CompositeModel
from seehear.encoders.torch_tools import check_samples
from seehear.silence import is_silent
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


@dataclass(frozen=True, slots=True)
class Concept:
    """One thing that the fake encoder knows in every modality."""

    name: str
    rgb: tuple[int, int, int]
    tone_hz: float
    words: tuple[str, ...]


CONCEPTS = (
    Concept("black", (10, 10, 10), 150.0, ("black", "night", "low", "rumble")),
    Concept("brown", (120, 70, 30), 205.0, ("brown", "wood", "drum", "bear")),
    Concept("red", (215, 30, 35), 281.0, ("red", "fire", "siren", "rose")),
    Concept("orange", (250, 140, 20), 385.0, ("orange", "sunset", "horn", "pumpkin")),
    Concept("yellow", (250, 230, 40), 528.0, ("yellow", "sun", "trumpet", "lemon")),
    Concept("green", (40, 170, 60), 723.0, ("green", "grass", "frog", "forest")),
    Concept("cyan", (40, 215, 220), 991.0, ("cyan", "turquoise", "water", "stream")),
    Concept("blue", (35, 70, 215), 1358.0, ("blue", "sky", "sea", "waves")),
    Concept("purple", (120, 40, 160), 1860.0, ("purple", "violet", "flute", "plum")),
    Concept("pink", (250, 150, 200), 2548.0, ("pink", "blossom", "bird", "birdsong")),
    Concept("grey", (128, 128, 128), 3491.0, ("grey", "gray", "rain", "stone")),
    Concept("white", (245, 245, 245), 4783.0, ("white", "snow", "high", "whistle")),
)
"""Tones have a constant ratio, and stay below 8 kHz, the limit of sound at 16 kHz."""

DIM = 32
_MODALITY_AXES = {
    Modality.TEXT: 12,
    Modality.IMAGE: 13,
    Modality.AUDIO: 14,
    Modality.VIDEO: 15,
}
_DETAIL = slice(16, 20)
_OTHER_WORDS = slice(20, 32)

_MODALITY_WEIGHT = 0.4
_DETAIL_WEIGHT = 0.15
_OTHER_WORD_WEIGHT = 0.6
_LOOK_PX = 64  # images are looked at with about this many pixels per side

_FILLER = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at by clip deep for from in is it its near of on or photo picture quiet "
        "recording something sound that the thing this to tone video was with",
    )
)
_AXIS_OF_WORD = {word: axis for axis, c in enumerate(CONCEPTS) for word in c.words}
_COLOURS = np.array([c.rgb for c in CONCEPTS], dtype=np.float32)
_TONES_HZ = np.array([c.tone_hz for c in CONCEPTS])
# A band ends at the geometric mean of two tones.
_BAND_EDGES_HZ = np.concatenate(
    [[_TONES_HZ[0] / 1.2], np.sqrt(_TONES_HZ[:-1] * _TONES_HZ[1:]), [_TONES_HZ[-1] * 1.2]]
)


def concept(name: str) -> Concept:
    """Return the concept of that name. Raises KeyError for an unknown one."""
    for known in CONCEPTS:
        if known.name == name:
            return known
    raise KeyError(name)


def image(name: str, width_px: int = 64, height_px: int = 48) -> ImageSample:
    """Make an image filled with the colour of a concept."""
    pixels = np.empty((height_px, width_px, 3), dtype=np.uint8)
    pixels[:] = concept(name).rgb
    return ImageSample(pixels)


def tone(name: str, duration_s: float = 1.0, sample_rate_hz: int = 16_000) -> AudioSample:
    """Make a sine at the frequency of a concept, half of full scale."""
    times_s = np.arange(round(duration_s * sample_rate_hz)) / sample_rate_hz
    wave = 0.5 * np.sin(2 * np.pi * concept(name).tone_hz * times_s)
    return AudioSample(wave.astype(np.float32), sample_rate_hz)


def video(*names: str, width_px: int = 64, height_px: int = 48) -> VideoSample:
    """Make a shot with one frame for each concept named."""
    return VideoSample(tuple(image(name, width_px, height_px) for name in names))


class FakeEncoder:
    """The encoder described in the module's docstring.

    `calls` and `samples` count, for each modality, the calls of `encode` and their samples: a test
    can show that nothing was encoded a second time. `revision` makes spaces that must not be mixed;
    `modalities` leaves some out; `turned` rotates all axes by a fixed rotation, so that the space
    means the same but shares no direction with the plain one.
    """

    def __init__(
        self,
        revision: str = "1",
        modalities: frozenset[Modality] = frozenset(Modality),
        name: str = "fake",
        *,
        turned: bool = False,
    ) -> None:
        self.space = EmbeddingSpace(name, revision, DIM)
        self.modalities = modalities
        self.spec = SampleSpec(image_px=_LOOK_PX, window_s=2.0, hop_s=1.0, passage_words=30)
        self.calls: Counter[Modality] = Counter()
        self.samples: Counter[Modality] = Counter()
        self._counting = threading.Lock()
        self._rotation = _rotation() if turned else None

    def encode(self, modality: Modality, samples: Sequence[Sample]) -> Vectors:
        """Embed samples of one modality: float32 (n, 32), L2-normalised, in order.

        Raises UsageError for a sample of another modality.
        """
        check_samples(self.space.name, self.modalities, modality, samples)
        with self._counting:
            self.calls[modality] += 1
            self.samples[modality] += len(samples)
        rows = np.zeros((len(samples), DIM), dtype=np.float32)
        for row, sample in zip(rows, samples, strict=True):
            content = _content(sample)
            if content.any():
                row[:] = content / np.linalg.norm(content)
                row[_MODALITY_AXES[modality]] = _MODALITY_WEIGHT
        rows = normalised(rows)
        return rows if self._rotation is None else normalised(rows @ self._rotation)

    def encode_patches(self, image: ImageSample) -> Vectors:
        """Embed each sixteenth of an image: float32 (4, 4, dim)."""
        cells = [
            ImageSample(np.ascontiguousarray(cell))
            for row in np.array_split(image.pixels, 4)
            for cell in np.array_split(row, 4, axis=1)
        ]
        return self.encode(Modality.IMAGE, cells).reshape(4, 4, -1)


def fake_joined(revision: str = "1") -> CompositeModel:
    """Make a model of two fake encoders in separate spaces, joined by a bridge like `standard`.

    Its bridge is fitted on the concepts' words in a few milliseconds and not stored.
    """
    vision = FakeEncoder(revision, frozenset(Modality) - {Modality.AUDIO}, "fake-sight")
    audio = FakeEncoder(
        revision, frozenset({Modality.TEXT, Modality.AUDIO}), "fake-sound", turned=True
    )
    words = [word for concept in CONCEPTS for word in concept.words]
    others = ["letter", "harbour", "dog", "music", "people", "kitchen", "engine", "child"]
    captions = [f"{a} {b}" for a in words + others for b in words[::3] + others]
    return CompositeModel(
        "fake-joined", vision, audio, lambda: fit_bridge(audio, vision, captions), "fake"
    )


def _rotation() -> NDArray[np.float32]:
    """Return one fixed rotation of 32 dimensions: the axes of a cosine transform."""
    steps = np.arange(DIM)
    waves = np.cos(np.pi / DIM * (steps[:, None] + 0.5) * steps[None, :])
    return normalised(waves.T.astype(np.float32))


def _content(sample: Sample) -> NDArray[np.float32]:
    """Return the content of a sample without its modality: float32 (32,), not normalised."""
    if isinstance(sample, str):
        return _text_content(sample)
    if isinstance(sample, ImageSample):
        return _image_content(sample)
    if isinstance(sample, AudioSample):
        return _audio_content(sample)
    frames = np.stack([_image_content(frame) for frame in sample.frames])
    mean: NDArray[np.float32] = normalised(frames).mean(axis=0)
    return mean


def _text_content(text: str) -> NDArray[np.float32]:
    content = np.zeros(DIM, dtype=np.float32)
    words = re.findall(r"\w+", text.lower())
    telling = [word for word in words if word not in _FILLER]
    for word in telling or words:
        axis = _AXIS_OF_WORD.get(word)
        if axis is None and word.endswith("s"):
            axis = _AXIS_OF_WORD.get(word[:-1])
        if axis is None:
            content[_OTHER_WORDS] += _OTHER_WORD_WEIGHT * _direction(word)
        else:
            content[axis] += 1.0
    return content


@lru_cache(maxsize=4096)
def _direction(word: str) -> NDArray[np.float32]:
    """Return a unit vector, float32 (12,), that depends on the word alone, on every machine."""
    digest = blake2b(word.encode("utf-8", "surrogatepass"), digest_size=24).digest()
    raw = np.frombuffer(digest, dtype="<u2").astype(np.float32) - 32767.5
    unit: NDArray[np.float32] = raw / np.linalg.norm(raw)
    return unit


def _image_content(image: ImageSample) -> NDArray[np.float32]:
    content = np.zeros(DIM, dtype=np.float32)
    height, width, _ = image.pixels.shape
    if not height or not width:
        return content
    look = image.pixels[:: max(1, height // _LOOK_PX), :: max(1, width // _LOOK_PX)]
    look = look.astype(np.float32)
    distances = ((look[:, :, None, :] - _COLOURS) ** 2).sum(axis=-1)
    shares = np.bincount(distances.argmin(axis=-1).ravel(), minlength=len(CONCEPTS))
    content[: len(CONCEPTS)] = shares / shares.sum()
    middle_y, middle_x = (look.shape[0] + 1) // 2, (look.shape[1] + 1) // 2
    quarters = (
        look[:middle_y, :middle_x],
        look[:middle_y, middle_x:],
        look[middle_y:, :middle_x],
        look[middle_y:, middle_x:],
    )
    mean = look.mean()
    content[_DETAIL] = [
        _DETAIL_WEIGHT * (part.mean() - mean) / 127.5 if part.size else 0.0 for part in quarters
    ]
    return content


def _audio_content(audio: AudioSample) -> NDArray[np.float32]:
    content = np.zeros(DIM, dtype=np.float32)
    wave = audio.waveform
    if len(wave) < 16 or is_silent(wave, audio.sample_rate_hz):
        return content
    power = np.abs(np.fft.rfft(wave * np.hanning(len(wave)))) ** 2
    frequencies_hz = np.fft.rfftfreq(len(wave), 1 / audio.sample_rate_hz)
    edges = np.searchsorted(frequencies_hz, _BAND_EDGES_HZ)
    energies = np.array([power[low:high].sum() for low, high in pairwise(edges)])
    if energies.sum() <= 1e-6 * power.sum():
        return content  # all energy is outside the bands: an unknown hum or hiss
    # Amplitude, not energy: two tones at once are two concepts, even if one is louder.
    amplitudes = np.sqrt(energies)
    content[: len(CONCEPTS)] = amplitudes / amplitudes.sum()
    loudness = [float(np.sqrt(np.mean(part**2))) for part in np.array_split(wave, 4)]
    content[_DETAIL] = _DETAIL_WEIGHT * (np.array(loudness) - np.mean(loudness))
    return content

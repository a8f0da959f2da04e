"""Define what decoders and readers give: samples of each modality, and lines of words.

`types` has the same names, and those of what is made of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
"""float32 (n, dim), each row L2-normalised."""

Floats = NDArray[np.float32]
"""float32 of any shape: scores, similarities, activations."""

Ids = NDArray[np.int64]
"""int64 (n,), segment ids."""

Box = tuple[float, float, float, float]
"""Left, top, right and bottom in a picture, as shares of its size from 0 to 1."""


class Modality(StrEnum):
    """A kind of media."""

    TEXT = "text"
    IMAGE = "image"
    AUDIO = "audio"
    VIDEO = "video"


class Origin(StrEnum):
    """Where a passage comes from that is not the text of the file itself."""

    SUBTITLES = "subtitles"
    LYRICS = "lyrics"
    SPEECH = "speech"
    WRITING = "writing"


@dataclass(frozen=True, slots=True)
class ImageSample:
    """A decoded image. `pixels`: uint8 (height, width, 3), RGB, upright."""

    pixels: NDArray[np.uint8]

    def __post_init__(self) -> None:
        shape, dtype = self.pixels.shape, self.pixels.dtype
        if len(shape) != 3 or shape[2] != 3 or dtype != np.uint8:
            raise ValueError(f"pixels must be uint8 (height, width, 3), not {dtype} {shape}")

    def __repr__(self) -> str:
        return f"ImageSample({self.pixels.shape[1]}x{self.pixels.shape[0]})"


@dataclass(frozen=True, slots=True)
class AudioSample:
    """A decoded window of sound. `waveform`: float32 (n,), mono, in [-1, 1]."""

    waveform: NDArray[np.float32]
    sample_rate_hz: int

    def __post_init__(self) -> None:
        if self.waveform.ndim != 1 or self.waveform.dtype != np.float32:
            raise ValueError(
                f"waveform must be float32 (n,), not {self.waveform.dtype} {self.waveform.shape}"
            )

    @property
    def duration_s(self) -> float:
        return len(self.waveform) / self.sample_rate_hz

    def __repr__(self) -> str:
        return f"AudioSample({self.duration_s:.2f} s at {self.sample_rate_hz} Hz)"


@dataclass(frozen=True, slots=True)
class VideoSample:
    """The sampled frames of one shot, in order of time; at least one."""

    frames: tuple[ImageSample, ...]

    def __post_init__(self) -> None:
        if not self.frames:
            raise ValueError("a shot has at least one frame")


Sample = str | ImageSample | AudioSample | VideoSample
"""The input of an encoder: a passage of text, an image, a window of sound or a shot."""


def modality_of(sample: Sample) -> Modality:
    """Return the modality of a sample."""
    if isinstance(sample, str):
        return Modality.TEXT
    if isinstance(sample, ImageSample):
        return Modality.IMAGE
    if isinstance(sample, AudioSample):
        return Modality.AUDIO
    return Modality.VIDEO


def bytes_of(sample: Sample) -> int:
    """Return how many bytes a sample holds in memory."""
    if isinstance(sample, ImageSample):
        return sample.pixels.nbytes
    if isinstance(sample, AudioSample):
        return sample.waveform.nbytes
    if isinstance(sample, VideoSample):
        return sum(frame.pixels.nbytes for frame in sample.frames)
    return len(sample)


@dataclass(frozen=True, slots=True)
class SampleSpec:
    """How a model needs media cut into samples. Decoders deliver at least this, never less."""

    image_px: int = 224
    """Shorter side of an image or frame, in pixels; larger images are scaled down to it."""
    sample_rate_hz: int = 16_000
    """Rate to which sound is resampled."""
    window_s: float = 10.0
    """Length of one window of sound."""
    hop_s: float = 5.0
    """Distance between the starts of two windows; less than `window_s`, so that they overlap."""
    passage_words: int = 60
    """Most words in one passage of text."""
    reader: Origin | None = None
    """The reader that a file is cut for, instead of for a model."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line that a reader heard in a sound or saw in a picture."""

    text: str
    start_s: float | None = None
    stop_s: float | None = None
    words: tuple[tuple[str, float, float], ...] = ()
    """Each word that was heard, with its start and stop in seconds."""
    box: Box | None = None
    """Where it stands in the picture."""
    confidence: float | None = None
    """How sure the reader is, from 0 to 1."""
    language: str | None = None
    """The language as in ISO 639 ("de"), where it is known."""
    page: int | None = None
    """The page of a document, from 1."""
    translation: str | None = None
    """The same in English, where that was asked for and the line is in another language."""


@dataclass(frozen=True, slots=True)
class Reading:
    """All that a reader heard or saw in one file, in order; no lines where there is nothing."""

    lines: tuple[Line, ...] = ()
    language: str | None = None
    """The language of most of its words, where it is known."""

    @property
    def text(self) -> str:
        """All lines together; empty where nothing was read."""
        return " ".join(line.text for line in self.lines)

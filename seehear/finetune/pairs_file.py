"""Read a pairs file, JSON Lines of {"path": FILE, "text": SENTENCE}, and decode its files."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seehear import media
from seehear.encoders.tiny.towers import SAMPLE_RATE_HZ
from seehear.errors import MediaError, UsageError
from seehear.finetune.inputs import Waveforms, resize_square, to_int16
from seehear.types import AudioSample, ImageSample, Modality, SampleSpec

_MAX_S = 60.0
_MIN_SAMPLES = 1600  # a tenth of a second

Captions = dict[str, tuple[int, list[str]]]
"""Path -> number of its first line, and all its sentences."""


@dataclass(frozen=True, slots=True)
class SkippedPair:
    """A pair that cannot be used. `line` is its line in the pairs file, or 0 for a whole file."""

    line: int
    path: str
    reason: str

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line else ""
        return f"{where}{self.path or 'no path'}: {self.reason}"


@dataclass(frozen=True, slots=True)
class CaptionedFile:
    """A file of the pairs file with all its sentences."""

    path: str
    captions: tuple[str, ...]
    held_out: bool
    """Whether it measures the result instead of being trained on."""


@dataclass(frozen=True, slots=True)
class ImagePairs:
    """Images with their sentences."""

    files: Sequence[CaptionedFile]
    pixels: NDArray[np.uint8]
    """(n, px, px, 3)."""


@dataclass(frozen=True, slots=True)
class AudioPairs:
    """Sounds with their sentences."""

    files: Sequence[CaptionedFile]
    waveforms: Waveforms


@dataclass(frozen=True, slots=True)
class PairsFile:
    """The decoded files of a pairs file."""

    images: ImagePairs
    audio: AudioPairs
    skipped: tuple[SkippedPair, ...]
    pairs: int
    """How many pairs the decoded files have."""


def read_pairs(
    pairs: Path,
    px: int,
    held_out_share: float,
    *,
    strict: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> PairsFile:
    """Read a pairs file and decode the files that it names; paths are relative to it.

    Images become squares of `px` pixels. A file may have several lines, each with a sentence.
    About `held_out_share` of the files, chosen by a hash of their names, are held out. Pairs that
    cannot be used are listed. `progress` gets the files done and the files in all.

    Raises UsageError for a pairs file that cannot be read and, with `strict`, for the first pair
    that cannot be used.
    """
    skipped: list[SkippedPair] = []
    captions = _read_captions(pairs, skipped)
    pixels: dict[str, NDArray[np.uint8]] = {}
    samples: dict[str, NDArray[np.int16]] = {}
    # Windows of the longest sound that is used: the first one is all that is taken of a file.
    spec = SampleSpec(image_px=px, sample_rate_hz=SAMPLE_RATE_HZ, window_s=_MAX_S, hop_s=_MAX_S)
    paths = [] if strict and skipped else list(captions)
    files = [pairs.parent / path for path in paths]
    with closing(media.decode_all(files, spec)) as decoded:
        for done, (path, file) in enumerate(zip(paths, decoded, strict=False), 1):
            try:
                sample = _sample_of(file)
            except MediaError as error:
                reason = " ".join(str(error).split())
                skipped.append(SkippedPair(captions[path][0], path, reason))
                if strict:
                    break
                continue
            finally:
                if progress:
                    progress(done, len(captions))
            if isinstance(sample, ImageSample):
                pixels[path] = resize_square(sample.pixels, px)
            else:
                samples[path] = to_int16(sample.waveform)
    skipped.sort(key=lambda pair: pair.line)
    if strict and skipped:
        raise UsageError(f"{pairs}, {skipped[0]}")
    lengths = [0, *(len(values) for values in samples.values())]
    joined = np.concatenate(list(samples.values())) if samples else np.zeros(0, np.int16)
    return PairsFile(
        ImagePairs(
            _split(captions, list(pixels), held_out_share),
            np.stack(list(pixels.values())) if pixels else np.zeros((0, px, px, 3), np.uint8),
        ),
        AudioPairs(
            _split(captions, list(samples), held_out_share), Waveforms(joined, np.cumsum(lengths))
        ),
        tuple(skipped),
        sum(len(captions[path][1]) for path in (*pixels, *samples)),
    )


def _sample_of(file: media.DecodedFile) -> ImageSample | AudioSample:
    """Return what a file shows or sounds like. Raises MediaError for one that cannot be used."""
    first = next(iter(file), None)
    modality = file.info.modality if file.info is not None else None
    if modality not in {Modality.IMAGE, Modality.AUDIO}:
        raise MediaError(f"{modality} files cannot be trained on, only images and sounds")
    if first is None or first[0].start_s:
        raise MediaError("the sound is silent")
    sample = first[1]
    assert isinstance(sample, ImageSample | AudioSample)
    if isinstance(sample, AudioSample) and len(sample.waveform) < _MIN_SAMPLES:
        raise MediaError("the sound is shorter than a tenth of a second")
    return sample


def _read_captions(pairs: Path, skipped: list[SkippedPair]) -> Captions:
    try:
        lines = pairs.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UsageError(f"{pairs} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{pairs} cannot be read: it is not UTF-8 text") from error
    found: Captions = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else "too long or deep"
            skipped.append(SkippedPair(number, "", f"not valid JSON: {reason}"))
            continue
        path = entry.get("path") if isinstance(entry, dict) else None
        text = entry.get("text") if isinstance(entry, dict) else None
        if not isinstance(path, str) or not path:
            skipped.append(SkippedPair(number, "", '"path" is missing; it names the file'))
        elif not isinstance(text, str) or not text.strip():
            skipped.append(SkippedPair(number, path, '"text" is missing; it describes the file'))
        elif "\0" in path or not _is_text(path) or not _is_text(text):
            shown = path.encode("ascii", "backslashreplace").decode()
            skipped.append(SkippedPair(number, shown, "it has characters that are not text"))
        else:
            found.setdefault(path, (number, []))[1].append(text.strip())
    return found


def _is_text(value: str) -> bool:
    """Tell whether a string can be written as UTF-8: JSON can contain lone surrogates."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _split(
    captions: Mapping[str, tuple[int, list[str]]], paths: Sequence[str], share: float
) -> list[CaptionedFile]:
    # By a hash of the name, so that the split stays when pairs are added or reordered.
    order = sorted(paths, key=lambda path: (zlib.crc32(path.encode()), path))
    held_out = set(order[: min(max(round(share * len(paths)), 2), len(paths) // 2)])
    return [CaptionedFile(path, tuple(captions[path][1]), path in held_out) for path in paths]

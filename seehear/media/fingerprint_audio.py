"""The fingerprint of a sound: how loud its bands are over time, and its mean spectrum.

    sections of 8 s    | 0 | 1 | 2 | 3 | ...       all of a short sound; of a long one every second,
    kept                 x       x                 fourth, ... so that its size has a limit

Level does not matter, because loudness is measured below the loudest band. What all bands or all
moments have in common is left out: that a sound begins and fades says nothing of which one it is.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seehear.types import Floats

FRAMES_HZ = 16
WINDOW_S = 0.25
BANDS = 24
LOW_HZ, HIGH_HZ = 100.0, 3800.0
"""Telephones and old recordings have no more."""
FINE_BANDS = 256
SECTION = 8 * FRAMES_HZ
"""Frames of a section."""
MOST_SECTIONS = 8
STEP_DB, LEVELS = 1.75, 40
"""Seventy decibels below the loudest band are kept."""
MOST_CUT_S, MOST_CUT = 1.25, 0.3
"""What may be missing at the start or the end of a copy: at most this share of the longer one; of a
long one 3 % may be missing."""
SAME_AUDIO = 0.93
"""Correlation of the two, without what bands or moments have in common. Copies have 0.94 and more;
two strokes of one piano key reach 0.92."""
SAME_CUT = 0.88
"""The same where one is shorter by `CUT_S`, because it was cut; not for sounds below `SHORT_S`."""
CUT_S, SHORT_S = 0.2, 2.0
SAME_PROFILE, SAME_PROFILE_CUT = 0.84, 0.35
"""Correlation of the fine structure of their mean spectra, and where one is shorter."""
LEAST_COVER = 0.4
"""Share of what is heard that both must have."""
LEAST_CHANGE = 0.3
"""Mean square of the changes between bands and moments, in steps: a steady tone has less."""
LEAST_FRAMES = 6

_HEAD = struct.Struct("<fII")


class Listener:
    """Hear blocks of one sound; memory has a limit, however long it is."""

    def __init__(self, rate_hz: int) -> None:
        self._rate = rate_hz
        self._window = np.hanning(round(WINDOW_S * rate_hz)).astype(np.float32)
        self._held: Floats = np.zeros(len(self._window) // 2, dtype=np.float32)
        self._first = 0
        """Of `_held`, in samples from half a window before the start."""
        self._frames: list[NDArray[np.float16]] = []
        self._sections: list[NDArray[np.float16]] = []
        self._stride, self._count, self._samples = 1, 0, 0
        bins = np.fft.rfftfreq(len(self._window), 1 / rate_hz)
        self._bands = np.searchsorted(bins, np.geomspace(LOW_HZ, HIGH_HZ, BANDS + 1))
        self._spectrum = np.zeros(len(bins), dtype=np.float64)
        self._bins = bins

    def hear(self, block: Floats) -> None:
        self._samples += len(block)
        self._held = np.concatenate([self._held, block])
        if len(self._held) >= self._rate:
            self._take()

    def _take(self) -> None:
        """Take all windows that are complete."""
        size = len(self._window)
        starts: list[int] = []
        while (at := self._start(self._count + len(starts))) + size <= len(self._held):
            starts.append(at)
        if not starts:
            return
        cut = np.stack([self._held[at : at + size] for at in starts]) * self._window
        power = np.abs(np.fft.rfft(cut, axis=1)) ** 2
        self._spectrum += power.sum(axis=0)
        sums = np.add.reduceat(power, self._bands[:-1], axis=1)
        loud = 10 * np.log10(np.maximum(sums, 1e-10))
        for frame in loud.astype(np.float16):
            self._put(frame)
        gone = max(0, self._start(self._count))
        self._held, self._first = self._held[gone:], self._first + gone

    def _start(self, frame: int) -> int:
        return round(frame * self._rate / FRAMES_HZ) - self._first

    def _put(self, frame: NDArray[np.float16]) -> None:
        if (self._count // SECTION) % self._stride == 0:
            self._frames.append(frame)
        self._count += 1
        if self._count % SECTION == 0 and self._frames:
            self._sections.append(np.stack(self._frames))
            self._frames = []
            if len(self._sections) > MOST_SECTIONS:
                self._sections, self._stride = self._sections[::2], 2 * self._stride

    def data(self) -> bytes:
        """Return the fingerprint; call it once, after the last block."""
        self._held = np.concatenate([self._held, np.zeros(len(self._window) // 2, np.float32)])
        self._take()
        if self._frames:
            self._sections.append(np.stack(self._frames))
        loud = np.concatenate([np.zeros((0, BANDS), np.float16), *self._sections])
        steps = np.zeros(loud.shape, dtype=np.uint8)
        if loud.size and (top := float(loud.max())) > -60:
            level = (loud.astype(np.float32) - top) / STEP_DB + LEVELS
            steps = np.clip(level, 0, LEVELS - 1).astype(np.uint8)
        head = _HEAD.pack(self._samples / self._rate, self._stride, len(steps))
        return head + _profile(self._spectrum, self._bins).tobytes() + steps.tobytes()


def _profile(spectrum: NDArray[Any], bins: NDArray[Any]) -> NDArray[np.int8]:
    """Return the fine structure of a mean spectrum on a scale of pitch, in half decibels."""
    pitches = np.geomspace(LOW_HZ, HIGH_HZ, FINE_BANDS)
    level = 10 * np.log10(np.maximum(np.interp(pitches, bins, spectrum), 1e-10))
    level = np.maximum(level, level.max() - 60)
    width = FINE_BANDS // 16
    smooth = np.convolve(np.pad(level, width, mode="edge"), np.ones(2 * width + 1), "valid")
    fine: NDArray[np.int8] = np.clip(2 * (level - smooth / (2 * width + 1)), -127, 127).astype(
        np.int8
    )
    return fine


@dataclass(frozen=True)
class AudioPrint:
    """What was kept of a sound."""

    duration_s: float
    stride: int
    """Every so many sections were kept."""
    steps: NDArray[np.uint8]
    """Loudness of bands in steps, uint8 (frames, bands); 0 is silence."""
    fine: NDArray[np.int8]

    @cached_property
    def profile(self) -> Floats | None:
        """Return the fine structure of the mean spectrum; None where the sound says too little."""
        if self._energy[0] < LEAST_FRAMES or self._energy[1] < LEAST_CHANGE:
            return None
        centred: Floats = self.fine.astype(np.float32)
        centred -= centred.mean()
        return centred

    def loudness(self, stride: int = 1) -> Floats:
        """Return loudness in steps, float32 (sections, 128, bands), for another sound's stride."""
        return self._sections(self.steps.astype(np.float32), stride)

    def common(self, stride: int = 1) -> Floats:
        """Return loudness without what bands and moments share, as `loudness` does."""
        return self._sections(self._changes, stride)

    def _sections(self, frames: Floats, stride: int) -> Floats:
        padded = np.concatenate([frames, np.zeros((-len(frames) % SECTION, BANDS), np.float32)])
        return padded.reshape(-1, SECTION, BANDS)[:: max(1, stride // self.stride)]

    @cached_property
    def _changes(self) -> Floats:
        changes = np.zeros(self.steps.shape, dtype=np.float32)
        if (heard := self._heard).any():
            changes[heard] = _centred(self.steps[heard].astype(np.float32))
        return changes

    @property
    def _heard(self) -> NDArray[np.bool_]:
        return np.asarray(self.steps.any(axis=1))

    @cached_property
    def _energy(self) -> tuple[int, float]:
        """Return how many frames are heard, and the median over them of their changes."""
        changes = self._changes
        energy = np.sort((np.einsum("fb,fb->f", changes, changes) / BANDS)[self._heard])
        # np.median would load numpy.ma, which takes longer than most searches.
        middle = energy[[(len(energy) - 1) // 2, len(energy) // 2]] if len(energy) else energy
        return len(energy), float(middle.sum() / 2)


def read(data: bytes) -> AudioPrint:
    """Return what `Listener.data` kept. Raises ValueError and struct.error for other bytes."""
    duration_s, stride, count = _HEAD.unpack_from(data)
    fine = np.frombuffer(data, np.int8, FINE_BANDS, _HEAD.size)
    steps = np.frombuffer(data, np.uint8, count * BANDS, _HEAD.size + FINE_BANDS)
    return AudioPrint(duration_s, max(1, stride), steps.reshape(count, BANDS), fine)


def same_audio(one: AudioPrint | None, other: AudioPrint | None) -> float:
    """Return how well two sounds agree, up to 1, if they are one recording; otherwise 0."""
    if one is None or other is None or one.profile is None or other.profile is None:
        return 0.0
    longer = max(one.duration_s, other.duration_s)
    apart = abs(one.duration_s - other.duration_s)
    if apart > max(min(MOST_CUT_S, MOST_CUT * longer), 0.03 * longer):
        return 0.0
    least = SAME_PROFILE if apart < CUT_S else SAME_PROFILE_CUT
    if _cosine(one.profile, other.profile) < least:
        return 0.0
    offset = _best_offset(
        *(audio.common(other.stride) for audio, other in ((one, other), (other, one)))
    )
    if offset is None:
        return 0.0
    alike = _aligned(one.loudness(other.stride), other.loudness(one.stride), offset)
    is_cut = apart >= CUT_S and longer >= SHORT_S
    return min(1.0, alike) if alike >= (SAME_CUT if is_cut else SAME_AUDIO) else 0.0


def _best_offset(one: Floats, other: Floats) -> int | None:
    """Return the shift, up to `MOST_CUT_S`, at which two runs of sections agree best.

    None where all shifts leave out too much of what is heard.
    """
    count, most = min(len(one), len(other)), int(MOST_CUT_S * FRAMES_HZ)
    spectra = [np.fft.rfft(part[:count], 2 * SECTION, axis=1) for part in (one, other)]
    products = np.fft.irfft((np.conj(spectra[0]) * spectra[1]).sum(axis=(0, 2)))
    sums = [np.cumsum((part[:count] ** 2).sum(axis=(0, 2))) for part in (one, other)]
    offsets = np.arange(-most, most + 1)
    # A shift forward leaves out the end of the one and the start of the other, or the reverse.
    parts = []
    for total, shift in zip(sums, (offsets, -offsets), strict=True):
        start, stop = np.maximum(0, -shift), SECTION - 1 - np.maximum(0, shift)
        parts.append(total[stop] - np.where(start > 0, total[start - 1], 0.0))
    kept = np.minimum(
        *(part / max(1e-9, total[-1]) for part, total in zip(parts, sums, strict=True))
    )
    alike = products[offsets] / np.sqrt(np.maximum(1e-9, parts[0] * parts[1]))
    alike[kept < LEAST_COVER] = 0.0
    best = int(np.argmax(alike))
    return int(offsets[best]) if alike[best] > 0 else None


def _aligned(one: Floats, other: Floats, offset: int) -> float:
    """Return the correlation of the loudness that two sounds have in common at a shift.

    They are brought to one level and one floor, and what bands or moments share is left out.
    """
    count, stop = min(len(one), len(other)), SECTION - abs(offset)
    here, there = max(0, -offset), max(0, offset)
    a = one[:count, here : here + stop].reshape(-1, BANDS)
    b = other[:count, there : there + stop].reshape(-1, BANDS)
    heard = a.any(axis=1) & b.any(axis=1)
    if heard.sum() < LEAST_FRAMES:
        return 0.0
    a, b = a[heard], b[heard]
    both = (a > 0) & (b > 0)
    louder = float(np.quantile((a - b)[both], 0.5)) if both.any() else 0.0
    floor = max(0.0, louder)
    return _cosine(*(_centred(np.maximum(part, floor)).reshape(-1) for part in (a, b + louder)))


def _centred(loud: Floats) -> Floats:
    """Return loudness, float32 (frames, bands), without the means of frames and of bands."""
    # Sums cost a third of `mean`, and every result of a search has one.
    frames, bands = loud.shape
    of_bands = loud.sum(axis=0) / np.float32(frames)
    of_frames = loud.sum(axis=1, keepdims=True) / np.float32(bands)
    centred: Floats = loud - (of_bands - of_bands.sum() / np.float32(bands)) - of_frames
    return centred


def _cosine(one: Floats, other: Floats) -> float:
    return float(one @ other / max(1e-9, float(np.sqrt((one @ one) * (other @ other)))))

"""Turn decoded frames of any layout and rate into mono blocks of one rate, without losing sound.

channels    mixed by the weights of ITU-R BS.775; the loudest one where they cancel each other
samples     finite; a window whose samples go beyond full scale is turned down as a whole
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from seehear.errors import MediaLimitError
from seehear.media.limits import LIMITS
from seehear.types import Floats

BLOCK_S = 0.5
"""Shorter blocks are joined before they are cut into windows."""
CANCELLED = 0.2
"""Share of the loudest channel's power below which a mix has lost the sound. One channel alone in
stereo keeps half of it."""
CUT_SHARE = 1e-4
"""Share of a window's samples that may be cut off at full scale before it is turned down."""
_WEIGHTS = dict.fromkeys(("FL", "FR"), 0.5**0.5) | {"FC": 1.0, "LFE": 0.0}
_WEIGHTS |= dict.fromkeys(("BL", "BR", "SL", "SR", "BC"), 0.5)
_MOST_GUESSED = 8
"""Channels up to which FFmpeg takes the usual layout of so many."""


class MonoResampler:
    """Resample frames to mono; start anew where a stream changes its format midway.

    Gives blocks of BLOCK_S, so it holds back up to as much of the sound; `take(None)` gives the
    rest.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self._rate = sample_rate_hz
        self._format: tuple[object, ...] | None = None
        self._inner: av.AudioResampler | None = None
        self._weights: Floats = np.ones(1, dtype=np.float32)

    def take(self, frame: Any) -> Iterator[Floats]:
        if frame is not None:
            layout = (
                frame.format.name,
                frame.layout.name,
                frame.layout.nb_channels,
                frame.sample_rate,
            )
            if self._inner is None or layout != self._format:
                if frame.sample_rate < LIMITS.least_sample_rate_hz:
                    raise MediaLimitError(f"a sample rate of {frame.sample_rate} Hz")
                yield from self._flushed()
                self._format = layout
                self._weights = _weights(frame.layout)
                self._inner = av.AudioResampler(
                    format="flt",
                    layout=frame.layout,
                    rate=self._rate,
                    frame_size=max(1, round(BLOCK_S * self._rate)),
                )
            # Time stamps of hostile or cut files leap; windows are timed by counting samples.
            frame.pts = None
            assert self._inner is not None
            for out in self._inner.resample(frame):
                yield mixed(_clean(out.to_ndarray()), self._weights)
        else:
            yield from self._flushed()

    def _flushed(self) -> Iterator[Floats]:
        if self._inner is not None:
            for out in self._inner.resample(None):
                yield mixed(_clean(out.to_ndarray()), self._weights)
        self._inner = None


def _clean(block: NDArray[Any]) -> Floats:
    block = block.astype(np.float32, copy=False)
    if not np.isfinite(block).all():  # wav files of floats may hold anything
        block = np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0)
    return block


def _weights(layout: av.AudioLayout) -> Floats:
    """Return the weights of channels in the mono mix, float32 (channels,).

    As FFmpeg mixes them, after ITU-R BS.775; equal shares for rarer layouts.
    """
    count = layout.nb_channels
    names = [channel.name for channel in layout.channels]
    if set(names) == {"NONE"} and count <= _MOST_GUESSED:  # a file that does not name its channels
        names = [channel.name for channel in av.AudioLayout(f"{count}c").channels]
    if count == 1 or not set(names) <= _WEIGHTS.keys():
        return np.full(count, 1 / count, dtype=np.float32)
    return np.array([_WEIGHTS[name] for name in names], dtype=np.float32)


def mixed(block: Floats, weights: Floats) -> Floats:
    """Mix interleaved samples, float32 of n x channels, to mono, float32 (n,).

    Where the channels cancel each other (one is another one negated) or only one of many sounds,
    the loudest channel is taken instead.
    """
    if len(weights) == 1:
        return block.reshape(-1)
    apart = block.reshape(-1, len(weights))
    mono: Floats = apart @ weights
    powers = np.einsum("ij,ij->j", apart, apart)
    loudest = int(powers.argmax())
    if float(mono @ mono) < CANCELLED * float(powers[loudest]):
        return np.ascontiguousarray(apart[:, loudest])
    return mono


def at_full_scale(waveform: Floats) -> Floats:
    """Return a waveform, float32 (n,), within [-1, 1], turned down where it goes beyond.

    Single samples beyond, as decoders of MP3 give, are cut off instead.
    """
    sizes = np.abs(waveform)
    if len(sizes) == 0 or sizes.max() <= 1.0:
        return waveform
    rank = round((len(sizes) - 1) * (1 - CUT_SHARE))
    top = max(1.0, float(np.partition(sizes, rank)[rank]))
    lowered: Floats = np.clip(waveform / np.float32(top), -1.0, 1.0)
    return lowered

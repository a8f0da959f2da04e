"""Show images of high dynamic range (PQ, HLG) as an ordinary screen would: tone mapping.

    PQ    SMPTE ST 2084: its curve gives the light of a screen in cd/m2
    HLG   ITU-R BT.2100: its curve and system gamma, for a screen of 1,000 cd/m2

Light is compressed by the curve of ITU-R BT.2390 (EETF, section 5.4) from 1,000 cd/m2 to 203 cd/m2,
the diffuse white of ITU-R BT.2408. Taken for ordinary images, such pictures are grey and pale.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from seehear.errors import MediaError
from seehear.media.sniff import Decoder, SniffedFormat

PQ, HLG = 16, 18
"""Transfer characteristics of ITU-T H.273."""
ISO_MEDIA = SniffedFormat("mov", Decoder.FFMPEG, "mov")
PEAK, WHITE = 1000.0, 203.0
"""In cd/m2; brighter light than PEAK is cut off."""

_M1, _M2, _C1, _C2, _C3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
_A, _B, _C = 0.17883277, 0.28466892, 0.55991073
_SYSTEM_GAMMA = 1.2
_LUMA = np.array([0.2627, 0.6780, 0.0593], dtype=np.float32)

_TO_BT709 = {
    9: ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187)),
    12: ((1.2249, -0.2247, 0.0), (-0.0420, 1.0419, 0.0), (-0.0197, -0.0786, 1.0979)),
}
"""From the primaries of BT.2020 (ITU-R BT.2087) and of Display P3, by their numbers in H.273."""


@dataclass(frozen=True, slots=True)
class Colours:
    """How the numbers of an image stand for light, as ITU-T H.273 numbers it."""

    transfer: int
    primaries: int

    @property
    def is_hdr(self) -> bool:
        return self.transfer in {PQ, HLG}


def colours_of_stream(file: BinaryIO) -> Colours | None:
    """Return the colours that AV1 or HEVC itself states, where the file around it has none."""
    from seehear.media import container as containers

    colours = None
    with suppress(MediaError), containers.opened_container(file, ISO_MEDIA, "probe") as container:
        for stream in container.streams.video[:1]:
            context = stream.codec_context
            colours = Colours(int(context.color_trc), int(context.color_primaries))
    file.seek(0)
    return colours if colours is not None and colours.is_hdr else None


def to_sdr(pixels: NDArray[Any], colours: Colours) -> NDArray[np.uint8]:
    """Tone map pixels (h, w, 3), uint8 or uint16 of full range, to sRGB: uint8 (h, w, 3)."""
    signal = pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    light = _pq_light(signal) if colours.transfer == PQ else _hlg_light(signal)
    brightest = np.maximum(light.max(axis=2, keepdims=True), np.float32(1e-4))
    light *= _compressed(brightest) / (brightest * np.float32(WHITE))
    if colours.primaries in _TO_BT709:
        light = light @ np.array(_TO_BT709[colours.primaries], dtype=np.float32).T
    light = light.clip(0.0, 1.0)
    shown = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return (255.0 * shown + 0.5).astype(np.uint8)


def _pq_light(signal: NDArray[np.float32]) -> NDArray[np.float32]:
    root = signal ** (1 / _M2)
    light: NDArray[np.float32] = 10_000 * (np.maximum(root - _C1, 0) / (_C2 - _C3 * root)) ** (
        1 / _M1
    )
    return light


def _pq_signal(light: NDArray[np.float32]) -> NDArray[np.float32]:
    power = (light / 10_000) ** _M1
    signal = ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2
    return signal.astype(np.float32)


def _hlg_light(signal: NDArray[np.float32]) -> NDArray[np.float32]:
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - _C) / _A) + _B) / 12)
    luma = (scene @ _LUMA)[:, :, None]
    light: NDArray[np.float32] = (PEAK * luma ** (_SYSTEM_GAMMA - 1) * scene).astype(np.float32)
    return light


def _compressed(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return light in cd/m2 after the EETF of BT.2390: at most WHITE."""
    peak, white = _pq_signal(np.array([PEAK, WHITE], dtype=np.float32)).tolist()
    most = white / peak
    knee = 1.5 * most - 0.5
    signal = np.minimum(_pq_signal(light) / np.float32(peak), 1.0)
    t = np.maximum(signal - knee, 0.0) / (1 - knee)
    bent = (
        (2 * t**3 - 3 * t**2 + 1) * knee
        + (t**3 - 2 * t**2 + t) * (1 - knee)
        + (3 * t**2 - 2 * t**3) * most
    )
    return _pq_light(np.where(signal < knee, signal, bent).astype(np.float32) * np.float32(peak))

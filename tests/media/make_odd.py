"""Make files that are valid but unusual: samples beyond full scale, animations, pages, tracks."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from numpy.typing import NDArray


def make_float_wav(path: Path, samples: NDArray[Any], sample_rate_hz: int = 16_000) -> Path:
    """A wav of 32-bit floats: samples (n,) or (n, channels) as they are, beyond 1.0, too."""
    data = samples.astype("<f4").tobytes()
    channels = samples.shape[1] if samples.ndim == 2 else 1
    rates = (sample_rate_hz, 4 * channels * sample_rate_hz, 4 * channels, 32)
    head = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 3, channels, *rates)
    body = head + b"data" + struct.pack("<I", len(data)) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path

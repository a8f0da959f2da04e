"""Record the vectors of the bundled model as shipped.

`python -m tests.encoders.pin_tiny` writes the pins anew; run it when, and only when, new weights
are put into the tree, and commit both together.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seehear.encoders.tiny import TinyEncoder, load_tiny
from seehear.types import AudioSample, ImageSample, Modality, Sample, Vectors

PINS = Path(__file__).with_name("pinned_tiny.json")
_DIGITS = 5


def samples() -> dict[Modality, list[Sample]]:
    """The same samples everywhere: computed by arithmetic alone, without random numbers."""
    return {
        Modality.TEXT: [
            "a dog runs across the grass",
            "rain on a tin roof",
            "unseen zyzzyva words",
        ],
        Modality.IMAGE: [ImageSample(_picture(96, 128)), ImageSample(_picture(160, 160))],
        Modality.AUDIO: [
            AudioSample(_chirp(300.0, 1200.0, 2.0), 16_000),
            AudioSample(_chirp(2000.0, 500.0, 0.7), 16_000),
        ],
    }


def _picture(height: int, width: int) -> NDArray[np.uint8]:
    """A dark disc before a sky that fades into the ground."""
    y, x = np.mgrid[:height, :width].astype(np.int64)
    sky = 80 + 150 * y // height
    pixels = np.stack([sky, 60 + 120 * x // width, 230 - sky // 2], axis=2)
    pixels[(2 * x - width) ** 2 + (2 * y - height) ** 2 < (height // 2) ** 2] = (40, 20, 10)
    return pixels.astype(np.uint8)


def _chirp(start_hz: float, stop_hz: float, duration_s: float) -> NDArray[np.float32]:
    times = np.arange(int(16_000 * duration_s)) / 16_000
    phase = start_hz * times + (stop_hz - start_hz) * times**2 / (2 * duration_s)
    return (0.4 * np.sin(2 * np.pi * phase)).astype(np.float32)


def embeddings(encoder: TinyEncoder) -> dict[str, Vectors]:
    """Vectors of `samples`, by modality."""
    return {str(modality): encoder.encode(modality, some) for modality, some in samples().items()}


def main() -> None:
    """Write the pins of the weights in the tree."""
    encoder = load_tiny(device="cpu")
    pins = {
        "revision": encoder.space.revision,
        "embeddings": {
            name: [[round(float(value), _DIGITS) for value in row] for row in rows]
            for name, rows in embeddings(encoder).items()
        },
    }
    PINS.write_text(json.dumps(pins) + "\n")


if __name__ == "__main__":
    main()

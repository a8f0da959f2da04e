"""A small folder of media, made with the libraries that are tested."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def media(tmp_path: Path) -> Path:
    """A red photograph, two seconds of a tone, and a note."""
    folder = tmp_path / "media"
    folder.mkdir()
    Image.new("RGB", (320, 240), "red").save(folder / "red.jpg")
    times = np.arange(32_000) / 16_000
    with wave.open(str(folder / "tone.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((np.sin(2764 * times) * 20_000).astype("<i2").tobytes())
    (folder / "note.txt").write_text("The harbour was quiet in the morning.", encoding="utf-8")
    return folder

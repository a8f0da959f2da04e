"""Small media of the fake encoder's colours and tones, in formats that browsers show."""

from __future__ import annotations

import wave
from pathlib import Path

import av
import numpy as np
from PIL import Image

from seehear.encoders.fake import concept, tone


def picture(path: Path, *colours: str, size_px: tuple[int, int] = (160, 120)) -> Path:
    """A picture of stripes in colours of the fake encoder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((size_px[1], size_px[0], 3), dtype=np.uint8)
    for n, stripe in enumerate(np.array_split(np.arange(size_px[0]), len(colours))):
        pixels[:, stripe] = concept(colours[n]).rgb
    Image.fromarray(pixels).save(path)
    return path


def sound(path: Path, *names: str, seconds: float = 2.0) -> Path:
    """A wav file with one tone of the fake encoder after the other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.concatenate([tone(name, seconds).waveform for name in names])
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((samples * 32_767).astype("<i2").tobytes())
    return path


def film(path: Path, *colours: str, seconds: float = 3.0, rate: int = 8) -> Path:
    """A clip that shows one colour after the other, in a format that browsers play."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        stream.options = {"g": str(rate), "preset": "ultrafast"}
        for colour in colours:
            frame = np.empty((120, 160, 3), dtype=np.uint8)
            frame[:] = concept(colour).rgb
            for _ in range(round(seconds * rate)):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def make_media(folder: Path) -> Path:
    """Eleven files of four kinds, in folders."""
    picture(folder / "photos" / "rose.png", "red")
    picture(folder / "photos" / "sky.png", "blue")
    picture(folder / "photos" / "2024" / "meadow.png", "green")
    picture(folder / "photos" / "2024" / "flag.png", "red", "white")
    picture(folder / "photos" / "café — été.png", "orange")
    sound(folder / "sounds" / "siren.wav", "red", seconds=4.0)
    sound(folder / "sounds" / "flute.wav", "purple", "cyan", seconds=4.0)
    film(folder / "clips" / "day.mp4", "green", "blue")
    film(folder / "clips" / "dusk.mp4", "orange", "black")
    (folder / "notes").mkdir()
    (folder / "notes" / "garden.md").write_text("The grass is green and the frog sings at night.")
    (folder / "notes" / "page.html").write_text(
        "<html><body><p>A yellow lemon under the sun.</p><script>alert(1)</script></body></html>"
    )
    return folder

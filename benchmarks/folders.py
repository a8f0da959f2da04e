"""Make folders of media for benchmarks: large photographs, sounds and videos, all different.

A few originals are made with full detail (shapes over noise, so that they compress like
photographs, at about 0.35 bytes per pixel), and every file is one of them with a comment of its
own in the header: another content to a hash, the same work to a decoder, and made in a
millisecond.
"""

from __future__ import annotations

import io
import struct
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

ORIGINALS = 6
PHOTO_SIZE_PX = (4000, 3000)  # 12 megapixels


def photographs(
    folder: Path, count: int, size_px: tuple[int, int] = PHOTO_SIZE_PX, seed: int = 0
) -> list[Path]:
    """JPEG files of one size."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    originals = [_jpeg(_picture(random, size_px)) for _ in range(min(ORIGINALS, count))]
    paths = []
    for i in range(count):
        comment = f"photograph {seed}-{i}".encode()
        original = originals[i % len(originals)]
        marked = b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment
        path = folder / f"photo-{i:05d}.jpg"
        path.write_bytes(original[:2] + marked + original[2:])
        paths.append(path)
    return paths


def sounds(folder: Path, count: int, duration_s: float = 30.0, seed: int = 0) -> list[Path]:
    """Mono wav files at 44.1 kHz: a chord that changes, over noise."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    rate_hz = 44_100
    paths = []
    bodies = [_chord(random, duration_s, rate_hz) for _ in range(min(ORIGINALS, count))]
    for i in range(count):
        path = folder / f"sound-{i:05d}.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate_hz)
            body = bodies[i % len(bodies)].copy()
            body[0] = i % 30_000  # one sample makes it another content
            file.writeframes(body.tobytes())
        paths.append(path)
    return paths


def clips(folder: Path, count: int, duration_s: float = 20.0, seed: int = 0) -> list[Path]:
    """MP4 files, 1280 x 720 at 25 frames per second: H.264 with a sound track in AAC."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    originals = [_clip(random, duration_s) for _ in range(min(3, count))]
    paths = []
    for i in range(count):
        # A "free" box at the end is passed over by every reader.
        note = f"clip {seed}-{i}".encode()
        path = folder / f"clip-{i:05d}.mp4"
        body = originals[i % len(originals)]
        path.write_bytes(body + struct.pack(">I", len(note) + 8) + b"free" + note)
        paths.append(path)
    return paths


def _picture(random: np.random.Generator, size_px: tuple[int, int]) -> NDArray[np.uint8]:
    width, height = size_px
    coarse = random.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    canvas = np.asarray(Image.fromarray(coarse).resize(size_px, Image.Resampling.BICUBIC)).copy()
    for _ in range(60):
        x, y = int(random.integers(0, width)), int(random.integers(0, height))
        w, h = int(random.integers(20, width // 4)), int(random.integers(20, height // 4))
        canvas[y : y + h, x : x + w] = random.integers(0, 256, 3)
    noise = random.integers(-12, 13, (height, width, 1), dtype=np.int16)
    mixed: NDArray[np.uint8] = np.clip(canvas.astype(np.int16) + noise, 0, 255).astype(np.uint8)
    return mixed


def _jpeg(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def _chord(random: np.random.Generator, duration_s: float, rate_hz: int) -> NDArray[np.int16]:
    times_s = np.arange(int(duration_s * rate_hz)) / rate_hz
    wave_ = sum(
        np.sin(2 * np.pi * tone_hz * times_s) for tone_hz in random.uniform(110, 2000, size=4)
    )
    noise = random.normal(0, 0.2, len(times_s))
    scaled: NDArray[np.int16] = ((wave_ + noise) * 5000).astype(np.int16)
    return scaled


def _clip(random: np.random.Generator, duration_s: float) -> bytes:
    size_px, per_s, rate_hz = (1280, 720), 25, 44_100
    scenes = [_picture(random, size_px) for _ in range(4)]
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=per_s)
        video.width, video.height = size_px
        video.pix_fmt = "yuv420p"
        video.options = {"preset": "ultrafast", "crf": "26"}
        sound = container.add_stream("aac", rate=rate_hz)
        sound.layout = "mono"
        frames = int(duration_s * per_s)
        for i in range(frames):
            scene = np.roll(scenes[i * len(scenes) // frames], i * 4, axis=1)
            container.mux(video.encode(av.VideoFrame.from_ndarray(scene, format="rgb24")))
        container.mux(video.encode())
        body = _chord(random, duration_s, rate_hz)
        for start in range(0, len(body) - 1023, 1024):
            frame = av.AudioFrame.from_ndarray(
                body[None, start : start + 1024], format="s16", layout="mono"
            )
            frame.sample_rate, frame.pts = rate_hz, start
            frame.time_base = Fraction(1, rate_hz)
            container.mux(sound.encode(frame))
        container.mux(sound.encode())
    return buffer.getvalue()

"""Measure how long one file of each format takes to decode, in processor time.

    python -m benchmarks.bench_decode
    python -m benchmarks.bench_decode --beside CHECKOUT     another revision too, in turns
    python -m benchmarks.bench_decode --only wav --only heic

The script makes the files: photographs as phones take them, sounds of 60 s, films of 10 s. Each is
recognised, probed and decoded to samples of the default size with its fingerprint, as a decode
worker does. Each way runs in processes of its own, and the median of the rounds counts.
`equal` tells whether both ways gave the same samples, to the last bit.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from benchmarks import folders, record
from tests.media import make_documents
from tests.media.make import make_pdf
from tests.media.make_raw import dng

ROUNDS = 5
PHONE_PX, LARGE_PX, QUICK_PX = (4032, 3024), (8064, 6048), (640, 480)
SOUND_S, FILM_S, QUICK_S = 60.0, 10.0, 1.0
FILM_PX, QUICK_FILM_PX = (1280, 720), (320, 180)
RATE_HZ = 44_100
MEASURE = """
import hashlib, io, json, sys, time
from seehear.media import decode, media_info
from seehear.media.fingerprints import Fingerprinter
from seehear.types import SampleSpec

def arrays(sample):
    for part in getattr(sample, "frames", (sample,)):
        yield getattr(part, "pixels", getattr(part, "waveform", part))

def read(path):
    data = open(path, "rb").read()
    started, digest = time.process_time(), hashlib.sha256()
    item, made = decode.recognise(io.BytesIO(data), path), Fingerprinter()
    media_info.probe_open(item)
    for segment, sample in decode.samples_open(item, SampleSpec(), made):
        for one in arrays(sample):
            digest.update(one.encode() if isinstance(one, str) else one.tobytes())
        digest.update(repr(segment).encode())
    made.data()
    return time.process_time() - started, digest.hexdigest()

found = {}
for path in sys.argv[1:]:
    read(path)
    found[path] = read(path)
print(json.dumps(found))
"""


def photograph(size_px: tuple[int, int]) -> Image.Image:
    return Image.fromarray(folders._picture(np.random.default_rng(3), size_px))


def _image(size_px: tuple[int, int], form: str, **options: Any) -> Callable[[Path], object]:
    return lambda path: photograph(size_px).save(path, form, **options)


def _heif(size_px: tuple[int, int]) -> Callable[[Path], object]:
    import pillow_heif

    shown = pillow_heif.from_pillow(photograph(size_px))
    return lambda path: shown.save(path, quality=60, thumbnails=[320])


def _gif(size_px: tuple[int, int]) -> Callable[[Path], object]:
    small = photograph(size_px)
    frames = [small.rotate(10 * turn) for turn in range(12)]
    return lambda path: frames[0].save(path, "GIF", save_all=True, append_images=frames[1:])


def _sound(form: str, codec: str, seconds: float) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        with av.open(str(path), "w", format=form) as out:
            _write_sound(out, codec, seconds)

    return write


def _film(form: str, codec: str, sound: str, size_px: tuple[int, int], seconds: float) -> Any:
    """Two scenes that move slowly; options as in films that people have."""
    options = {
        "libx264": {"preset": "veryfast", "crf": "23"},
        "libx265": {"preset": "ultrafast", "x265-params": "log-level=none"},
        "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "b": "2M"},
        "mpeg4": {"b": "4M"},
    }[codec]

    def write(path: Path) -> None:
        random = np.random.default_rng(4)
        scenes = [folders._picture(random, size_px) for _ in range(2)]
        frames = int(seconds * 25)
        with av.open(str(path), "w", format=form) as out:
            video: Any = out.add_stream(codec, rate=25, options=options)
            (video.width, video.height), video.pix_fmt = size_px, "yuv420p"
            track = _track(out, sound)
            for i in range(frames):
                scene = np.roll(scenes[2 * i // frames], 2 * i, axis=1)
                out.mux(video.encode(av.VideoFrame.from_ndarray(scene, format="rgb24")))
            out.mux(video.encode())
            _fill(out, track, seconds)

    return write


def _track(out: Any, codec: str) -> Any:
    rate_hz = 48_000 if codec == "libopus" else RATE_HZ
    track = out.add_stream(codec, rate=rate_hz)
    track.layout = "stereo"
    return track


def _write_sound(out: Any, codec: str, seconds: float) -> None:
    _fill(out, _track(out, codec), seconds)


def _fill(out: Any, track: Any, seconds: float) -> None:
    rate_hz = track.codec_context.sample_rate
    body = folders._chord(np.random.default_rng(5), seconds, rate_hz)
    body = np.repeat(body, 2)[None]
    step = track.codec_context.frame_size or 1024
    fifo = av.AudioResampler(track.codec_context.format.name, "stereo", rate_hz, step)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(body), format="s16", layout="stereo")
    frame.sample_rate, frame.pts, frame.time_base = rate_hz, 0, Fraction(1, rate_hz)
    for piece in [*fifo.resample(frame), *fifo.resample(None)]:
        out.mux(track.encode(piece))
    out.mux(track.encode())


def makers(*, quick: bool) -> dict[str, Callable[[Path], object]]:
    """How to make a file of each format, by its name in the table; the ending comes first."""
    phone, large = (QUICK_PX, QUICK_PX) if quick else (PHONE_PX, LARGE_PX)
    sound_s, film_s = (QUICK_S, QUICK_S) if quick else (SOUND_S, FILM_S)
    film_px = QUICK_FILM_PX if quick else FILM_PX
    middle = (phone[0] // 2, phone[1] // 2)

    def film(form: str, codec: str, sound: str) -> Callable[[Path], object]:
        made: Callable[[Path], object] = _film(form, codec, sound, film_px, film_s)
        return made

    pages = ["A page about harbours and ships. " * 60] * 10
    drawing = "".join(
        f'<circle cx="{9 * i % 800}" cy="{7 * i % 600}" r="{i % 50}" fill="#{i:06x}"/>'
        for i in range(400)
    )
    return {
        "jpg 12 MP": _image(phone, "JPEG", quality=90),
        "jpg 12 MP progressive": _image(phone, "JPEG", quality=90, progressive=True),
        "jpg 48 MP": _image(large, "JPEG", quality=90),
        "png 12 MP": _image(phone, "PNG", compress_level=1),
        "webp 12 MP": _image(phone, "WEBP", quality=80, method=0),
        "heic 12 MP": _heif(phone),
        "avif 12 MP": _image(phone, "AVIF", speed=10),
        "tiff 12 MP": _image(phone, "TIFF", compression="tiff_lzw"),
        "dng 12 MP": lambda path: path.write_bytes(dng(np.asarray(photograph(phone)))),
        "gif 12 frames": _gif((middle[0] // 2, middle[1] // 2)),
        "pdf 10 pages": lambda path: make_pdf(path, pages),
        "svg": lambda path: path.write_bytes(make_documents.svg(800, 600, drawing)),
        "wav": _sound("wav", "pcm_s16le", sound_s),
        "mp3": _sound("mp3", "libmp3lame", sound_s),
        "flac": _sound("flac", "flac", sound_s),
        "ogg opus": _sound("ogg", "libopus", sound_s),
        "m4a": _sound("ipod", "aac", sound_s),
        "mp4 h264": film("mp4", "libx264", "aac"),
        "mp4 hevc": film("mp4", "libx265", "aac"),
        "webm vp9": film("webm", "libvpx-vp9", "libopus"),
        "mkv h264": film("matroska", "libx264", "aac"),
        "ts h264": film("mpegts", "libx264", "aac"),
        "avi mpeg4": film("avi", "mpeg4", "libmp3lame"),
    }


def measure(root: Path, paths: Sequence[Path]) -> dict[str, tuple[float, str]]:
    """Return the seconds of each file and a digest of its samples, by a checkout at `root`."""
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    environment["OPENBLAS_NUM_THREADS"] = "1"
    command = [sys.executable, "-c", MEASURE, *map(str, paths)]
    done = subprocess.run(
        command, cwd=root, env=environment, check=True, capture_output=True, text=True
    )
    found: dict[str, tuple[float, str]] = json.loads(done.stdout)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.bench_decode", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--only", action="append", help="the formats whose names begin so")
    parser.add_argument("--beside", type=Path, metavar="CHECKOUT", help="of another revision")
    parser.add_argument("--media", type=Path, help="keep the made files here, and use them again")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--quick", action="store_true")
    record.add_options(parser)
    chosen = parser.parse_args(arguments)
    here = Path(__file__).resolve().parents[1]
    ways = {"before": chosen.beside.resolve()} if chosen.beside else {}
    ways["now"] = here
    with tempfile.TemporaryDirectory(prefix="seehear-bench-") as scratch:
        folder = chosen.media or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        names = {}
        for name, make in makers(quick=chosen.quick).items():
            if not chosen.only or name.startswith(tuple(chosen.only)):
                path = folder / f"{name.replace(' ', '-')}.{name.split()[0]}"
                if not path.exists():
                    make(path)
                names[name] = path
        seconds: dict[str, dict[str, list[float]]] = {name: {} for name in names}
        digests: dict[str, set[str]] = {name: set() for name in names}
        for _ in range(chosen.rounds or (1 if chosen.quick else ROUNDS)):
            for way, root in ways.items():
                found = measure(root, list(names.values()))
                for name, path in names.items():
                    seconds[name].setdefault(way, []).append(found[str(path)][0])
                    digests[name].add(found[str(path)][1])
    rows = []
    for name, taken in seconds.items():
        row: dict[str, Any] = {"format": name}
        row |= {f"{way}_ms": round(1000 * statistics.median(s), 1) for way, s in taken.items()}
        if "before" in ways:
            row["ratio"] = round(row["now_ms"] / row["before_ms"], 2)
            row["equal"] = len(digests[name]) == 1
        rows.append(row)
        print("  ".join(f"{value!s:>{22 if key == 'format' else 9}}" for key, value in row.items()))
    record.keep("decode", {"seed": 3, "formats": rows}, chosen)
    return 0


if __name__ == "__main__":
    sys.exit(main())

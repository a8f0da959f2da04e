"""A process that decodes one file after another for the service, under limits of its own.

Started by seehear.server.decoding with its memory limit as the only argument, without the parent's
environment. Requests come on standard input, answers go to standard output, both in
frames: two lengths of eight bytes, a JSON header, raw bytes.

    {"do": "query", "path": ..., "spec": {...}, "most_pixels": n, "most_s": s}
        -> {"modality": "image", "samples": [{"kind": "image", "shape": [h, w, 3]}]} and pixels
    {"do": "picture", "path": ..., "px": 320, "start_s": 1.0, "stop_s": null, "sound": false}
        -> {"type": "image/webp"} and the file
    {"do": "waveform", "path": ..., "steps": 400, "most_s": 3600.0}
        -> {"stop_s": 12.5} and float32 peaks

A failure is {"error": "BrokenMediaError", "stage": "decode", "reason": "..."}.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

LENGTHS = struct.Struct("<QQ")
WAVEFORM_RATE_HZ = 4000


@dataclass(frozen=True, slots=True)
class Frame:
    """One message."""

    header: dict[str, Any]
    body: bytes = b""


def write_frame(stream: BinaryIO, frame: Frame) -> None:
    # Lone surrogates of names that are not UTF-8 survive as escapes.
    header = json.dumps(frame.header, ensure_ascii=True).encode()
    stream.write(LENGTHS.pack(len(header), len(frame.body)))
    stream.write(header)
    stream.write(frame.body)
    stream.flush()


def read_frame(stream: BinaryIO, most_header: int, most_body: int) -> Frame | None:
    """The next message, None at the end. Raises ValueError for one that is none."""
    lengths = stream.read(LENGTHS.size)
    if len(lengths) < LENGTHS.size:
        return None
    header_size, body_size = LENGTHS.unpack(lengths)
    if header_size > most_header or body_size > most_body:
        raise ValueError("a frame is larger than any that should come")
    header, body = stream.read(header_size), stream.read(body_size)
    if len(header) < header_size or len(body) < body_size:
        return None
    return Frame(dict(json.loads(header)), body)


def limit_process(memory_bytes: int) -> None:
    """Bound what a decoder that went wrong can take; systems without rlimits have the timeout."""
    try:
        import resource
    except ImportError:
        return
    for name, value in (
        ("RLIMIT_AS", memory_bytes),
        ("RLIMIT_CORE", 0),
        ("RLIMIT_FSIZE", 0),  # it has nothing to write
        ("RLIMIT_NOFILE", 64),
    ):
        with contextlib.suppress(ValueError, OSError):
            hard = resource.getrlimit(getattr(resource, name))[1]
            most = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(getattr(resource, name), (most, most))


def main() -> None:
    requests, answers = _private_streams()
    limit_process(int(sys.argv[1]))
    from seehear.errors import MediaError

    while (frame := read_frame(requests, 1 << 20, 0)) is not None:
        try:
            answer = _DOES[frame.header.pop("do")](**frame.header)
        except MediaError as error:
            answer = _failure(type(error).__name__, error.stage, str(error))
        except MemoryError:
            answer = _failure("MediaLimitError", "decode", "decoding needs too much memory")
        except OSError as error:
            answer = _failure("BrokenMediaError", "open", error.strerror or "cannot be read")
        except Exception as error:
            # A decoder's own bug; the parent must not be told more than that.
            answer = _failure("BrokenMediaError", "decode", f"decoder: {type(error).__name__}")
        write_frame(answers, answer)


def _private_streams() -> tuple[BinaryIO, BinaryIO]:
    """Standard input and output for frames alone: what a decoder prints goes nowhere."""
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    return requests, answers


def _failure(kind: str, stage: str, reason: str) -> Frame:
    return Frame({"error": kind, "stage": stage, "reason": reason})


def _query(path: str, spec: dict[str, Any], most_pixels: int, most_s: float) -> Frame:
    from seehear import media
    from seehear.errors import MediaLimitError
    from seehear.types import SampleSpec

    info = media.probe(path)
    if (info.width_px or 0) * (info.height_px or 0) > most_pixels:
        raise MediaLimitError(f"has more than {most_pixels:,} pixels", stage="probe")
    if (info.duration_s or 0.0) > most_s:
        raise MediaLimitError(f"is longer than {most_s / 60:g} minutes", stage="probe")
    modality, samples = media.query_samples(path, SampleSpec(**spec))
    described: list[dict[str, Any]] = []
    blobs: list[bytes] = []
    for sample in samples:
        about, pieces = _describe(sample)
        described.append(about)
        blobs += pieces
    return Frame({"modality": str(modality), "samples": described}, b"".join(blobs))


def _describe(sample: Any) -> tuple[dict[str, Any], list[bytes]]:
    from seehear.types import AudioSample, ImageSample

    if isinstance(sample, str):
        text = sample.encode("utf-8", "replace")
        return {"kind": "text", "size": len(text)}, [text]
    if isinstance(sample, ImageSample):
        return {"kind": "image", "shape": list(sample.pixels.shape)}, [sample.pixels.tobytes()]
    if isinstance(sample, AudioSample):
        about = {"kind": "audio", "size": len(sample.waveform), "rate_hz": sample.sample_rate_hz}
        return about, [sample.waveform.tobytes()]
    shapes = [list(frame.pixels.shape) for frame in sample.frames]
    return {"kind": "video", "shapes": shapes}, [f.pixels.tobytes() for f in sample.frames]


def _picture(path: str, px: int, start_s: float | None, stop_s: float | None, sound: bool) -> Frame:
    from seehear import media

    if sound:
        width, height = px, max(32, px * 9 // 16)
        body = media.spectrogram_picture(
            path, start_s or 0.0, stop_s, width_px=width, height_px=height
        )
        return Frame({"type": "image/png"}, body)
    return Frame({"type": "image/webp"}, media.thumbnail(path, None, px, time_s=start_s))


def _waveform(path: str, steps: int, most_s: float) -> Frame:
    import numpy as np

    from seehear import media

    sound = media.load_audio(path, WAVEFORM_RATE_HZ, max_s=most_s)
    pieces = np.array_split(np.abs(sound.waveform), steps)
    peaks = np.array([piece.max() if piece.size else 0.0 for piece in pieces], dtype="<f4")
    return Frame({"stop_s": sound.duration_s}, np.clip(peaks, 0.0, 1.0).tobytes())


_DOES: dict[str, Callable[..., Frame]] = {
    "query": _query,
    "picture": _picture,
    "waveform": _waveform,
}

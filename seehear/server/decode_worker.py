"""A process that decodes one file after another for the service, under limits of its own.

Started by seehear.server.decoding with its memory limit as the first argument, without the
parent's environment. Requests come on standard input, answers go to standard output, as messages
of seehear.media.protocol: a JSON head and raw bytes.

    {"do": "query", "path": ..., "spec": {...}, "most_pixels": n, "most_s": s}
        -> {"modality": "image", "items": [...]} and the samples, as the indexing pool sends them
    {"do": "image", "path": ..., "px": 320, "start_s": 1.0, "stop_s": null, "audio": false}
        -> {} and a WebP file, or a PNG file of a sound
    {"do": "waveform", "path": ..., "steps": 400, "most_s": 3600.0}
        -> {"stop_s": 12.5} and float32 peaks

A failure is {"error": {...}}, a MediaError, or {"fault": {...}}, a library that cannot be loaded.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import wave
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

import numpy as np

from seehear import media
from seehear.errors import BrokenMediaError, MediaError, MediaLimitError
from seehear.libraries import fault_of
from seehear.media import protocol
from seehear.types import SampleSpec, Segment, modality_of

WAVEFORM_RATE_HZ = 4000
_OPEN_FILES = 64

WorkerAnswer = tuple[protocol.WireMessage, Sequence[memoryview | bytes]]


def main() -> None:
    """Serve requests until standard input ends."""
    requests, answers = _private_streams()
    limit_process(int(sys.argv[1]))
    with contextlib.suppress(protocol.WireError, BrokenPipeError):
        while True:
            request, _ = protocol.receive(requests)
            protocol.send(answers, *_answer(request))


def limit_process(memory_bytes: int) -> None:
    """Bound what a decoder that went wrong can take; systems without rlimits have the timeout."""
    try:
        import resource
    except ImportError:
        return
    for kind, value in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),  # it has nothing to write
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
    ):
        with contextlib.suppress(ValueError, OSError):
            hard = resource.getrlimit(kind)[1]
            most = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(kind, (most, most))


def _private_streams() -> tuple[BinaryIO, BinaryIO]:
    """Standard input and output for messages alone: what a decoder prints goes nowhere."""
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    return requests, answers


def _answer(request: protocol.WireMessage) -> WorkerAnswer:
    try:
        return _DOES[request.pop("do")](**request)
    except Exception as error:
        if (fault := fault_of(error)) is not None:
            return {"fault": protocol.pack_fault(fault)}, ()
        return {"error": protocol.pack_error(_failure(error))}, ()


def _failure(error: Exception) -> MediaError:
    if isinstance(error, MediaError):
        return error
    if isinstance(error, MemoryError):
        return MediaLimitError("decoding needs too much memory")
    if isinstance(error, OSError):
        return BrokenMediaError(error.strerror or "cannot be read", stage="open")
    # A decoder's own bug; the parent must not be told more than that.
    return BrokenMediaError(f"the decoder failed ({type(error).__name__})")


def _query(path: str, spec: dict[str, Any], most_pixels: int, most_s: float) -> WorkerAnswer:
    info = media.probe(path)
    if (info.width_px or 0) * (info.height_px or 0) > most_pixels:
        raise MediaLimitError(f"has more than {most_pixels:,} pixels", stage="probe")
    if (info.duration_s or 0.0) > most_s:
        raise MediaLimitError(f"is longer than {most_s:g} seconds", stage="probe")
    modality, samples = media.query_samples(path, SampleSpec(**spec))
    items, body = protocol.pack_pairs([(Segment(modality_of(one)), one) for one in samples])
    return {"modality": str(modality), "items": items}, body


def _image(
    path: str, px: int, start_s: float | None, stop_s: float | None, audio: bool
) -> WorkerAnswer:
    if not audio:
        return {}, (media.thumbnail(path, None, px, time_s=start_s),)
    height_px = max(32, px * 9 // 16)
    drawn = media.spectrogram_image(path, start_s or 0.0, stop_s, width_px=px, height_px=height_px)
    return {}, (drawn,)


def _waveform(path: str, steps: int, most_s: float) -> WorkerAnswer:
    audio = media.load_audio(path, WAVEFORM_RATE_HZ, max_s=most_s)
    pieces = np.array_split(np.abs(audio.waveform), steps)
    peaks = np.array([piece.max() if piece.size else 0.0 for piece in pieces], dtype="<f4")
    return {"stop_s": audio.duration_s}, (peaks.tobytes(),)


def _warm() -> WorkerAnswer:
    """Decode next to nothing, which reads the libraries of pictures and of sound."""
    audio = io.BytesIO()
    with wave.open(audio, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(3200))
    media.load_image(b"P6 1 1 255 \0\0\0", 1)
    media.load_audio(audio.getvalue(), 8000)
    return {}, ()


_DOES: dict[str, Callable[..., WorkerAnswer]] = {
    "warm": _warm,
    "query": _query,
    "image": _image,
    "waveform": _waveform,
}

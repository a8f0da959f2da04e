"""Send messages between the pool and its workers: a JSON head, then the bytes of the samples.

    | length of head, uint32 | length of body, uint32 | head, JSON in ASCII | body |

Plain records instead of pickles: reading them runs no code, even if the worker was taken over.
A malformed message raises `WireError`, and the pool treats its worker as dead.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from datetime import datetime
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from seehear.errors import (
    BrokenMediaError,
    ContentChangedError,
    EnvironmentFaultError,
    MediaError,
    MediaLimitError,
    UnsupportedMediaError,
)
from seehear.types import (
    AudioSample,
    ImageSample,
    MediaInfo,
    Modality,
    Sample,
    Segment,
    VideoSample,
    described,
    segment_of,
)

Pair = tuple[Segment, Sample]
WireMessage = dict[str, Any]
WireBody = NDArray[np.uint8]

_LENGTHS = struct.Struct("<II")
MOST_HEAD_BYTES = 64 << 20
MOST_BODY_BYTES = 512 << 20
"""One message holds about 1 MiB of samples; a single huge sample stays far below this limit."""

_ERRORS = {
    kind.__name__: kind
    for kind in (
        MediaError,
        BrokenMediaError,
        ContentChangedError,
        MediaLimitError,
        UnsupportedMediaError,
    )
}


class WireError(Exception):
    """Raised when the other side has ended, or sends something that is not a message."""


def send(stream: BinaryIO, head: WireMessage, body: Sequence[memoryview | bytes] = ()) -> None:
    """Write one message. Raises OSError or ValueError where the pipe is closed."""
    text = json.dumps(head, separators=(",", ":")).encode("ascii")
    stream.write(_LENGTHS.pack(len(text), sum(len(part) for part in body)) + text)
    for part in body:
        stream.write(part)
    stream.flush()


def receive(stream: BinaryIO) -> tuple[WireMessage, WireBody]:
    """Read one message; its body is uint8 (n,) and owns its memory. Raises WireError."""
    head_bytes, body_bytes = _LENGTHS.unpack(_exactly(stream, _LENGTHS.size).tobytes())
    if head_bytes > MOST_HEAD_BYTES or body_bytes > MOST_BODY_BYTES:
        raise WireError("a message beyond the size limit")
    try:
        head = json.loads(_exactly(stream, head_bytes).tobytes())
    except (ValueError, RecursionError) as error:
        raise WireError("a message that cannot be read") from error
    if not isinstance(head, dict):
        raise WireError("a message that is not a record")
    return head, _exactly(stream, body_bytes)


def _exactly(stream: BinaryIO, count: int) -> WireBody:
    data = np.empty(count, dtype=np.uint8)
    view, done = _bytes_of(data), 0
    while done < count:
        try:
            got = stream.readinto(view[done:])  # type: ignore[attr-defined]
        except (OSError, ValueError) as error:
            raise WireError("the pipe is closed") from error
        if not got:
            raise WireError("the pipe has ended")
        done += got
    return data


def pack_pairs(pairs: Sequence[Pair]) -> tuple[list[Any], list[memoryview]]:
    """Pack pairs as JSON items, and their samples as buffers in order."""
    items, buffers = [], []
    for segment, sample in pairs:
        shape: list[Any]
        if isinstance(sample, str):
            shape = ["text", sample]
        elif isinstance(sample, ImageSample):
            shape = ["image", *sample.pixels.shape[:2]]
            buffers.append(_bytes_of(sample.pixels))
        elif isinstance(sample, AudioSample):
            shape = ["audio", len(sample.waveform), sample.sample_rate_hz]
            buffers.append(_bytes_of(sample.waveform))
        else:
            shape = ["video", *(list(frame.pixels.shape[:2]) for frame in sample.frames)]
            buffers.extend(_bytes_of(frame.pixels) for frame in sample.frames)
        items.append([*described(segment), shape])
    return items, buffers


def unpack_pairs(items: Sequence[Any], body: WireBody) -> list[Pair]:
    """Unpack the result of `pack_pairs`; samples share the memory of `body`. Raises WireError."""
    try:
        reader = _Reader(body)
        pairs: list[Pair] = []
        for *values, shape in items:
            pairs.append((segment_of(*values), reader.sample(shape)))
        reader.end()
    except (TypeError, ValueError, KeyError, IndexError) as error:
        raise WireError("malformed samples") from error
    return pairs


class _Reader:
    def __init__(self, body: WireBody) -> None:
        self._body = body
        self._at = 0

    def sample(self, shape: list[Any]) -> Sample:
        kind = shape[0]
        if kind == "text":
            return str(shape[1])
        if kind == "image":
            return self._image(shape[1], shape[2])
        if kind == "audio":
            waveform = self._take(4 * int(shape[1])).view(np.float32)
            return AudioSample(waveform, int(shape[2]))
        if kind == "video":
            return VideoSample(tuple(self._image(*size) for size in shape[1:]))
        raise ValueError(kind)

    def end(self) -> None:
        if self._at != len(self._body):
            raise ValueError("bytes are left over")

    def _image(self, height: int, width: int) -> ImageSample:
        return ImageSample(self._take(height * width * 3).reshape(height, width, 3))

    def _take(self, count: int) -> WireBody:
        if count < 0 or self._at + count > len(self._body):
            raise ValueError("bytes are missing")
        part = self._body[self._at : self._at + count]
        self._at += count
        return part


def _bytes_of(array: NDArray[Any]) -> memoryview:
    # numpy's arrays are buffers, but its type stubs say so only from Python 3.12 on.
    buffer: Any = np.ascontiguousarray(array)
    return memoryview(buffer).cast("B")


def pack_info(info: MediaInfo) -> WireMessage:
    """Convert MediaInfo to JSON."""
    return {
        "modality": str(info.modality),
        "format": info.format,
        "width_px": info.width_px,
        "height_px": info.height_px,
        "duration_s": info.duration_s,
        "taken_at": info.taken_at.isoformat() if info.taken_at else None,
        "details": dict(info.details),
    }


def unpack_info(record: WireMessage) -> MediaInfo:
    """Convert the result of `pack_info` back. Raises WireError."""
    try:
        values = dict(record)
        taken = values.pop("taken_at")
        values["modality"] = Modality(values["modality"])
        return MediaInfo(**values, taken_at=datetime.fromisoformat(taken) if taken else None)
    except (TypeError, ValueError, KeyError) as error:
        raise WireError("a malformed description") from error


def pack_error(error: MediaError) -> WireMessage:
    """Convert a MediaError to JSON."""
    return {"kind": type(error).__name__, "reason": str(error), "stage": error.stage}


def unpack_error(record: WireMessage) -> MediaError:
    """Convert the result of `pack_error` back."""
    kind = _ERRORS.get(str(record.get("kind")), MediaError)
    return kind(str(record.get("reason")), stage=str(record.get("stage")))


def pack_fault(fault: EnvironmentFaultError) -> WireMessage:
    """Convert an EnvironmentFaultError to JSON."""
    return {"reason": str(fault), "library": fault.library}


def unpack_fault(record: WireMessage) -> EnvironmentFaultError:
    """Convert the result of `pack_fault` back."""
    library = record.get("library")
    return EnvironmentFaultError(
        str(record.get("reason")), None if library is None else str(library)
    )

"""Write what decode workers send as plain records: samples, descriptions and errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

import numpy as np

from seehear.errors import (
    BrokenMediaError,
    ContentChangedError,
    MediaError,
    MediaLimitError,
    UnsupportedMediaError,
)
from seehear.processes.wire import WireBody, WireError, WireMessage, bytes_of
from seehear.types import (
    AudioSample,
    ImageSample,
    MediaInfo,
    Modality,
    Sample,
    Segment,
    VideoSample,
    segment_of,
)

Pair = tuple[Segment, Sample]

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


def pack_pairs(pairs: Sequence[Pair]) -> tuple[list[Any], list[memoryview]]:
    """Pack pairs as JSON items, and their samples as buffers in order."""
    items, buffers = [], []
    for segment, sample in pairs:
        shape: list[Any]
        if isinstance(sample, str):
            shape = ["text", sample]
        elif isinstance(sample, ImageSample):
            shape = ["image", *sample.pixels.shape[:2]]
            buffers.append(bytes_of(sample.pixels))
        elif isinstance(sample, AudioSample):
            shape = ["audio", len(sample.waveform), sample.sample_rate_hz]
            buffers.append(bytes_of(sample.waveform))
        else:
            shape = ["video", *(list(frame.pixels.shape[:2]) for frame in sample.frames)]
            buffers.extend(bytes_of(frame.pixels) for frame in sample.frames)
        items.append([*(getattr(segment, one.name) for one in fields(Segment)), shape])
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

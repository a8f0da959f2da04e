"""Test the messages between a pool and its workers."""

from __future__ import annotations

from datetime import datetime
from io import BytesIO
from typing import Any

import numpy as np
import pytest

from seehear.errors import BrokenMediaError
from seehear.media.workers import protocol
from seehear.processes import wire
from seehear.types import (
    AudioSample,
    ImageSample,
    MediaInfo,
    Modality,
    Segment,
    VideoSample,
)


def pairs_equal(one: list[protocol.Pair], other: list[protocol.Pair]) -> bool:
    return [segment for segment, _ in one] == [segment for segment, _ in other] and all(
        arrays_of(a) == arrays_of(b) for (_, a), (_, b) in zip(one, other, strict=True)
    )


def arrays_of(sample: Any) -> list[Any]:
    if isinstance(sample, ImageSample):
        return [sample.pixels.tolist()]
    if isinstance(sample, AudioSample):
        return [sample.waveform.tolist(), sample.sample_rate_hz]
    if isinstance(sample, VideoSample):
        return [frame.pixels.tolist() for frame in sample.frames]
    return [sample]


def test_messages_survive_the_wire() -> None:
    random = np.random.default_rng(1)

    def frame(height: int, width: int) -> ImageSample:
        return ImageSample(random.integers(0, 255, (height, width, 3), dtype=np.uint8))

    pairs: list[protocol.Pair] = [
        (Segment(Modality.IMAGE), frame(3, 5)),
        (Segment(Modality.TEXT, 1.0, 2.5, "ü\n\udce9"), "ü\n\udce9"),
        (
            Segment(Modality.AUDIO, 0.0, 0.1),
            AudioSample(random.uniform(-1, 1, 7).astype(np.float32), 8_000),
        ),
        (Segment(Modality.VIDEO, 0.0, 9.0), VideoSample((frame(2, 2), frame(4, 1)))),
    ]
    items, buffers = protocol.pack_pairs(pairs)
    stream = BytesIO()
    wire.send(stream, {"items": items}, buffers)
    stream.seek(0)
    head, body = wire.receive(stream)
    assert pairs_equal(protocol.unpack_pairs(head["items"], body), pairs)
    info = MediaInfo(Modality.VIDEO, "mp4", 1, 2, 3.5, datetime(2024, 1, 2), {"a": 1, "b": "x"})
    assert protocol.unpack_info(protocol.pack_info(info)) == info
    error = BrokenMediaError("truncated", stage="probe")
    again = protocol.unpack_error(protocol.pack_error(error))
    assert (type(again), str(again), again.stage) == (BrokenMediaError, "truncated", "probe")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01",
        b"\xff" * 8,
        b"\x02\x00\x00\x00\x00\x00\x00\x00{]",
        b"\x02\x00\x00\x00\x00\x00\x00\x00[]",
        b"\x02\x00\x00\x00\x05\x00\x00\x00{}abc",
    ],
)
def test_nonsense_on_the_wire(data: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.receive(BytesIO(data))


@pytest.mark.parametrize(
    "items",
    [
        [["image", None, None, None, ["image", 10**9, 10**9]]],
        [["image", None, None, None, ["image", -1, 3]]],
        [["image", None, None, None, ["unknown", 1]]],
        [["image", None, None, None, ["video"]]],
        [["nothing", None, None, None, ["text", "a"]]],
        [["image"]],
        ["x"],
        None,
        [],
    ],
)
def test_samples_that_do_not_add_up(items: Any) -> None:
    with pytest.raises(wire.WireError):
        protocol.unpack_pairs(items, np.zeros(12, dtype=np.uint8))

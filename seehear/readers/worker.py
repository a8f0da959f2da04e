"""Run a reader in a process of its own: read requests from one stream, write answers to another.

{"kind": "speech", "model": FOLDER, "threads": 2, "memory_bytes": n}
    -> {"type": "ready"}, or a fault of the environment
{"do": "hear", "translate": false} or {"do": "measure"}, then blocks {"start_s": 0.0} with their
samples, each answered by {"type": "next"} once it was read, then {"end": true}
    -> a reading, or {"type": "answer", "seconds": 12.5}
{"do": "see", "height": 600, "width": 800} with the pixels
    -> a reading

Each request and block says how much processor time it may take, "cpu_s".
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO

import numpy as np

from seehear.errors import EnvironmentFaultError, SeehearError, one_line
from seehear.libraries import fault_of
from seehear.processes import wire
from seehear.processes.resources import limit_cpu, limit_memory
from seehear.readers.base import AudioBlock, Reader
from seehear.readers.blocks import SAMPLE_RATE_HZ
from seehear.readers.records import pack_reading
from seehear.readers.registry import open_reader
from seehear.types import AudioSample, ImageSample

NICENESS = 10


def main(requests: BinaryIO, answers: BinaryIO) -> None:
    """Serve requests until their stream ends."""
    with suppress(wire.WireError, BrokenPipeError, KeyboardInterrupt):
        setup, _ = wire.receive(requests)
        limit_memory(int(setup["memory_bytes"]))
        if os.name == "posix":
            with suppress(OSError):
                os.nice(NICENESS)
        try:
            reader = open_reader(setup["kind"], model=setup["model"], threads=setup["threads"])
        except Exception as error:
            fault = fault_of(error) or EnvironmentFaultError(one_line(error))
            wire.send(answers, {"type": "fault", "fault": wire.pack_fault(fault)})
            return
        wire.send(answers, {"type": "ready"})
        kind = ""
        while kind != "failed":  # what failed once may have left anything behind
            request, body = wire.receive(requests)
            limit_cpu(request["cpu_s"])
            answer = _answer(reader, request, body, _Blocks(requests, answers))
            wire.send(answers, answer)
            kind = answer["type"]
    # Exit without clean-up, in which a broken library could hang.
    os._exit(0)


def _answer(
    reader: Reader, request: wire.WireMessage, body: wire.WireBody, blocks: _Blocks
) -> wire.WireMessage:
    """Return the answer to one request; a failure of the reader is one, too."""
    try:
        if request["do"] == "see":
            pixels = body.reshape(request["height"], request["width"], 3)
            return {"type": "answer"} | pack_reading(reader.see(ImageSample(pixels)))
        if request["do"] == "measure":
            return {"type": "answer", "seconds": reader.measure_speech(blocks)}
        reading = reader.hear(blocks, translate=bool(request["translate"]))
        return {"type": "answer"} | pack_reading(reading)
    except wire.WireError:
        raise
    except Exception as error:
        if (fault := fault_of(error)) is not None:
            return {"type": "fault", "fault": wire.pack_fault(fault)}
        reason = one_line(error) if isinstance(error, SeehearError) else type(error).__name__
        if isinstance(error, MemoryError):
            reason = "it takes more memory than a file may have"
        return {"type": "failed", "reason": reason}


class _Blocks:
    """The blocks of a sound, each taken from the stream when the one before was read."""

    def __init__(self, requests: BinaryIO, answers: BinaryIO) -> None:
        self._requests, self._answers = requests, answers

    def __iter__(self) -> Iterator[AudioBlock]:
        while True:
            head, body = wire.receive(self._requests)
            limit_cpu(head["cpu_s"])
            if "end" in head:
                return
            yield float(head["start_s"]), AudioSample(body.view(np.float32), SAMPLE_RATE_HZ)
            wire.send(self._answers, {"type": "next"})

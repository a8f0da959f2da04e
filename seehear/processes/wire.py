"""Send messages between a process and its child: a JSON head, then bytes.

    | length of head, uint32 | length of body, uint32 | head, JSON in ASCII | body |

Plain records instead of pickles: reading them runs no code, even if the child was taken over.
A malformed message raises `WireError`, and the child that sent it is taken for dead.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from seehear.errors import EnvironmentFaultError

WireMessage = dict[str, Any]
WireBody = NDArray[np.uint8]

_LENGTHS = struct.Struct("<II")
MOST_HEAD_BYTES = 64 << 20
MOST_BODY_BYTES = 512 << 20
"""One message holds about 1 MiB of samples; a single huge sample stays far below this limit."""


class WireError(Exception):
    """Raised when the other side has ended, or sends something that is not a message."""


def send(stream: BinaryIO, head: WireMessage, body: Sequence[memoryview | bytes] = ()) -> None:
    """Write one message. Raises OSError or ValueError where the pipe is closed."""
    stream.write(_beginning(head, sum(len(part) for part in body)))
    for part in body:
        stream.write(part)
    stream.flush()


def packed(head: WireMessage, body: bytes = b"") -> bytes:
    """Return one message, for a socket."""
    return _beginning(head, len(body)) + body


def _beginning(head: WireMessage, body_bytes: int) -> bytes:
    text = json.dumps(head, separators=(",", ":")).encode("ascii")
    return _LENGTHS.pack(len(text), body_bytes) + text


class Unpacker:
    """Cut what comes from a socket, in pieces of any size, into messages."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[WireMessage, bytes]]:
        """Yield the messages that are complete with these bytes. Raises WireError."""
        self._held += data
        while len(self._held) >= _LENGTHS.size:
            head_bytes, body_bytes = _LENGTHS.unpack_from(self._held)
            body_at = _LENGTHS.size + head_bytes
            if len(self._held) < body_at + body_bytes:
                return
            try:
                head = json.loads(self._held[_LENGTHS.size : body_at])
            except (ValueError, RecursionError) as error:
                raise WireError("a message that cannot be read") from error
            body = bytes(self._held[body_at : body_at + body_bytes])
            del self._held[: body_at + body_bytes]
            yield head, body


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
    view, done = bytes_of(data), 0
    while done < count:
        try:
            got = stream.readinto(view[done:])  # type: ignore[attr-defined]
        except (OSError, ValueError) as error:
            raise WireError("the pipe is closed") from error
        if not got:
            raise WireError("the pipe has ended")
        done += got
    return data


def bytes_of(array: NDArray[Any]) -> memoryview:
    """Return the memory of an array as bytes, ready to be sent."""
    # numpy's arrays are buffers, but its type stubs say so only from Python 3.12 on.
    buffer: Any = np.ascontiguousarray(array)
    return memoryview(buffer).cast("B")


def pack_fault(fault: EnvironmentFaultError) -> WireMessage:
    """Convert an EnvironmentFaultError to JSON."""
    return {"reason": str(fault), "library": fault.library}


def unpack_fault(record: WireMessage) -> EnvironmentFaultError:
    """Convert the result of `pack_fault` back."""
    library = record.get("library")
    return EnvironmentFaultError(
        str(record.get("reason")), None if library is None else str(library)
    )

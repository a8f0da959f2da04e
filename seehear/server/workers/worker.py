"""Answer searches in one process, from one instant of the collection at a time."""

from __future__ import annotations

import json
import logging
import os
import select
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seehear.cancellation import CancelledQueryError, CancelToken, check_current, current_token
from seehear.errors import SeehearError, StoreError
from seehear.processes import wire
from seehear.query_builder import text_part
from seehear.server.folder_labels import FolderLabels
from seehear.server.mount_path import mount_path
from seehear.server.problems import ServiceError, as_json, problem_of
from seehear.server.queries import Upload, answer_search
from seehear.server.schemas import SearchRequest
from seehear.server.uploads import parsed
from seehear.server.workers.shared import SharedCollection, WorkerOptions
from seehear.types import AudioSample, ImageSample, Modality, QueryPart, Sample, VideoSample

if TYPE_CHECKING:
    from seehear.stores.catalog.transactions import Pin

log = logging.getLogger("seehear.server")

_PIN_S = 1.0
"""For which a busy worker keeps one instant of the catalog open."""
_MOST_OLD_S = 10.0
"""Age from which on a busy worker reads a change itself, if no successor has come."""
_IDLE_S = 0.1
"""Without requests, until a worker lets go of the catalog."""
_AHEAD_WORDS, _AHEAD_CHARACTERS = 3, 1000
"""Shorter texts become several sentences; longer ones are not worth a batch."""


class _Inbox:
    """What the service sends to a worker."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._unpacker = wire.Unpacker()
        self._requests: list[tuple[wire.WireMessage, bytes]] = []
        self._cancelled: set[int] = set()
        self.ended = False

    def wait(self, seconds: float | None) -> bool:
        """Wait for requests, at most so long; return whether any is there."""
        if not self._requests and select.select([self._channel], [], [], seconds)[0]:
            self._read()
        return bool(self._requests)

    def take(self) -> list[tuple[wire.WireMessage, bytes]]:
        """Return the requests that have come."""
        while self._has_more():
            self._read()
        requests, self._requests = self._requests, []
        return requests

    def is_cancelled(self, number: int) -> bool:
        while self._has_more():
            self._read()
        return self.ended or number in self._cancelled

    def forget(self, number: int) -> None:
        self._cancelled.discard(number)

    def _has_more(self) -> bool:
        return not self.ended and bool(select.select([self._channel], [], [], 0)[0])

    def _read(self) -> None:
        data = self._channel.recv(1 << 18)
        self.ended = not data
        for head, body in self._unpacker.feed(data):
            if "cancel" in head:
                self._cancelled.add(head["cancel"])
            else:
                self._requests.append((head, body))


class _Gone(threading.Event):
    """Set once the client of a request has gone."""

    def __init__(self, inbox: _Inbox, number: int) -> None:
        super().__init__()
        self._inbox, self._number = inbox, number

    def is_set(self) -> bool:
        return self._inbox.is_cancelled(self._number)


@dataclass(slots=True)
class _Asked:
    """One request, as far as it could be read."""

    number: int
    mount: str
    """What the addresses in the answer begin with."""
    wish: SearchRequest | ServiceError
    parts: dict[int, QueryPart | str] = field(default_factory=dict)
    """Of the uploads, by their number: samples whose vectors are told, or the words heard."""
    uploads: list[Upload] = field(default_factory=list)


class Worker:
    """Answer requests, one after the other, until the service closes the channel.

    While requests come without a pause, they are answered from one instant of the collection, so
    that a change does not hold them up: a successor that has read it is on its way.
    """

    def __init__(
        self, channel: socket.socket, library: SharedCollection, options: WorkerOptions
    ) -> None:
        self._channel = channel
        self._library = library
        self._options = options
        self._inbox = _Inbox(channel)
        self._generation = library.state()[0]
        self._pin: Pin | None = None
        self._pinned_at = self._fresh_at = 0.0
        self._labels = FolderLabels(())
        self._broken = False

    def run(self) -> None:
        self._broken = not self._hold()
        self._library.read_all()  # what has changed since the fork
        self._channel.sendall(wire.packed({"ready": os.getpid()}))
        while not (self._inbox.ended or self._broken):
            if self._inbox.wait(None if self._pin is None else _IDLE_S):
                self._answer_all(self._inbox.take())
                if self._library.has_large_log():
                    self._let_go()
            elif self._pin is not None:
                self._let_go()
        # What is not answered yet, another worker answers.
        self._channel.sendall(wire.packed({"ended": True}))

    def _answer_all(self, requests: Sequence[tuple[wire.WireMessage, bytes]]) -> None:
        if not self._hold():
            self._broken = True
            return
        asked = [self._read(head, body) for head, body in requests]
        self._prepare(asked)
        for one in asked:
            if self._broken:
                return
            status, retry_after_s, content = self._answer(one)
            head = {"id": one.number, "status": status, "retry_after_s": retry_after_s}
            head |= {"batch": len(asked)} if one is asked[0] else {}
            self._channel.sendall(wire.packed(head, content))
            self._inbox.forget(one.number)
        if self._library.encoded is not None:
            self._library.encoded.forget()

    def _hold(self) -> bool:
        """Pin the present, or keep the last instant; return False if a new generation answers."""
        now = time.monotonic()
        if self._pin is not None and now - self._pinned_at < _PIN_S:
            return True
        self._pinned_at = now
        fresh = self._library.pin()
        if self._pin is not None:
            if fresh.change != self._pin.change and now - self._fresh_at < _MOST_OLD_S:
                fresh.close()
                return True
            self._let_go()
        self._pin, self._fresh_at = fresh, now
        self._library.use(fresh)
        if self._library.state()[0] != self._generation:
            return False
        known = [root.path for root in self._library.roots()]
        more = [root for root in self._options.roots if root not in known]
        self._labels = FolderLabels([*known, *more])
        return True

    def _let_go(self) -> None:
        if self._pin is not None:
            self._library.use(None)
            self._pin.close()
            self._pin = None

    def _read(self, head: wire.WireMessage, body: bytes) -> _Asked:
        """Read one request: its JSON, then the vectors of its uploads."""
        content, rest = body[: head["bytes"]], body[head["bytes"] :]
        asked = _Asked(head["id"], head["mount"], ServiceError(500, "internal", ""))
        try:
            asked.wish = parsed(SearchRequest, content)
            for number, told in enumerate(head.get("uploads", ())):
                asked.uploads.append(Upload(Path(str(number)), told["name"], told["field"]))
                if told["heard"] is not None:
                    asked.parts[number] = told["heard"]
                    continue
                samples: list[Sample] = []
                for one in told["samples"]:
                    rest = self._take_rows(one, rest, samples)
                asked.parts[number] = QueryPart(tuple(samples), label=told["name"])
        except ServiceError as refusal:
            asked.wish = refusal
        return asked

    def _take_rows(self, told: Mapping[str, Any], rest: bytes, samples: list[Sample]) -> bytes:
        """Add stand-ins for the samples of one modality; return the bytes behind their vectors."""
        modality = Modality(told["modality"])
        if modality is Modality.TEXT:
            samples.extend(told["texts"])
            return rest
        model = self._library.model()
        spaces = {space.key: space for space in model.spaces_of(modality)}
        if not set(told["spaces"]) <= set(spaces) or self._library.encoded is None:
            raise ServiceError(503, "stopping", "the model has just changed; try again", 1)
        count = told["rows"]
        encoded = {}
        for key in told["spaces"]:
            size = 4 * count * spaces[key].dim
            rows = np.frombuffer(rest[:size], dtype="<f4").reshape(count, -1)
            encoded[spaces[key]] = rows.astype(np.float32)
            rest = rest[size:]
        for row in range(count):
            samples.append(_stand_in(modality))
            self._library.encoded.tell(
                samples[-1], {space: rows[row : row + 1] for space, rows in encoded.items()}
            )
        return rest

    def _prepare(self, requests: Sequence[_Asked]) -> None:
        """Encode the sentences of all requests as one batch, and search for them as one."""
        texts = {
            text
            for asked in requests
            if isinstance(asked.wish, SearchRequest)
            for text in [*_listed(asked.wish.text), *_listed(asked.wish.without)]
            if len(text) < _AHEAD_CHARACTERS and len(text.split()) >= _AHEAD_WORDS
        }
        if len(texts) > 1:
            with suppress(Exception):  # it fails the request alone that it belongs to
                self._library.prepare(sorted(texts))

    def _answer(self, asked: _Asked) -> tuple[int, int | None, bytes]:
        """Return a status, when to come back, and JSON."""
        current_token.set(CancelToken(_Gone(self._inbox, asked.number)))
        mount_path.set(asked.mount)
        try:
            check_current()
            if isinstance(asked.wish, SearchRequest):
                return 200, None, self._found(asked, asked.wish)
            problem = asked.wish
        except ServiceError as error:
            problem = error
        except CancelledQueryError:
            problem = ServiceError(503, "stopping", "the search was stopped", 1)
        except SeehearError as error:
            self._broken = isinstance(error, StoreError)  # nor will the next one be read
            problem = problem_of(error, self._options.private)
        except Exception:
            log.exception("a search failed")
            problem = ServiceError(500, "internal", "the service failed; see its log")
        finally:
            current_token.set(None)
        return problem.status, problem.retry_after_s, json.dumps(as_json(problem)).encode()

    def _found(self, asked: _Asked, wish: SearchRequest) -> bytes:
        def load(
            upload: Upload, *, weight: float = 1.0, exclude: bool = False, expected: None = None
        ) -> QueryPart:
            part = asked.parts[int(upload.path.name)]
            if isinstance(part, str):
                return text_part(part, weight=weight, exclude=exclude)
            return QueryPart(part.samples, weight, exclude, part.label)

        heard = [part for part in asked.parts.values() if isinstance(part, str)]
        limits = self._options.limits
        return answer_search(
            self._library, self._labels, wish, asked.uploads, load, limits, heard
        ).encode()


def _stand_in(modality: Modality) -> Sample:
    """Return a sample whose vectors are told: only its kind is looked at."""
    image = ImageSample(np.zeros((1, 1, 3), dtype=np.uint8))
    if modality is Modality.IMAGE:
        return image
    if modality is Modality.VIDEO:
        return VideoSample((image,))
    return AudioSample(np.ones(1, dtype=np.float32), 16_000)


def _listed(text: str | Sequence[str] | None) -> list[str]:
    return [text] if isinstance(text, str) else list(text or ())

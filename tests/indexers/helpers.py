"""Small media, a collection to put them in, and decoding without worker processes."""

from __future__ import annotations

import ctypes
import os
import threading
import wave
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from seehear import media
from seehear.config import Settings
from seehear.encoders.base import SingleSpaceModel
from seehear.encoders.fake import FakeEncoder, concept, tone
from seehear.errors import BrokenMediaError, MediaError
from seehear.indexers import IndexReport, index
from seehear.media import decode
from seehear.media.fingerprints import Fingerprinter
from seehear.media.hashing import content_hash
from seehear.readers.fake import say, write
from seehear.stores import Catalog
from seehear.types import Floats, Sample, SampleSpec, Segment

COUNTS = (
    "added",
    "updated",
    "moved",
    "removed",
    "unchanged",
    "partial",
    "without_content",
    "failed",
    "skipped",
)
LONG_AGO_NS = 1_600_000_000 * 10**9


def age(path: Path, by_s: int = 0) -> Path:
    """Date a file long before now, so that its time stamp is trusted."""
    os.utime(path, ns=(LONG_AGO_NS + by_s * 10**9,) * 2)
    return path


def picture(path: Path, colour: str = "red", size_px: tuple[int, int] = (80, 60)) -> Path:
    """An image filled with a colour of the fake encoder; PNG, JPEG, ... by its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size_px, concept(colour).rgb).save(path)
    return age(path)


def sound(path: Path, *names: str, seconds: float = 2.0) -> Path:
    """A wav file with one tone of the fake encoder after the other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return wav(path, np.concatenate([tone(name, seconds).waveform for name in names]))


def wav(path: Path, waveform: Floats) -> Path:
    """A wav file of mono sound at 16 kHz, float32 (n,)."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((waveform * 32_767).astype("<i2").tobytes())
    return age(path)


def spoken(path: Path, text: str, start_s: float = 0.0, duration_s: float = 2.0) -> Path:
    """A WAV file in which the fake reader hears a text."""
    return wav(path, say(text, start_s, duration_s).waveform)


def written(path: Path, *lines: str, **size: int) -> Path:
    """A PNG file on which the fake reader sees lines."""
    Image.fromarray(write(*lines, **size).pixels).save(path)
    return age(path)


def note(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return age(path)


def broken(path: Path, content: bytes = b"\xff\xd8\xff\xe0 no picture") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return age(path)


@dataclass
class Library:
    """A collection under test, with an encoder that counts."""

    folder: Path
    encoder: FakeEncoder = field(default_factory=FakeEncoder)
    settings: Settings = field(default_factory=lambda: Settings(batch_size=4, decode_workers=1))

    def __post_init__(self) -> None:
        self.catalog = Catalog.open(self.folder, url=self.settings.database)

    def index(self, *paths: Path, **options: Any) -> IndexReport:
        model = SingleSpaceModel("fake", self.encoder)
        return index(self.catalog, model, paths, self.settings, **options)

    @property
    def encoded(self) -> int:
        """Samples that were encoded so far."""
        return sum(self.encoder.samples.values())

    def paths(self) -> set[str]:
        """Every location, relative to its root."""
        return {
            os.path.relpath(place.path, root.path)
            for root in self.catalog.locations.roots()
            for place in self.catalog.locations.in_root(root.id)
        }

    def close(self) -> None:
        self.catalog.close()


def counts(report: IndexReport) -> dict[str, int]:
    """The counts of a report that are not 0."""
    return {name: getattr(report, name) for name in COUNTS if getattr(report, name)}


@dataclass
class InProcess:
    """`media.decode_all` without processes: one file after the other, as its contract says."""

    on_read: Callable[[Path], None] | None = None
    """Called between reading a file's state and decoding it: a chance to interfere."""
    decoded: list[str] = field(default_factory=list)

    def __call__(
        self,
        tasks: Iterable[media.DecodeTask | Path],
        spec: SampleSpec,
        settings: Settings | None = None,
        *,
        wanted: Callable[[str], bool] | None = None,
        to_mark: Callable[[str], bool] | None = None,
        samples: bool = True,
        root_of: Callable[[Any], str | None] = lambda task: None,
        content_of: Any = None,
        stop: Any = None,
        pool: Any = None,
    ) -> Iterator[Any]:
        for given in tasks:
            if stop is not None and stop.is_set():
                return
            yield _InProcessFile(self, given, spec, wanted, to_mark, samples=samples)


class _InProcessFile:
    def __init__(
        self,
        owner: InProcess,
        task: Any,
        spec: SampleSpec,
        wanted: Callable[[str], bool] | None,
        to_mark: Callable[[str], bool] | None,
        *,
        samples: bool,
    ) -> None:
        self._to_mark, self._samples, self.fingerprint = to_mark, samples, b""
        self.task, self.path = task, task if isinstance(task, Path) else task.path
        self._spec, self._owner = spec, owner
        self.content_hash: str | None = None
        self.info = None
        self.error: MediaError | None = None
        self.skipped = self.changed = False
        self.size_bytes = self.modified_ns = self.inode = 0
        try:
            self._before = self._state()
            self.size_bytes, self.modified_ns, self.inode = self._before
            self.content_hash = content_hash(self.path)
            if wanted is not None and not wanted(self.content_hash):
                self.skipped = True
                return
            self.info = media.probe(self.path)
        except OSError as error:
            self.error = MediaError(error.strerror or str(error), stage="open")
        except MediaError as error:
            self.error = error

    def _state(self) -> tuple[int, int, int]:
        status = os.stat(self.path)
        return status.st_size, status.st_mtime_ns, status.st_ino

    def __iter__(self) -> Iterator[tuple[Segment, Sample]]:
        if self.error is not None:
            raise self.error
        assert self.content_hash is not None
        marks = self._to_mark is None or self._to_mark(self.content_hash)
        if not marks and not self._samples:
            return
        self._owner.decoded.append(self.path.name)
        if self._owner.on_read is not None:
            self._owner.on_read(self.path)
        made = Fingerprinter() if marks else None
        with decode.recognised(self.path) as item:
            item.info = self.info
            for pair in decode.samples_open(item, self._spec, made):
                if self._samples:
                    yield pair
        self.fingerprint = made.data() if made is not None else b""
        if self._state() != self._before:
            self.changed = True
            raise BrokenMediaError("changed while it was read", stage="open")


def unprivileged(act: Callable[[], None]) -> None:
    """Run something with the permissions of files in force, although this process be root's.

    On Linux root's right to pass over them is a thread's own, and is given up in a thread that
    ends. Skips where root cannot do so.
    """
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        act()
        return
    raised: list[BaseException] = []

    def run() -> None:
        try:
            _give_up_passing_over()
            act()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]


def _give_up_passing_over() -> None:
    """Drop CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH (bits 1 and 2) of this thread."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "capset"):
        pytest.skip("root reads everything here")
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice 32 bits
    assert libc.capget(header, sets) == 0
    sets[0] &= ~0b110
    assert libc.capset(header, sets) == 0

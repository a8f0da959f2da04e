"""Test single requests to workers: their results, and that no file can harm who asks."""

from __future__ import annotations

import os
import struct
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import closing
from contextvars import ContextVar
from pathlib import Path

import numpy as np
import pytest

from seehear import media
from seehear.cli.contact_sheet import write_sheet
from seehear.collection import Collection
from seehear.config import Settings
from seehear.errors import (
    BrokenMediaError,
    EnvironmentFaultError,
    MediaError,
    MediaLimitError,
    UnsupportedMediaError,
    UsageError,
)
from seehear.media import decode
from seehear.media.workers import process
from seehear.media.workers.pool import DecodePool
from seehear.types import AudioSample, ImageSample, Modality, SampleSpec, VideoSample
from tests.server.media_files import film, picture, sound

READY = (
    "import sys, time; from seehear.processes import wire; out = sys.stdout.buffer; "
    "wire.send(out, {'type': 'ready'}); "
)
HANGS = READY + "time.sleep(60)"
"""What workers run instead: they start well and never answer."""

SPEC = SampleSpec(image_px=64, window_s=2.0, hop_s=1.0)


@pytest.fixture(scope="module")
def pool() -> Iterator[DecodePool]:
    pool = DecodePool(1, 2 << 30, 20.0)
    yield pool
    pool.close()


def asked(pool: DecodePool, path: Path, most_pixels: int = 10**8, most_s: float = 60.0) -> object:
    return pool.query(path, SPEC, most_pixels, most_s)


def test_samples_come_as_they_are(pool: DecodePool, tmp_path: Path) -> None:
    for path, kind in (
        (picture(tmp_path / "a.png", "red", "blue"), ImageSample),
        (sound(tmp_path / "a.wav", "red"), AudioSample),
        (film(tmp_path / "a.mp4", "green", "blue"), VideoSample),
    ):
        modality, samples = pool.query(path, SPEC, 10**8, 60.0)
        expected_modality, expected = media.query_samples(path, SPEC)
        assert modality is expected_modality
        assert isinstance(samples[0], kind)
        assert len(samples) == len(expected)
        if isinstance(samples[0], ImageSample) and isinstance(expected[0], ImageSample):
            np.testing.assert_array_equal(samples[0].pixels, expected[0].pixels)
        if isinstance(samples[0], AudioSample) and isinstance(expected[0], AudioSample):
            np.testing.assert_array_equal(samples[0].waveform, expected[0].waveform)
    (tmp_path / "ä.txt").write_text("Füchse und Bären")
    assert pool.query(tmp_path / "ä.txt", SPEC, 1, 1.0) == (Modality.TEXT, ("Füchse und Bären",))


def test_names_that_are_not_utf8(pool: DecodePool, tmp_path: Path) -> None:
    plain = picture(tmp_path / "a.png", "red")
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    odd.write_bytes(plain.read_bytes())
    assert asked(pool, odd)


def test_errors_keep_their_kind(pool: DecodePool, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 no picture")
    with pytest.raises(BrokenMediaError):
        asked(pool, broken)
    (tmp_path / "x.bin").write_bytes(bytes(range(256)))
    with pytest.raises(UnsupportedMediaError):
        asked(pool, tmp_path / "x.bin")
    with pytest.raises(MediaLimitError, match="pixels"):
        asked(pool, picture(tmp_path / "l.png", "red"), most_pixels=100)
    with pytest.raises(MediaLimitError, match="longer than 1 seconds"):
        asked(pool, sound(tmp_path / "l.wav", "red"), most_s=1.0)
    with pytest.raises(MediaError):
        asked(pool, tmp_path / "not there.png")


def test_a_bomb_is_refused_and_the_pool_lives_on(pool: DecodePool, tmp_path: Path) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(10_000_000)))
        + chunk(b"IEND", b"")
    )
    with pytest.raises(MediaError):
        asked(pool, bomb, most_pixels=10**12)
    with pytest.raises(MediaError):
        pool.image(bomb, 320)
    assert asked(pool, picture(tmp_path / "a.png", "red"))


def test_a_worker_that_dies_takes_one_file_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = picture(tmp_path / "a.png", "red")
    with closing(DecodePool(1, 2 << 30, 20.0)) as pool:
        with monkeypatch.context() as dying:
            dying.setattr(process, "_ENTRY", READY + "sys.stdin.read(1); import os; os.abort()")
            with pytest.raises(MediaError, match=r"the decoder died on it \(signal SIGABRT"):
                asked(pool, photo)
        assert asked(pool, photo)


def test_a_worker_that_cannot_start_is_no_fault_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_ENTRY", "raise SystemExit(7)")
    with (
        closing(DecodePool(1, 2 << 30, 20.0)) as pool,
        pytest.raises(EnvironmentFaultError, match=r"cannot be started \(exit status 7"),
    ):
        asked(pool, picture(tmp_path / "a.png", "red"))


def test_a_worker_without_room_says_so(tmp_path: Path) -> None:
    with closing(DecodePool(1, 50 << 20, 20.0)) as pool, pytest.raises(MediaError):
        asked(pool, picture(tmp_path / "a.png", "red"))


def test_work_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_ENTRY", HANGS)
    with (
        closing(DecodePool(1, 2 << 30, 0.3)) as pool,
        pytest.raises(MediaLimitError, match=r"no result within 0\.3 seconds"),
    ):
        asked(pool, picture(tmp_path / "a.png", "red"))


@pytest.mark.parametrize(
    ("answer", "well_formed"),
    [
        ("out.write(b'hello' * 99)", False),
        ("import struct; out.write(struct.pack('<II', 2**32 - 1, 5))", False),
        ("import struct; out.write(struct.pack('<II', 2, 0) + b'{}')", False),
        ("wire.send(out, {'type': 'answer', 'items': [['image']], 'modality': 'image'})", True),
        ("wire.send(out, {'type': 'answer', 'items': 3}, [b'x' * 7])", True),
    ],
)
def test_nonsense_of_a_worker_is_not_believed(
    answer: str, well_formed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = picture(tmp_path / "a.png", "red")
    code = f"{READY} wire.receive(sys.stdin.buffer); {answer}; out.flush(); sys.stdin.read()"
    monkeypatch.setattr(process, "_ENTRY", code)
    with closing(DecodePool(1, 2 << 30, 0.5)) as pool:
        with pytest.raises(MediaError):
            asked(pool, photo)
        if not well_formed:
            return  # read in one way, whatever was asked
        with pytest.raises(MediaError):
            pool.image(photo, 64)
        with pytest.raises(MediaError):
            pool.waveform(photo, 8, 1.0)


def test_a_caller_that_leaves_ends_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks is known by its context, as in the service."""
    monkeypatch.setattr(process, "_ENTRY", HANGS)
    gone: ContextVar[threading.Event | None] = ContextVar("gone", default=None)

    def check() -> None:
        if (event := gone.get()) is not None and event.is_set():
            raise LookupError("gone")

    left = threading.Event()
    threading.Timer(0.3, left.set).start()
    token = gone.set(left)
    try:
        with (
            closing(DecodePool(1, 2 << 30, 60.0, check)) as pool,
            pytest.raises(LookupError, match="gone"),
        ):
            asked(pool, picture(tmp_path / "a.png", "red"))
    finally:
        gone.reset(token)


def test_a_worker_outlives_the_thread_that_asked_first(tmp_path: Path) -> None:
    """It ends with the thread that started it, which must not be one of many callers."""
    photo = picture(tmp_path / "a.png", "red")
    with closing(DecodePool(1, 2 << 30, 20.0)) as pool:
        found: list[int] = []

        def ask() -> None:
            with pool.worker() as worker:
                found.append(worker._process.pid)

        for _ in range(2):
            thread = threading.Thread(target=ask)
            thread.start()
            thread.join()
            time.sleep(0.2)
        assert asked(pool, photo)
        assert found[0] == found[1]


def test_a_prepared_worker_answers(tmp_path: Path) -> None:
    with closing(DecodePool(1, 2 << 30, 20.0)) as pool:
        pool.prepare()
        pool.prepare()
        assert asked(pool, picture(tmp_path / "a.png", "red"))


FAKE = Settings(model="fake", device="cpu", decode_workers=1)


def test_no_command_decodes_in_its_own_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a query file, not a picture of a hit: both may come from a stranger."""
    photo = picture(tmp_path / "media" / "a.png", "red")
    picture(tmp_path / "media" / "b.png", "red", "blue")
    sound(tmp_path / "media" / "a.wav", "red")
    film(tmp_path / "media" / "a.mp4", "red")
    with Collection(tmp_path / "collection", FAKE) as collection:
        collection.index(tmp_path / "media")

        def refuse(*_: object) -> None:
            raise AssertionError("decoded in this process")

        monkeypatch.setattr(decode, "recognise", refuse)
        assert collection.similar(photo)
        assert collection.search(image=photo, audio=tmp_path / "media" / "a.wav")
        hits = collection.search("red")
        assert {hit.modality for hit in hits} == {"image", "audio", "video"}
        kinds = {str(hit.modality): collection.thumbnail(hit)[1] for hit in hits}
        assert kinds == {"image": "image/webp", "audio": "image/png", "video": "image/webp"}
        write_sheet(tmp_path / "sheet.html", "red", hits, collection.thumbnail)
        page = (tmp_path / "sheet.html").read_text()
        assert page.count("data:image/") == len(hits)
        # What was replaced since it was indexed is told, and not drawn.
        picture(photo, "green")
        write_sheet(tmp_path / "other.html", "red", hits, collection.thumbnail)
        page = (tmp_path / "other.html").read_text()
        assert page.count("data:image/") == len(hits) - 1
        assert "has changed since it was indexed" in page


def test_a_decoder_that_dies_takes_no_command_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = picture(tmp_path / "a.png", "red")
    monkeypatch.setattr(process, "_ENTRY", READY + "sys.stdin.read(1); import os; os.abort()")
    with Collection(tmp_path / "collection", FAKE) as collection:
        with pytest.raises(MediaError, match=r"a\.png: the decoder died on it"):
            collection.search(image=photo)
        monkeypatch.undo()
        assert collection.search(image=photo) == []


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
def test_a_pipe_is_no_query(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with (
        Collection(tmp_path / "collection", FAKE) as collection,
        pytest.raises(UsageError, match="is a device or a pipe"),
    ):
        collection.search(image=tmp_path / "a.png")

"""Test decode workers: their results, and that no file can harm the service."""

from __future__ import annotations

import os
import struct
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from seehear import media
from seehear.cancellation import CancelledQueryError, CancelToken, current_ticket
from seehear.errors import BrokenMediaError, MediaError, MediaLimitError, UnsupportedMediaError
from seehear.server import decoding
from seehear.server.decoding import DecodePool
from seehear.types import AudioSample, ImageSample, Modality, SampleSpec, VideoSample
from tests.server.conftest import film, picture, sound

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
    pool = DecodePool(1, 2 << 30, 20.0)
    photo = picture(tmp_path / "a.png", "red")
    with monkeypatch.context() as dying:
        dying.setattr(decoding, "_START", "import os, sys; sys.stdin.read(1); os.abort()")
        with pytest.raises(BrokenMediaError, match="the decoder crashed"):
            asked(pool, photo)
    assert asked(pool, photo)
    pool.close()


def test_a_worker_without_room_says_so(tmp_path: Path) -> None:
    pool = DecodePool(1, 50 << 20, 20.0)
    with pytest.raises(MediaError):
        asked(pool, picture(tmp_path / "a.png", "red"))
    pool.close()


def test_work_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "_START_S", 0.0)
    monkeypatch.setattr(decoding, "_START", "import time; time.sleep(60)")
    pool = DecodePool(1, 2 << 30, 0.3)
    with pytest.raises(MediaLimitError, match="takes longer"):
        asked(pool, picture(tmp_path / "a.png", "red"))
    pool.close()


def test_nonsense_of_a_worker_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = picture(tmp_path / "a.png", "red")
    monkeypatch.setattr(decoding, "_START_S", 0.0)
    for code in (
        "import sys; sys.stdout.write('hello' * 99); sys.stdout.flush(); sys.stdin.read()",
        "import struct, sys; sys.stdout.buffer.write(struct.pack('<II', 2**32 - 1, 5)); "
        "sys.stdout.flush(); sys.stdin.read()",
        "import struct, sys; sys.stdout.buffer.write(struct.pack('<II', 2, 0) + b'{}'); "
        "sys.stdout.flush(); sys.stdin.read()",
    ):
        monkeypatch.setattr(decoding, "_START", code)
        pool = DecodePool(1, 2 << 30, 1.5)
        with pytest.raises(MediaError):
            asked(pool, photo)
        with pytest.raises(MediaError):
            pool.image(photo, 64)
        pool.close()


def test_a_client_that_leaves_ends_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "_START", "import time; time.sleep(60)")
    pool = DecodePool(1, 2 << 30, 60.0)
    photo = picture(tmp_path / "a.png", "red")
    ticket = CancelToken(threading.Event())
    threading.Timer(0.3, ticket.gone.set).start()
    token = current_ticket.set(ticket)
    try:
        with pytest.raises(CancelledQueryError):
            asked(pool, photo)
    finally:
        current_ticket.reset(token)
    pool.close()


def test_a_worker_knows_nothing_of_the_services_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEHEAR_TOKEN", "the token of the service")
    told = tmp_path / "environment"
    code = f"import os; open({str(told)!r}, 'w').write(repr(dict(os.environ)))"
    monkeypatch.setattr(decoding, "_START", code)
    pool = DecodePool(1, 2 << 30, 10.0)
    with pytest.raises(MediaError):
        asked(pool, picture(tmp_path / "a.png", "red"))
    pool.close()
    assert "PATH" in told.read_text()
    assert "token" not in told.read_text()

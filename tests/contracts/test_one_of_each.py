"""Things that must agree for ever are written once: a hash, a file written whole, silence."""

from __future__ import annotations

import os
import re
import stat
import threading
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest

from seehear.encoders.tiny.encoder import TinyEncoder, load_tiny
from seehear.errors import MediaError
from seehear.files import AS_USUAL, OWNER_ONLY, replacing, write_whole
from seehear.media import hashing
from seehear.media.audio import windows
from seehear.media.workers import worker
from seehear.silence import is_silent
from seehear.types import AudioSample, Modality, SampleSpec

PACKAGE = Path(__file__).resolve().parents[2] / "seehear"


@pytest.mark.parametrize(
    ("pattern", "home"),
    [
        (r"\bmkstemp\(|NamedTemporaryFile\(delete=False|\.partial\"", set()),
        (r"\w\.replace\(path\)|os\.replace\(", {"files.py"}),
        (
            r"\.write_(text|bytes)\(",
            {"diagnostics/machine.py", "encoders/tiny/checkpoint.py", "stores/catalog/lock.py"},
        ),
        (r"blake2b\(digest_size=(32|DIGEST_BYTES)\)", {"media/hashing.py", "stores/archive.py"}),
        (r"def is_silent\(", {"silence.py"}),
        (r"SILEN(CE|T)_\w+ = ", {"silence.py"}),
    ],
)
def test_it_has_one_home(pattern: str, home: set[str]) -> None:
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if re.search(pattern, path.read_text(encoding="utf-8"))
    }
    assert found <= home


def encoded(model: TinyEncoder, level_db: float) -> bool:
    wave = np.zeros(16_000, np.float32)
    wave[4_000:4_800] = 10 ** (level_db / 20) * np.sqrt(2) * np.sin(np.arange(800) / 3)
    window = AudioSample(wave, 16_000)
    assert bool(list(windows(iter([(0, wave)]), SampleSpec()))) == (not is_silent(wave, 16_000))
    return bool(np.any(model.encode(Modality.AUDIO, [window])[0]))


def test_what_is_cut_is_what_is_encoded() -> None:
    model = load_tiny(device="cpu")
    assert [encoded(model, level_db) for level_db in (-90, -65, -55, -20)] == [0, 0, 1, 1]


@pytest.mark.parametrize("size", [1, 1000, worker.IN_MEMORY_BYTES, worker.IN_MEMORY_BYTES + 1])
def test_a_content_has_one_hash(tmp_path: Path, size: int) -> None:
    path = tmp_path / "content"
    data = os.urandom(min(size, 1 << 20)) * (size // (1 << 20) + 1)
    path.write_bytes(data[:size])
    expected = blake2b(data[:size], digest_size=32).hexdigest()
    assert hashing.content_hash(path) == expected
    with path.open("rb") as file:
        digest, content = worker._hashed(file, size)
        assert digest == expected
        assert content.read() == data[:size]


def test_what_cannot_be_hashed_says_why(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no such file"):
        hashing.content_hash(tmp_path / "missing")
    with pytest.raises(MediaError, match="regular"):
        hashing.content_hash(tmp_path)


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    write_whole(path, [b"one, ", memoryview(b"two")])
    assert path.read_bytes() == b"one, two"
    assert stat.S_IMODE(path.stat().st_mode) == OWNER_ONLY
    write_whole(path, [b"other"], AS_USUAL, lasting=True)
    assert path.read_bytes() == b"other"
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == AS_USUAL & ~umask


@pytest.mark.parametrize("error", [OSError("full"), KeyboardInterrupt(), ValueError("broken")])
def test_what_fails_leaves_the_old_file_alone(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(type(error)), replacing(path) as partial:
        partial.write_bytes(b"half")
        raise error
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_writers_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = [bytes([n]) * 10_000 for n in range(8)]
    threads = [threading.Thread(target=write_whole, args=(path, [one])) for one in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in contents
    assert [one.name for one in tmp_path.iterdir()] == ["file"]

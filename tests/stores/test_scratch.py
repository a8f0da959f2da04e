"""Scratch folders are deleted, also those of processes that were killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seehear.files import replacing, scratch_folder, write_whole

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs locks on folders")

HOLD = """
import sys, time
from pathlib import Path
from seehear.files import scratch_folder
with scratch_folder(Path(sys.argv[1])) as folder:
    (folder / "data").write_text("x")
    print(folder, flush=True)
    time.sleep(60)
"""


def age(folder: Path) -> None:
    long_ago = time.time() - 3600
    os.utime(folder, (long_ago, long_ago))


def test_the_folder_of_a_killed_process_goes_with_the_next_one(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        held = Path(holder.stdout.readline().strip())
        age(held)
        with scratch_folder(tmp_path) as mine:
            assert held.is_dir(), "its process lives"
            assert mine.stat().st_mode & 0o777 == 0o700
        holder.kill()
        holder.wait()
    with scratch_folder(tmp_path):
        assert not held.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_never_finished_goes_with_the_next_one(tmp_path: Path) -> None:
    (tmp_path / f".writing-{16 * 'a'}").write_text("half")
    age(tmp_path / f".writing-{16 * 'a'}")
    with replacing(tmp_path / "one") as partial:
        partial.write_text("whole")
        age(partial)
        write_whole(tmp_path / "two", [b"whole"])
        assert partial.exists(), "it is being written"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]
    assert (tmp_path / "one").read_text() == "whole"


def test_what_is_no_scratch_folder_stays(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "diary.txt").write_text("Dear diary")
    names = [f".seehear-{16 * letter}" for letter in "abc"]
    (tmp_path / names[0]).symlink_to(tmp_path / "precious")
    (tmp_path / names[1]).write_text("a file")
    os.mkfifo(tmp_path / names[2])
    (tmp_path / ".seehear-of-mine").mkdir()
    (tmp_path / f".writing-{16 * 'a'}").mkdir()
    for path in tmp_path.iterdir():
        os.utime(path, (0, 0), follow_symlinks=False)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    with scratch_folder(tmp_path), replacing(tmp_path / "new"):
        pass
    (tmp_path / "new").unlink()
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_a_new_folder_that_is_not_held_yet_stays(tmp_path: Path) -> None:
    (tmp_path / f".seehear-{16 * 'a'}").mkdir()
    with scratch_folder(tmp_path), scratch_folder(tmp_path):
        assert (tmp_path / f".seehear-{16 * 'a'}").is_dir()

"""Test the walk: what is found, what is skipped, and what is reported."""

from __future__ import annotations

import os
import socket
import sys
import threading
from pathlib import Path

import pytest

from seehear.errors import UsageError
from seehear.indexers.ignore import PathPatterns
from seehear.indexers.scan import BROKEN_LINK, OUTSIDE, SPECIAL, Scan, walk
from tests.indexers.helpers import unprivileged

posix = pytest.mark.skipif(os.name == "nt", reason="file systems of Unix")


def make(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode("utf-8", "surrogateescape"))


def found(
    top: Path, *, root: Path | None = None, scan: Scan | None = None, **options: object
) -> list[str]:
    base = root or top
    files = walk(
        str(top),
        scan if scan is not None else Scan(),
        root=str(base),
        **options,  # type: ignore[arg-type]
    )
    read = [file.path for file in files if file.skipped is None]
    return [os.path.relpath(path, base).replace(os.sep, "/") for path in read]


def passed_over(top: Path) -> dict[str, str]:
    files = walk(str(top), Scan())
    return {os.path.relpath(file.path, top): file.skipped for file in files if file.skipped}


def test_finds_files_in_order_with_size_time_and_inode(tmp_path: Path) -> None:
    make(tmp_path, "b.jpg", "a/z.jpg", "a.jpg", "c/d/e.wav")
    assert found(tmp_path) == ["a.jpg", "b.jpg", "a/z.jpg", "c/d/e.wav"]
    file = next(iter(walk(str(tmp_path / "b.jpg"), Scan())))
    status = (tmp_path / "b.jpg").stat()
    assert (file.path, file.size_bytes) == (str(tmp_path / "b.jpg"), 5)
    assert (file.modified_ns, file.inode) == (status.st_mtime_ns, status.st_ino)


def test_passes_over_hidden_files_and_folders_that_machines_make(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", ".b.jpg", ".git/c.jpg", "@eaDir/d.jpg", "$RECYCLE.BIN/e.jpg", "f/.g")
    assert found(tmp_path) == ["a.jpg"]
    # What is named is meant, hidden or not.
    assert found(tmp_path / ".git") == ["c.jpg"]
    assert found(tmp_path / ".b.jpg", root=tmp_path) == [".b.jpg"]


def test_ignore_files_follow_gitignore_rules_and_nest(tmp_path: Path) -> None:
    make(tmp_path, "a.png", "keep.png", "b.jpg", "raw/c.jpg", "d/a.png", "d/e.jpg", "d/raw/f.jpg")
    make(tmp_path, "deep/er/g.png", "deep/er/h.tmp")
    (tmp_path / ".seehearignore").write_text("# comment\n*.png\n!keep.png\n/raw/\n")
    (tmp_path / "d" / ".seehearignore").write_text("!a.png\ne.jpg\n")
    (tmp_path / "deep" / "er" / ".seehearignore").write_text("*.tmp")
    assert found(tmp_path) == ["b.jpg", "keep.png", "d/a.png", "d/raw/f.jpg"]
    # A part of the root obeys the files above it.
    assert found(tmp_path / "d", root=tmp_path) == ["d/a.png", "d/raw/f.jpg"]
    assert found(tmp_path / "raw", root=tmp_path) == []


def test_a_line_that_is_no_pattern_leaves_the_others(tmp_path: Path) -> None:
    make(tmp_path, "a.png", "b.jpg")
    (tmp_path / ".seehearignore").write_bytes(b"\xef\xbb\xbf*.png\r\n!\r\n")
    scan = Scan()
    assert found(tmp_path, scan=scan) == ["b.jpg"]
    assert "line 2 is not a valid .gitignore pattern" in scan.problems[0].reason
    assert scan.knows(str(tmp_path / "a.png"))


def test_include_and_exclude_patterns(tmp_path: Path) -> None:
    make(tmp_path, "a.png", "b.jpg", "x/c.jpg", "x/d.png", "y/e.jpg")
    assert found(tmp_path, patterns=PathPatterns(["*.jpg"])) == ["b.jpg", "x/c.jpg", "y/e.jpg"]
    assert found(tmp_path, patterns=PathPatterns(["*.jpg"], ["x/"])) == ["b.jpg", "y/e.jpg"]
    assert found(tmp_path, patterns=PathPatterns(exclude=["/x", "b.*"])) == ["a.png", "y/e.jpg"]
    patterns = PathPatterns(["*.jpg"], ["x/"])
    assert patterns.covers("b.jpg")
    assert not patterns.covers("x/deep/c.jpg")
    assert not patterns.covers("a.png")
    with pytest.raises(UsageError, match="not a valid"):
        PathPatterns(["!"])


@posix
def test_links_are_followed_once_and_real_paths_win(tmp_path: Path) -> None:
    make(tmp_path, "lib/real/a.jpg", "elsewhere/b.jpg", "elsewhere/sub/c.jpg")
    root = tmp_path / "lib"
    (root / "a_link").symlink_to(root / "real")
    (root / "out").symlink_to(tmp_path / "elsewhere")
    (root / "out2").symlink_to(tmp_path / "elsewhere" / "sub")
    (root / "file.jpg").symlink_to(root / "real" / "a.jpg")
    scan = Scan()
    assert found(root, scan=scan, follow_links=True) == [
        "file.jpg",
        "real/a.jpg",
        "out/b.jpg",
        "out/sub/c.jpg",
    ]
    assert scan.outside == 0


@posix
@pytest.mark.parametrize("absolute", [True, False])
def test_links_that_lead_out_of_the_root_are_not_followed(tmp_path: Path, absolute: bool) -> None:
    make(tmp_path, "lib/in/a.jpg", "lib2/b.jpg", "secret.jpg")
    root = tmp_path / "lib"
    above = tmp_path if absolute else Path("..")
    (root / "folder").symlink_to(above / "lib2")
    (root / "file.jpg").symlink_to(above / "secret.jpg")
    (root / "in" / "back.jpg").symlink_to(tmp_path / "lib" / "in" / "a.jpg")
    (root / "in" / "round.jpg").symlink_to(root / "file.jpg")
    (root / "same").symlink_to("in")
    scan = Scan()
    assert found(root, scan=scan) == ["in/a.jpg", "in/back.jpg"]
    assert scan.outside == 3
    assert not scan.problems
    links = ["file.jpg", "folder", "in/round.jpg"]
    assert passed_over(root) == dict.fromkeys(links, OUTSIDE)
    assert found(root / "folder", root=root, scan=scan) == []
    assert scan.outside == 4
    (tmp_path / "way").symlink_to(root)
    assert found(tmp_path / "way") == ["in/a.jpg", "in/back.jpg"]


@posix
def test_loops_and_links_that_lead_nowhere_end(tmp_path: Path) -> None:
    make(tmp_path, "lib/a.jpg", "lib/deep/b.jpg", "other.jpg")
    root = tmp_path / "lib"
    (root / "deep" / "up").symlink_to(root)
    (root / "deep" / "here").symlink_to(".")
    (root / "slash").symlink_to("/")
    (root / "above").symlink_to(tmp_path)
    (root / "self").symlink_to(root / "self")
    (root / ".hidden").symlink_to(root / ".hidden")
    (root / "nowhere.jpg").symlink_to(root / "missing.jpg")
    scan = Scan()
    assert found(root, scan=scan) == ["a.jpg", "deep/b.jpg"]
    assert passed_over(root) == {"self": BROKEN_LINK, "nowhere.jpg": BROKEN_LINK}
    assert not scan.problems


@posix
def test_pipes_sockets_and_devices_are_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "a.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    os.mkfifo(tmp_path / ".seehearignore")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.jpg")
        (tmp_path / "null.jpg").symlink_to("/dev/null")
        scan = Scan()
        assert found(tmp_path, scan=scan) == ["a.jpg"]
        names = ["null.jpg", "pipe.jpg", "socket.jpg"]
        assert passed_over(tmp_path) == dict.fromkeys(names, SPECIAL)
    assert found(tmp_path / "pipe.jpg") == []
    assert passed_over(tmp_path / "pipe.jpg") == {".": SPECIAL}


@posix
@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems refuse such names")
def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9 \xff.jpg")
    make(tmp_path, name, "k\u00e4se.jpg", "new\nline.jpg")
    (tmp_path / ".seehearignore").write_bytes(b"k*.jpg\n")
    assert found(tmp_path) == [name, "new\nline.jpg"]


@posix
def test_names_that_differ_in_case_are_two_files(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "A.jpg")
    if len(list(tmp_path.iterdir())) == 1:
        pytest.skip("this file system ignores case")
    assert found(tmp_path) == ["A.jpg", "a.jpg"]


@posix
def test_paths_of_thousands_of_characters(tmp_path: Path) -> None:
    """Up to the system's limit they are files; what lies beyond is a problem, not an end."""
    here = os.getcwd()
    try:
        os.chdir(tmp_path)
        depth = 0
        while depth < 24:  # 24 x 200 characters reach beyond 4,096
            os.mkdir("d" * 200)
            os.chdir("d" * 200)
            Path("a.jpg").write_bytes(b"a")
            depth += 1
    finally:
        os.chdir(here)
    scan = Scan()
    files = list(walk(str(tmp_path), scan))
    longest = max(len(file.path) for file in files)
    assert 3_700 < longest < 4_096
    assert len(scan.problems) == 1
    assert "too long" in scan.problems[0].reason.lower()
    assert not scan.knows(scan.problems[0].path + "/deeper.jpg")
    assert scan.knows(files[0].path)
    remove_deep(tmp_path)


def remove_deep(folder: Path) -> None:
    """`shutil.rmtree` needs paths; this goes down by file descriptors."""
    for _, _, names, descriptor in os.fwalk(folder, topdown=False):
        for name in names:
            os.unlink(name, dir_fd=descriptor)
        for name in os.listdir(descriptor):
            os.rmdir(name, dir_fd=descriptor)


@posix
def test_an_unreadable_folder_is_unknown_not_empty(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "locked/b.jpg")
    (tmp_path / "locked").chmod(0)
    scan = Scan()
    listed: list[str] = []
    unprivileged(lambda: listed.extend(found(tmp_path, scan=scan)))
    (tmp_path / "locked").chmod(0o755)
    assert listed == ["a.jpg"]
    assert "cannot be listed" in scan.problems[0].reason
    assert not scan.knows(str(tmp_path / "locked" / "b.jpg"))
    assert scan.knows(str(tmp_path / "lockedout.jpg"))


def test_a_folder_that_fails_while_it_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "a.jpg", "bad/b.jpg", "good/c.jpg")
    listed = os.scandir

    def scandir(path: str) -> object:
        if path.endswith("bad"):
            raise OSError(5, "Input/output error")
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    scan = Scan()
    assert found(tmp_path, scan=scan) == ["a.jpg", "good/c.jpg"]
    assert scan.problems[0].reason == "cannot be listed: Input/output error"
    assert not scan.knows(str(tmp_path / "bad" / "b.jpg"))


def test_other_roots_and_the_collection_are_left_out(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "sub/b.jpg", "one.jpg", "collection/thumb.jpg")
    scan = Scan()
    apart = [str(tmp_path), str(tmp_path / "sub"), str(tmp_path / "one.jpg")]
    excluded = str(tmp_path / "collection")
    assert found(tmp_path, scan=scan, apart=apart, excluded=excluded) == ["a.jpg"]
    assert scan.nested == [str(tmp_path / "one.jpg"), str(tmp_path / "sub")]


def test_the_cache_is_left_out_under_every_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "a.jpg", "cache/thumb.jpg", "cache/banks/b.jpg", "other/c.jpg")
    (tmp_path / "link").symlink_to("cache")
    monkeypatch.chdir(tmp_path)
    for spelled in ("cache", str(tmp_path / "cache"), str(tmp_path / "link")):
        monkeypatch.setenv("SEEHEAR_CACHE", spelled)
        assert found(tmp_path) == ["a.jpg", "other/c.jpg"]
    assert found(tmp_path / "cache") == ["thumb.jpg", "banks/b.jpg"]  # as one asks for it
    monkeypatch.setenv("SEEHEAR_CACHE", str(tmp_path / "elsewhere"))
    assert len(found(tmp_path)) == 4


def test_a_top_that_is_gone_or_unreadable_is_for_the_caller(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        found(tmp_path / "missing")


def test_stops_when_asked(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "sub/b.jpg", "sub2/c.jpg")
    stop = threading.Event()
    seen = []
    for file in walk(str(tmp_path), Scan(), stop=stop):
        seen.append(file.path)
        stop.set()
    assert seen == [str(tmp_path / "a.jpg")]

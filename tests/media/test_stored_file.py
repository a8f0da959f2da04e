"""What is opened of a collection is beneath its root, and has the content that was indexed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from seehear import media
from seehear.errors import ContentChangedError, MediaError
from seehear.media import stored_file
from seehear.media.hashing import content_hash
from seehear.media.stored_file import StoredFile, open_beneath
from seehear.media.workers.pool import DecodePool
from seehear.types import SampleSpec
from tests.media import make

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links and pipes of POSIX")


@pytest.fixture
def stored(tmp_path: Path) -> StoredFile:
    """A picture in a folder of a root; beside the root lies a secret."""
    folder = tmp_path / "root" / "folder"
    folder.mkdir(parents=True)
    path = make.make_image(folder / "a.png", (80, 80), make.RED)
    (tmp_path / "outside").mkdir()
    make.make_image(tmp_path / "outside" / "a.png", (80, 80), make.GREEN)
    status = path.stat()
    return StoredFile(
        str(path),
        str(tmp_path / "root"),
        content_hash(path),
        status.st_size,
        status.st_mtime_ns,
        status.st_ino,
    )


def outside(stored: StoredFile) -> Path:
    return Path(stored.root).parent / "outside"


def by_link(stored: StoredFile) -> None:
    Path(stored.path).unlink()
    Path(stored.path).symlink_to(outside(stored) / "a.png")


def by_relative_link(stored: StoredFile) -> None:
    Path(stored.path).unlink()
    Path(stored.path).symlink_to("../../outside/a.png")


def by_folder_link(stored: StoredFile) -> None:
    folder = Path(stored.path).parent
    folder.rename(folder.with_name("moved"))
    folder.symlink_to(outside(stored))


def by_pipe(stored: StoredFile) -> None:
    Path(stored.path).unlink()
    os.mkfifo(stored.path)


def by_folder(stored: StoredFile) -> None:
    Path(stored.path).unlink()
    Path(stored.path).mkdir()


def by_device(stored: StoredFile) -> None:
    Path(stored.path).unlink()
    Path(stored.path).symlink_to("/dev/zero")


def by_nothing(stored: StoredFile) -> None:
    Path(stored.path).unlink()


def by_other_content(stored: StoredFile) -> None:
    make.make_image(Path(stored.path), (90, 90), make.BLUE)


def by_content_of_the_same_size(stored: StoredFile) -> None:
    data = bytearray(Path(stored.path).read_bytes())
    data[-20] ^= 1
    Path(stored.path).write_bytes(data)


GONE = (by_link, by_relative_link, by_folder_link, by_pipe, by_folder, by_device, by_nothing)
CHANGED = (by_other_content, by_content_of_the_same_size)


@pytest.mark.parametrize("replaced", [*GONE, *CHANGED])
def test_what_took_its_place_is_not_opened(
    replaced: Callable[[StoredFile], None], stored: StoredFile
) -> None:
    stored.open().close()
    replaced(stored)
    kind = ContentChangedError if replaced in CHANGED else MediaError
    with pytest.raises(kind) as told:
        stored.open()
    assert type(told.value) is kind
    assert told.value.stage == "open"
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("replaced", [*GONE, *CHANGED])
def test_a_worker_draws_nothing_else(
    replaced: Callable[[StoredFile], None], stored: StoredFile
) -> None:
    with closing(DecodePool(1, 2 << 30, 20.0)) as pool:
        expected = pool.image(stored, 64)
        assert expected == pool.image(Path(stored.path), 64)
        replaced(stored)
        with pytest.raises(ContentChangedError if replaced in CHANGED else MediaError):
            pool.image(stored, 64)


@pytest.mark.parametrize("replaced", GONE)
def test_what_took_its_place_is_not_indexed(
    replaced: Callable[[StoredFile], None], stored: StoredFile
) -> None:
    """Between the scan of a run and its decoding."""
    replaced(stored)
    paths = [Path(stored.path)]
    (file,) = media.decode_all(paths, SampleSpec(), root_of=lambda task: stored.root)
    assert file.content_hash is None
    assert file.error is not None
    assert file.error.stage == "open"


def test_a_file_that_was_only_touched_or_copied_is_the_same(stored: StoredFile) -> None:
    os.utime(stored.path, (1, 1))
    with stored.open() as file:
        assert file.read() == Path(stored.path).read_bytes()
    again = Path(stored.path).with_name("again.png")
    again.write_bytes(Path(stored.path).read_bytes())
    again.rename(stored.path)
    stored.open().close()


def test_links_within_the_root_are_followed(stored: StoredFile, tmp_path: Path) -> None:
    (tmp_path / "root" / "link").symlink_to("folder")
    (tmp_path / "root" / "b.png").symlink_to(stored.path)
    (tmp_path / "way").symlink_to(tmp_path / "root")
    for path, root in (
        (tmp_path / "root" / "link" / "a.png", stored.root),
        (tmp_path / "root" / "b.png", stored.root),
        (tmp_path / "way" / "folder" / "a.png", str(tmp_path / "way")),
        (Path(stored.path), stored.path),  # a root may be a single file
        (Path(stored.path), "/"),
    ):
        with open_beneath(str(path), root) as file:
            assert file.read() == Path(stored.path).read_bytes()


def test_links_that_lead_out_are_followed_where_that_is_wished(stored: StoredFile) -> None:
    (outside(stored) / "a.png").write_bytes(Path(stored.path).read_bytes())
    by_folder_link(stored)
    values = {name: getattr(stored, name) for name in StoredFile.__slots__}
    with StoredFile(**(values | {"follow_links": True})).open() as file:
        assert content_hash(outside(stored) / "a.png") == stored.content_hash
        assert file.read(4) == b"\x89PNG"


@pytest.mark.parametrize("swap", [by_link, by_folder_link])
def test_a_link_made_between_check_and_opening_is_not_followed(
    swap: Callable[[StoredFile], None], stored: StoredFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = stored_file.is_beneath

    def slow_check(real: str, real_root: str) -> bool:
        found = check(real, real_root)
        swap(stored)
        return found

    monkeypatch.setattr(stored_file, "is_beneath", slow_check)
    with pytest.raises(MediaError, match="cannot be opened"):
        stored.open()


def test_a_name_that_begins_like_the_root_is_not_in_it(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root2").mkdir()
    make.make_image(tmp_path / "root2" / "a.png")
    with pytest.raises(MediaError, match="leads out of its folder"):
        open_beneath(str(tmp_path / "root" / ".." / "root2" / "a.png"), str(tmp_path / "root"))

"""Test index runs over a changing folder: nothing is encoded twice, and nothing is lost."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from seehear.errors import UsageError
from seehear.indexers import Progress, Stage
from tests.indexers.helpers import (
    InProcess,
    Library,
    age,
    broken,
    counts,
    note,
    picture,
    sound,
)

pytestmark = pytest.mark.usefixtures("in_process")


@pytest.fixture
def filled(library: Library, media_folder: Path) -> Library:
    """Four files of three kinds, indexed."""
    picture(media_folder / "red.png", "red")
    picture(media_folder / "trip" / "blue.png", "blue")
    sound(media_folder / "green.wav", "green")
    note(media_folder / "notes.md", "The forest was quiet.")
    report = library.index(media_folder)
    assert counts(report) == {"added": 4}
    assert (report.encoded, report.failures, report.interrupted) == (4, (), False)
    assert report.segments == library.encoded
    return library


def test_a_second_run_does_nothing(filled: Library, media_folder: Path) -> None:
    before = filled.encoded
    report = filled.index(media_folder)
    assert counts(report) == {"unchanged": 4}
    assert filled.encoded == before
    assert not report.changed


def test_a_renamed_file_or_folder_is_moved_and_not_encoded(
    filled: Library, media_folder: Path
) -> None:
    before = filled.encoded
    (media_folder / "red.png").rename(media_folder / "rot.png")
    (media_folder / "trip").rename(media_folder / "journey")
    report = filled.index(media_folder)
    assert counts(report) == {"moved": 2, "unchanged": 2}
    assert filled.encoded == before
    assert filled.paths() == {"rot.png", "journey/blue.png", "green.wav", "notes.md"}


def test_a_copy_is_added_and_not_encoded(filled: Library, media_folder: Path) -> None:
    before = filled.encoded
    shutil.copy(media_folder / "red.png", media_folder / "copy.png")
    report = filled.index(media_folder)
    assert counts(report) == {"added": 1, "unchanged": 4}
    assert (filled.encoded, report.encoded) == (before, 0)
    assert filled.catalog.counts().assets == 4
    assert filled.catalog.counts().locations == 5


def test_an_edited_file_is_encoded_again_and_the_old_content_goes(
    filled: Library, media_folder: Path
) -> None:
    picture(media_folder / "red.png", "yellow")
    age(media_folder / "red.png", by_s=1)
    report = filled.index(media_folder)
    assert counts(report) == {"updated": 1, "unchanged": 3}
    assert report.encoded == 1
    assert filled.catalog.counts().assets == 4


def test_a_deleted_file_goes_and_its_copy_stays(filled: Library, media_folder: Path) -> None:
    shutil.copy(media_folder / "red.png", media_folder / "copy.png")
    filled.index(media_folder)
    (media_folder / "red.png").unlink()
    (media_folder / "green.wav").unlink()
    report = filled.index(media_folder)
    assert counts(report) == {"removed": 2, "unchanged": 3}
    assert filled.catalog.counts().assets == 3
    assert filled.paths() == {"copy.png", "trip/blue.png", "notes.md"}


def test_a_touched_file_is_hashed_and_left(
    filled: Library, media_folder: Path, in_process: InProcess
) -> None:
    before = filled.encoded
    age(media_folder / "red.png", by_s=5)
    in_process.decoded.clear()
    assert counts(filled.index(media_folder)) == {"unchanged": 4}
    assert filled.encoded == before
    in_process.decoded.clear()
    assert counts(filled.index(media_folder)) == {"unchanged": 4}
    assert not in_process.decoded


def test_files_that_swap_their_names_keep_their_vectors(
    library: Library, media_folder: Path
) -> None:
    """Equal size and equal time: only the inode tells."""
    one, two = media_folder / "one.bmp", media_folder / "two.bmp"
    picture(one, "red")
    picture(two, "blue")
    library.index(media_folder)
    before = library.encoded
    one.rename(media_folder / "x")
    two.rename(one)
    (media_folder / "x").rename(two)
    report = library.index(media_folder)
    assert counts(report) == {"updated": 2}
    assert library.encoded == before
    assert library.catalog.counts().assets == 2


def test_a_file_read_right_after_it_was_written_is_looked_at_once_more(
    library: Library, media_folder: Path
) -> None:
    """Edited within the grain of its time stamp: same size, same time, same inode."""
    path = picture(media_folder / "a.bmp", "red")
    os.utime(path)
    stamp = path.stat()
    library.index(media_folder)
    content = bytearray(path.read_bytes())
    content[-3:] = b"\x00\x00\x00"
    path.write_bytes(content)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert counts(library.index(media_folder)) == {"updated": 1}


def test_duplicates_within_one_run_are_encoded_once(library: Library, media_folder: Path) -> None:
    first = picture(media_folder / "a.png", "red")
    for name in ("b.png", "c.png", "deep/d.png"):
        (media_folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(first, media_folder / name)
    report = library.index(media_folder)
    assert counts(report) == {"added": 4}
    assert (report.encoded, library.encoded) == (1, 1)


def test_a_move_between_two_roots(library: Library, tmp_path: Path, media_folder: Path) -> None:
    picture(media_folder / "a.png", "red")
    picture(media_folder / "b.png", "blue")
    other = tmp_path / "other"
    picture(other / "c.png", "green")
    library.index(media_folder, other)
    before = library.encoded
    (media_folder / "a.png").rename(other / "a.png")
    report = library.index()
    assert counts(report) == {"moved": 1, "unchanged": 2}
    assert library.encoded == before


def test_broken_files_fail_alone_and_are_remembered(library: Library, media_folder: Path) -> None:
    for i in range(9):
        picture(media_folder / f"{i}.png", "red", (40 + i, 40))
    broken(media_folder / "4.png")
    broken(media_folder / "empty.jpg", b"")
    report = library.index(media_folder)
    assert counts(report) == {"added": 8, "failed": 2}
    assert sorted(f.path.name for f in report.failures) == ["4.png", "empty.jpg"]
    assert all(f.stage in {"open", "probe", "decode"} and f.reason for f in report.failures)
    assert library.catalog.counts().failures == 2

    report = library.index(media_folder)
    assert counts(report) == {"unchanged": 8, "failed": 2}
    assert all(f.remembered for f in report.failures)
    report = library.index(media_folder, retry_failed=True)
    assert not any(f.remembered for f in report.failures)

    picture(media_folder / "4.png", "blue")
    (media_folder / "empty.jpg").unlink()
    report = library.index(media_folder)
    assert counts(report) == {"added": 1, "unchanged": 8}
    assert library.catalog.counts().failures == 0


def test_a_file_that_breaks_leaves_the_results(filled: Library, media_folder: Path) -> None:
    broken(media_folder / "red.png")
    assert counts(filled.index(media_folder)) == {"failed": 1, "unchanged": 3}
    assert "red.png" not in filled.paths()
    assert filled.catalog.counts().assets == 3


def test_copies_of_a_broken_file_all_fail(library: Library, media_folder: Path) -> None:
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        broken(media_folder / name)
    report = library.index(media_folder)
    assert counts(report) == {"failed": 3}


def test_files_that_are_no_media_are_skipped(library: Library, media_folder: Path) -> None:
    broken(media_folder / "program", b"\x7fELF" + bytes(200))
    broken(media_folder / "data.xml", b"<a>1</a>")
    picture(media_folder / "a.png")
    report = library.index(media_folder)
    assert counts(report) == {"added": 1, "skipped": 2}
    assert not report.failures


def test_an_offline_root_keeps_everything(
    filled: Library, media_folder: Path, tmp_path: Path
) -> None:
    away = media_folder.rename(tmp_path / "away")
    report = filled.index(media_folder)
    assert counts(report) == {}
    assert [(root.path, root.reason) for root in report.offline] == [(media_folder, "not found")]
    assert filled.catalog.counts().locations == 4
    assert [root.online for root in filled.catalog.locations.roots()] == [False]

    media_folder.mkdir()  # the mount point without its drive
    report = filled.index(media_folder)
    assert counts(report) == {}
    assert "empty" in report.offline[0].reason
    assert filled.catalog.counts().locations == 4

    media_folder.rmdir()
    away.rename(media_folder)
    before = filled.encoded
    report = filled.index(media_folder)
    assert counts(report) == {"unchanged": 4}
    assert not report.offline
    assert filled.encoded == before
    assert [root.online for root in filled.catalog.locations.roots()] == [True]


def test_a_folder_that_was_emptied_is_empty(filled: Library, media_folder: Path) -> None:
    """The same folder as before, unlike a mount point that shows when its drive has gone."""
    for path in sorted(media_folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    report = filled.index(media_folder)
    assert counts(report) == {"removed": 4}
    assert not report.offline
    assert filled.catalog.counts().assets == 0


def test_a_part_of_a_root_touches_only_that_part(filled: Library, media_folder: Path) -> None:
    picture(media_folder / "new.png", "green")
    picture(media_folder / "trip" / "new.png", "pink")
    (media_folder / "red.png").unlink()
    report = filled.index(media_folder / "trip")
    assert counts(report) == {"added": 1, "unchanged": 1}
    assert len(filled.catalog.locations.roots()) == 1
    shutil.rmtree(media_folder / "trip")
    assert counts(filled.index(media_folder / "trip")) == {"removed": 2}
    assert counts(filled.index(media_folder / "red.png")) == {"removed": 1}
    assert counts(filled.index(media_folder)) == {"added": 1, "unchanged": 2}


def test_a_single_file_as_a_root(library: Library, media_folder: Path) -> None:
    path = picture(media_folder / "a.png")
    picture(media_folder / "b.png", "blue")
    assert counts(library.index(path)) == {"added": 1}
    assert counts(library.index(path)) == {"unchanged": 1}
    # Its folder joins later: each file still belongs to one root.
    assert counts(library.index(media_folder)) == {"added": 1, "unchanged": 1}
    path.unlink()
    assert counts(library.index(path)) == {"removed": 1}


def test_roots_inside_roots(library: Library, media_folder: Path) -> None:
    picture(media_folder / "sub" / "a.png")
    picture(media_folder / "b.png", "blue")
    assert counts(library.index(media_folder / "sub")) == {"added": 1}
    assert counts(library.index(media_folder)) == {"added": 1, "unchanged": 1}
    assert counts(library.index()) == {"unchanged": 2}
    assert library.catalog.counts().locations == 2


def test_the_collection_may_lie_inside_its_root(media_folder: Path, tmp_path: Path) -> None:
    inside = Library(media_folder / "collection")
    picture(media_folder / "collection" / "thumb.png", "blue")
    picture(media_folder / "a.png")
    assert counts(inside.index(media_folder)) == {"added": 1}
    assert counts(inside.index(media_folder)) == {"unchanged": 1}
    inside.close()


def test_what_patterns_leave_out_stays_and_what_is_ignored_leaves(
    filled: Library, media_folder: Path
) -> None:
    (media_folder / "red.png").unlink()
    report = filled.index(media_folder, exclude=["*.png"])
    assert counts(report) == {"unchanged": 2}
    report = filled.index(media_folder, include=["*.png"])
    assert counts(report) == {"removed": 1, "unchanged": 1}
    (media_folder / ".seehearignore").write_text("*.wav\n")
    report = filled.index(media_folder)
    assert counts(report) == {"removed": 1, "unchanged": 2}


def test_a_path_that_is_not_there_and_not_known(library: Library, media_folder: Path) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        library.index(media_folder / "missing")
    picture(media_folder / "below" / "a.png")
    library.index(media_folder)
    with pytest.raises(UsageError, match=f"no such file or folder: {media_folder}/belwo"):
        library.index(media_folder / "belwo", media_folder / "below")
    shutil.rmtree(media_folder / "below")
    assert counts(library.index(media_folder / "below")) == {"removed": 1}
    away = media_folder.rename(media_folder.with_name("away"))
    assert library.index(media_folder / "any").offline[0].reason == "not found"
    away.rename(media_folder)


def test_an_empty_folder(library: Library, media_folder: Path) -> None:
    report = library.index(media_folder)
    assert counts(report) == {}
    assert not report.offline
    assert report.generation_id is not None


def test_progress_counts_to_the_end(library: Library, media_folder: Path) -> None:
    for i in range(20):
        picture(media_folder / f"{i}.png", "red", (40 + i, 40))
    seen: list[Progress] = []
    library.index(media_folder, progress=seen.append)
    assert [seen[0].stage, seen[-1].stage] == [Stage.SCAN, Stage.DONE]
    work = [p for p in seen if p.stage is Stage.ENCODE]
    assert work[0].files_total == 20
    assert work[0].bytes_total == sum(p.stat().st_size for p in media_folder.iterdir())
    done = [p.files_done for p in work]
    assert done == sorted(done)


@pytest.mark.skipif(os.name == "nt", reason="names of Unix")
def test_names_that_are_not_utf8_survive(library: Library, media_folder: Path) -> None:
    path = picture(media_folder / "a.png")
    path.rename(media_folder / os.fsdecode(b"caf\xe9.png"))
    assert counts(library.index(media_folder)) == {"added": 1}
    assert counts(library.index(media_folder)) == {"unchanged": 1}
    broken(media_folder / os.fsdecode(b"\xff.png"))
    report = library.index(media_folder)
    assert counts(report) == {"unchanged": 1, "failed": 1}
    assert os.fsencode(report.failures[0].path).endswith(b"\xff.png")
    assert [os.fsencode(f.path) for f in library.catalog.locations.failures()] == [
        os.fsencode(media_folder / os.fsdecode(b"\xff.png"))
    ]

"""Nothing vanishes: every file that a run met has one state, and counts and lists agree."""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seehear import media
from seehear.collection import Collection
from seehear.config import Settings
from seehear.encoders.fake import FakeEncoder
from seehear.errors import UnknownFolderError
from seehear.indexers import IndexReport
from seehear.media.hashing import content_hash
from seehear.serialize import report_to_dict
from seehear.stores import Remark
from seehear.types import FileState, MediaInfo
from tests.indexers.helpers import Library, age, broken, counts, note, picture, sound

RUN_STATES = {
    FileState.PARTIAL: "partial",
    FileState.WITHOUT_CONTENT: "without_content",
    FileState.FAILED: "failed",
    FileState.SKIPPED: "skipped",
}
COMPLETE = ("added", "updated", "moved", "unchanged")
CUT_OFF_PX = 77
"""Pictures of this width count as cut off."""


@pytest.fixture
def flaws(monkeypatch: pytest.MonkeyPatch, in_process: Any) -> None:
    """Pictures that are cut off, as a decoder would tell, and files that may not be opened."""
    probe = media.probe

    def probed(path: Path) -> MediaInfo:
        info = probe(path)
        if info.width_px != CUT_OFF_PX:
            return info
        return replace(info, details={**info.details, "partial": "cut off after 12 lines"})

    def hashed(path: Path) -> str:
        if path.name.startswith("locked"):
            raise PermissionError(13, "Permission denied")
        return content_hash(path)

    monkeypatch.setattr(media, "probe", probed)
    monkeypatch.setattr("tests.indexers.helpers.content_hash", hashed)


class Folder:
    """A folder that is edited at random, with the state that each of its files must get."""

    def __init__(self, top: Path, seed: int) -> None:
        self.top, self.random = top, random.Random(seed)
        self.made = 0
        self.wanted: dict[Path, FileState] = {}
        note(top / ".seehearignore", "ignored*\n")
        note(top / "sub" / ".seehearignore", "also-ignored\n")
        (top.parent / "outside").mkdir()
        self.edits: list[Callable[[], None]] = [
            self.add, self.add, self.add, self.copy, self.copy, self.rename, self.rename,
            self.change, self.remove, self.ignore,
        ]  # fmt: skip

    def new_path(self, suffix: str, start: str = "file") -> Path:
        self.made += 1
        return (
            self.top / self.random.choice(["", "sub", "sub/deep"]) / f"{start}{self.made}{suffix}"
        )

    def add(self) -> None:
        makers: list[tuple[str, FileState, Callable[[Path], object]]] = [
            (".png", FileState.COMPLETE, lambda p: picture(p, "red", (100 + self.made, 60))),
            (".wav", FileState.COMPLETE, lambda p: sound(p, "red", seconds=1 + self.made / 50)),
            (".png", FileState.PARTIAL, lambda p: picture(p, "blue", (CUT_OFF_PX, 60 + self.made))),
            (".wav", FileState.WITHOUT_CONTENT, lambda p: silence(p, 1 + self.made / 50)),
            (".txt", FileState.WITHOUT_CONTENT, lambda p: note(p, " \n" * (1 + self.made))),
            (".jpg", FileState.FAILED, broken),
            (".jpg", FileState.FAILED, lambda p: broken(p, b"")),
            (".doc", FileState.SKIPPED, lambda p: broken(p, b"\x7fELF" + bytes(200 + self.made))),
            (".png", FileState.FAILED, lambda p: broken(p, b"\x7fELF" + bytes(200 + self.made))),
            (".png", FileState.SKIPPED, lambda p: p.symlink_to(self.top / "nowhere.png")),
            (".png", FileState.SKIPPED, lambda p: p.symlink_to(self.top.parent / "outside")),
            (".png", FileState.SKIPPED, os.mkfifo),
        ]
        suffix, state, make = self.random.choice(makers)
        path = self.new_path(suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        make(path)
        self.wanted[path] = state

    def pick(self) -> Path | None:
        """Choose a regular file that may be opened."""
        regular = [
            path
            for path in self.wanted
            if path.is_file() and not path.is_symlink() and not path.name.startswith("locked")
        ]
        return self.random.choice(regular) if regular else None

    def copy(self) -> None:
        if (path := self.pick()) is None:
            return
        target = self.new_path(path.suffix, self.random.choice(["copy", "locked", "link"]))
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.name.startswith("link"):
            target.symlink_to(path)
            path.unlink()  # the link leads nowhere from now on
            del self.wanted[path]
            self.wanted[target] = FileState.SKIPPED
            return
        shutil.copy2(path, target)
        self.wanted[target] = self.wanted[path]
        if target.name.startswith("locked"):
            self.wanted[target] = FileState.FAILED

    def rename(self) -> None:
        if (path := self.pick()) is not None:
            target = self.new_path(path.suffix)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
            self.wanted[target] = self.wanted.pop(path)

    def change(self) -> None:
        """Write the content of another file at a path."""
        path, other = self.pick(), self.pick()
        if path and other and path != other and path.suffix == other.suffix:
            path.write_bytes(other.read_bytes())
            age(path, self.made)
            self.made += 1
            self.wanted[path] = self.wanted[other]

    def remove(self) -> None:
        if self.wanted:
            path = self.random.choice(list(self.wanted))
            path.unlink()
            del self.wanted[path]

    def ignore(self) -> None:
        note(self.top / f"ignored{self.made}.png", "x")
        note(self.top / f".hidden{self.made}.png", "x")
        note(self.top / "sub" / "also-ignored", "x")


def silence(path: Path, seconds: float) -> Path:
    sound(path, "red", seconds=seconds)
    header, data = path.read_bytes()[:44], path.read_bytes()[44:]
    path.write_bytes(header + bytes(len(data)))
    return age(path)


def check(report: IndexReport, library: Library, wanted: dict[Path, FileState]) -> None:
    """After a run over the whole folder."""
    listed = library.catalog.locations.files()
    assert {file.path: file.state for file in listed} == wanted
    assert len(listed) == len(wanted), "no file is listed twice"
    assert all(bool(file.reason) != (file.state is FileState.COMPLETE) for file in listed)
    expected = Counter(wanted.values())
    assert {s: n for s, n in library.catalog.counts().files.items() if n} == dict(expected)
    for state, name in RUN_STATES.items():
        assert getattr(report, name) == expected[state], name
        named = library.catalog.locations.files({state})
        assert {file.path for file in named} == {p for p, s in wanted.items() if s is state}
    assert sum(getattr(report, name) for name in COMPLETE) == expected[FileState.COMPLETE]
    kinds = Counter(p.suffix for p in wanted if p.is_file() and wanted[p] is FileState.SKIPPED)
    assert dict(report.unsupported) == library.catalog.locations.unsupported() == dict(kinds)


@pytest.mark.usefixtures("flaws")
@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 10))]
)
def test_every_file_has_one_state(seed: int, library: Library, media_folder: Path) -> None:
    folder = Folder(media_folder, seed)
    for _ in range(6):
        for _ in range(folder.random.randrange(12)):
            folder.random.choice(folder.edits)()
        if folder.random.random() < 0.3 and (media_folder / "sub").is_dir():
            part = library.index(media_folder / "sub")
            met = [path for path in folder.wanted if path.is_relative_to(media_folder / "sub")]
            assert sum(counts(part).values()) - part.removed == len(met)
        report = library.index(media_folder, retry_failed=folder.random.random() < 0.3)
        check(report, library, folder.wanted)
        again = library.index(media_folder)
        check(again, library, folder.wanted)
        assert again.encoded == again.added == again.updated == again.moved == again.removed == 0
        assert not again.changed


@pytest.mark.usefixtures("flaws")
def test_another_model_decides_anew(library: Library, media_folder: Path) -> None:
    picture(media_folder / "cut.png", size_px=(CUT_OFF_PX, 60))
    silence(media_folder / "quiet.wav", 1.0)
    library.index(media_folder)
    library.encoder = FakeEncoder(revision="2")
    report = library.index(media_folder)
    assert report.promoted
    assert report.changed
    assert counts(report) == {"partial": 1, "without_content": 1}
    states = {file.path.name: file.state for file in library.catalog.locations.files()}
    assert states == {"cut.png": FileState.PARTIAL, "quiet.wav": FileState.WITHOUT_CONTENT}


@pytest.mark.usefixtures("in_process")
def test_a_file_that_could_not_be_read_for_a_moment(
    library: Library, media_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = picture(media_folder / "a.png")
    library.index(media_folder)

    def locked(_: Path) -> str:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr("tests.indexers.helpers.content_hash", locked)
        age(path, 5)
        check(library.index(media_folder), library, {path: FileState.FAILED})
    age(path)
    report = library.index(media_folder)
    assert counts(report) == {"unchanged": 1}
    check(report, library, {path: FileState.COMPLETE})


@pytest.mark.usefixtures("flaws")
def test_what_is_forgotten_has_no_state(library: Library, media_folder: Path) -> None:
    folder = Folder(media_folder, 1)
    for _ in range(30):
        folder.add()
    library.index(media_folder)
    assert library.catalog.locations.files()
    library.catalog.locations.remove(media_folder)
    assert library.catalog.locations.files() == []
    assert not any(library.catalog.counts().files.values())


@pytest.mark.usefixtures("flaws")
def test_a_file_that_is_its_own_root_takes_its_record_along(
    library: Library, media_folder: Path
) -> None:
    """A record of a path replaces one that the path has in another root."""
    broken(media_folder / "sub" / "bad.jpg")
    broken(media_folder / "sub" / "a.doc", b"\x7fELF" + bytes(200))
    library.index(media_folder)
    report = library.index(media_folder / "sub", retry_failed=True)
    assert counts(report) == {"failed": 1, "skipped": 1}
    library.index(media_folder / "sub" / "bad.jpg", retry_failed=True)
    assert len(library.catalog.locations.files()) == 2


def test_through_the_public_interface(tmp_path: Path) -> None:
    """With worker processes."""
    folder = tmp_path / "media"
    picture(folder / "red.png")
    silence(folder / "quiet.wav", 1.0)
    note(folder / "blank.txt", "\n\n")
    broken(folder / "bad.jpg")
    broken(folder / "old.doc", b"\x7fELF" + bytes(200))
    (folder / "nowhere").symlink_to(folder / "missing")
    settings = Settings(model="fake", decode_workers=1)
    with Collection(tmp_path / "collection", settings) as library:
        report = library.index(folder)
        assert (report.added, report.without_content, report.failed, report.skipped) == (1, 2, 1, 2)
        told = report_to_dict(report)
        assert (told["partial"], told["without_content"]) == (0, 2)
        files = {file.path.name: (str(file.state), file.reason) for file in library.files()}
        assert files["quiet.wav"] == ("without_content", "it is silent")
        assert files["blank.txt"] == ("without_content", "it has no words")
        assert files["red.png"] == ("complete", "")
        assert files["old.doc"] == ("skipped", "files of this kind are not read (.doc)")
        assert files["nowhere"] == ("skipped", "a link that leads nowhere")
        assert files["bad.jpg"][0] == "failed"
        assert [f.path.name for f in library.files("skipped,failed")] == [
            "bad.jpg", "nowhere", "old.doc",
        ]  # fmt: skip
        with pytest.raises(UnknownFolderError, match="elsewhere"):
            library.files(under=tmp_path / "elsewhere")
        assert library.status().files == {
            "complete": 1, "partial": 0, "without_content": 2, "failed": 1, "skipped": 2,
        }  # fmt: skip
        assert [f.path.name for f in library.failures()] == ["bad.jpg"]
    assert {remark.value for remark in Remark} <= {
        "partial", "content", "kind", "beside", "link",
    }  # fmt: skip

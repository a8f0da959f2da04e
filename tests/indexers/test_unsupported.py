"""Files of kinds that are not read, subtitles beside videos, and collections met on the way."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from seehear import media
from seehear.collection import Collection
from seehear.config import Settings
from seehear.errors import UnsupportedMediaError
from seehear.indexers import survey
from seehear.indexers.progress import OTHERS, SUFFIXES_NAMED, most_common
from seehear.stores import FILE_NAME, Catalog
from seehear.types import MediaInfo, Modality
from tests.indexers.helpers import Library, age, broken, counts, note, picture
from tests.media import make, make_documents

COUNTED = ("added", "unchanged", "failed", "skipped")


def unsupported(folder: Path) -> None:
    for name in ("a.xml", "b.XML", "sub/c.xml", "d.pages", "e", "f.a-word-after-a-dot"):
        broken(folder / name, b"PK\x03\x04 nothing" if "pages" in name else b"\x7fELF" + bytes(200))


def stored(library: Library) -> dict[str, int]:
    return library.catalog.locations.unsupported()


@pytest.mark.usefixtures("in_process")
def test_files_that_are_not_read_are_counted_by_suffix(
    library: Library, media_folder: Path
) -> None:
    unsupported(media_folder)
    picture(media_folder / "a.png")
    broken(media_folder / "bad.jpg")
    os.symlink(media_folder / "nowhere", media_folder / "link.doc")
    for litter in (".DS_Store", "Thumbs.db", "desktop.ini", ".hidden.doc", "ignored.doc"):
        note(media_folder / litter, "x")
    note(media_folder / ".seehearignore", "ignored.doc\n")
    report = library.index(media_folder)
    assert counts(report) == {"added": 1, "failed": 1, "skipped": 7}
    expected = {".xml": 3, "no suffix": 2, ".pages": 1}
    assert dict(report.unsupported) == stored(library) == expected
    assert list(report.unsupported) == [".xml", "no suffix", ".pages"], "most first"

    (media_folder / "a.xml").unlink()
    report = library.index(media_folder)
    assert counts(report) == {"unchanged": 1, "failed": 1, "skipped": 6}
    assert stored(library)[".xml"] == 2


@pytest.mark.usefixtures("in_process")
def test_a_run_over_a_part_leaves_the_counts_of_the_whole(
    library: Library, media_folder: Path
) -> None:
    unsupported(media_folder)
    whole = library.index(media_folder).unsupported
    part = library.index(media_folder / "sub")
    assert dict(part.unsupported) == {".xml": 1}
    assert stored(library) == dict(whole)
    library.index(media_folder, include=["*.pages"])
    assert stored(library) == dict(whole)
    again = Catalog.open(library.folder)
    assert again.locations.unsupported() == dict(whole), "kept for the next process"
    again.close()


@pytest.mark.usefixtures("in_process")
def test_files_that_are_not_read_are_opened_once(
    library: Library, media_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unsupported(media_folder)
    opened: list[str] = []

    def opening(path: Path) -> MediaInfo:
        opened.append(path.name)
        raise UnsupportedMediaError("this kind of file is not read")

    monkeypatch.setattr(media, "probe", opening)
    library.index(media_folder)
    assert len(opened) == 6
    opened.clear()
    assert counts(library.index(media_folder)) == {"skipped": 6}
    assert opened == []
    broken(media_folder / "a.xml", b"\x7fELF and more")
    library.index(media_folder)
    assert opened == ["a.xml"], "it has changed"
    opened.clear()
    monkeypatch.setattr(survey, "SUFFIXES", {Modality.TEXT: frozenset({".pages"})})
    library.index(media_folder)
    assert opened == ["d.pages"], "its kind is read from now on"
    opened.clear()
    assert counts(library.index(media_folder, retry_failed=True)) == {"skipped": 6}
    assert len(opened) == 6


@pytest.mark.usefixtures("in_process")
def test_roots_in_roots_count_each_file_once(library: Library, media_folder: Path) -> None:
    unsupported(media_folder)
    library.index(media_folder / "sub")
    report = library.index(media_folder)
    assert report.skipped == sum(report.unsupported.values()) == 6
    assert stored(library) == {".xml": 3, "no suffix": 2, ".pages": 1}


def test_rare_suffixes_are_counted_together() -> None:
    many = Counter({f".s{at}": 1 for at in range(200)}) + Counter({".doc": 5, OTHERS: 7})
    told = most_common(many)
    assert len(told) <= SUFFIXES_NAMED + 1
    assert next(iter(told)) == ".doc"
    assert sum(told.values()) == sum(many.values())
    assert list(told)[-1] == OTHERS
    assert most_common(told) == told


def test_every_file_is_in_exactly_one_count(library: Library, media_folder: Path) -> None:
    """By worker processes: a file of every new kind, and of some that are not read."""
    for name in (*make_documents.DOCUMENTS, *make_documents.SUBTITLES, "svg", "psd"):
        path = media_folder / f"file.{name}"
        age((make.make_image if name in {"svg", "psd"} else make.make_text)(path))
    broken(media_folder / "bad.docx", b"PK\x03\x04 nothing")
    broken(media_folder / "bad.svg", b"<svg")
    unsupported(media_folder)
    there = sum(len(files) for _, _, files in os.walk(media_folder))
    report = library.index(media_folder)
    assert sum(getattr(report, name) for name in COUNTED) == there
    assert (report.failed, report.skipped) == (2, 6)
    assert {failure.path.name for failure in report.failures} == {"bad.docx", "bad.svg"}
    report = library.index(media_folder)
    assert sum(getattr(report, name) for name in COUNTED) == there


def film(path: Path) -> Path:
    return age(make.make_video(path, [(make.RED, 1.0)], []))


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("name", ["film.srt", "film.en.ass", "FILM.ttml", "film.sbv"])
def test_subtitles_beside_a_video_are_a_part_of_it(
    name: str, library: Library, media_folder: Path
) -> None:
    film(media_folder / "film.mp4")
    age(make.make_text(media_folder / name))
    lone = age(make.make_subtitles(media_folder / "alone.vtt", [(0.0, 2.0, "Nobody is here.")]))
    report = library.index(media_folder)
    assert counts(report) == {"added": 3}
    found = library.catalog.counts()
    assert found.subtitles == 1
    assert found.by_modality[Modality.VIDEO] == 1
    assert found.by_modality[Modality.TEXT] == 1, "a lone subtitle file is a text"
    assert sum(found.by_modality.values()) + found.subtitles == found.assets
    lone.unlink()
    (media_folder / "film.mp4").unlink()
    library.index(media_folder)
    found = library.catalog.counts()
    assert (found.subtitles, found.by_modality[Modality.TEXT]) == (0, 1), "now it stands alone"


@pytest.mark.usefixtures("in_process")
def test_a_subtitle_that_also_lies_alone_is_a_text(library: Library, media_folder: Path) -> None:
    film(media_folder / "film.mp4")
    beside = age(make.make_text(media_folder / "film.srt"))
    note(media_folder / "copy" / "words.srt", beside.read_text())
    library.index(media_folder)
    found = library.catalog.counts()
    assert (found.subtitles, found.by_modality[Modality.TEXT]) == (0, 1)


@pytest.mark.usefixtures("in_process")
def test_collections_on_the_way_are_passed_over_and_named(media_folder: Path) -> None:
    own, other = media_folder / "own", media_folder / "deep" / "other"
    other.parent.mkdir()
    Catalog.open(other).close()
    picture(other / "cache" / "x.png")
    picture(media_folder / "photo.png")
    impostor = media_folder / "impostor"
    picture(impostor / "photo.png", "blue")
    (impostor / FILE_NAME).write_bytes(b"SQLite format 3\x00 but nothing else")
    library = Library(own)
    report = library.index(media_folder)
    assert counts(report) == {"added": 2, "skipped": 1}
    assert library.paths() == {"photo.png", "impostor/photo.png"}
    assert sorted(report.notes) == [
        f"{other} is skipped: it is another collection's own folder",
        f"{own} is skipped: it is this collection's own folder",
    ]
    inside = library.index(own)
    assert inside.added == inside.skipped == 0
    assert inside.notes == (f"{own} is skipped: it is this collection's own folder",)
    library.close()


def test_words_of_new_documents_are_found(tmp_path: Path) -> None:
    """With the bundled model, from the file to the hit."""
    folder = tmp_path / "media"
    folder.mkdir()
    sentences = {
        "plan.docx": "A rocket lifts off from its launch pad.",
        "menu.epub": "The baker sells fresh bread.",
        "talk.pptx": "A kitten sleeps on the sofa.",
        "trip.odt": "Waves break on a sandy beach.",
        "letter.rtf": "Thunder and heavy rain at night.",
        "mail.eml": "The orchestra plays a symphony.",
        "list.csv": "Two bicycles lean against a wall.",
        "data.json": "Snow covers the mountain peak.",
    }
    for name, sentence in sentences.items():
        content = make_documents.document(name.partition(".")[2], [sentence])
        (folder / name).write_bytes(content)
    cues = [(5.0, 9.0, "A choir of frogs sings in the pond.")]
    for form in make_documents.SUBTITLES:
        (folder / f"{form}.{form}").write_text(make_documents.subtitles(form, cues))
    with Collection(tmp_path / "collection", Settings(decode_workers=1)) as library:
        report = library.index(folder)
        assert (report.added, report.failed) == (len(sentences) + len(make_documents.SUBTITLES), 0)
        for name, sentence in sentences.items():
            assert library.search(sentence, k=1)[0].path.name == name
        frogs = library.search("choir of frogs", k=4, mode="words", show_duplicates=True)
        assert {hit.path.suffix[1:] for hit in frogs} == set(make_documents.SUBTITLES)
        assert all(hit.moment is not None and hit.moment[0] == 5.0 for hit in frogs)

"""Readings: lines of assets, and the passages of each generation that are made of them."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from seehear.errors import StoreError
from seehear.stores import Catalog, Generation, ReadingState, StoredReading, archive
from seehear.stores.catalog.readings import pack_lines, unpack_lines
from seehear.types import MediaInfo, Modality, Origin, Segment
from tests.stores.conftest import SPACE, both_databases, put, unit

LINES = [{"text": "we sail at dawn", "words": [["we", 1.0, 1.2]]}]


def spoken(text: str, start_s: float = 1.0) -> Segment:
    return Segment(
        Modality.TEXT, start_s, start_s + 2.0, text, origin=Origin.SPEECH, language="en",
        confidence=0.9,
    )  # fmt: skip


def read(asset_id: int, engine: str = "fake 1", **more: object) -> StoredReading:
    values = {"state": ReadingState.DONE, "lines": LINES, "language": "en", "cost_s": 0.5} | more
    return StoredReading(asset_id, Origin.SPEECH, engine, **values)  # type: ignore[arg-type]


def store(catalog: Catalog, generation: Generation, asset_id: int, *texts: str) -> None:
    passages = [spoken(text, at) for at, text in enumerate(texts)]
    vectors = {SPACE: (range(len(texts)), unit(7, len(texts)))}
    assert catalog.readings.put(read(asset_id), generation.id, passages, vectors)


def texts_of(catalog: Catalog, generation: Generation, asset_id: int) -> list[str | None]:
    ids = catalog.segments.of_assets([asset_id], generation.id)
    found = sorted(catalog.segments.resolve(ids), key=lambda one: one.ordinal)
    return [one.segment.text for one in found]


def make_files(folder: Path, catalog: Catalog, generation: Generation) -> dict[str, int]:
    """Index by hand files that exist, since only such files can be read."""
    infos = {
        "song.mp3": MediaInfo(Modality.AUDIO, "mp3", duration_s=200.0),
        "film.mp4": MediaInfo(Modality.VIDEO, "mp4", 64, 48, duration_s=60.0),
        "sign.png": MediaInfo(Modality.IMAGE, "png", 640, 480),
        "note.md": MediaInfo(Modality.TEXT, "md"),
    }
    made = {}
    for name, info in infos.items():
        (folder / name).write_bytes(b"x")
        text = "a note" if info.modality is Modality.TEXT else None
        made[name] = put(
            catalog, generation, str(folder / name), info, [Segment(info.modality, text=text)]
        )
    return made


@both_databases
def test_passages_are_appended_and_found_by_their_words(
    catalog: Catalog, generation: Generation
) -> None:
    asset = put(catalog, generation, "/media/photos/a.mp3", MediaInfo(Modality.AUDIO, "mp3"))
    before = catalog.segments.of_assets([asset], generation.id).tolist()
    store(catalog, generation, asset, "we sail at dawn", "says the captain")
    after = catalog.segments.of_assets([asset], generation.id)
    assert after[: len(before)].tolist() == before
    records = catalog.segments.resolve(after)
    assert [record.ordinal for record in records] == [0, 1, 2]
    assert records[1].segment == spoken("we sail at dawn", 0.0)
    rows = catalog.segments.vectors(after[1:], generation, SPACE)
    assert abs(rows - unit(7, 2)).max() < 0.01
    assert catalog.integrity_issues() == []
    assert catalog.damaged_encodings() == []


@both_databases
def test_a_reading_is_replaced_with_its_passages_and_no_id_comes_back(
    catalog: Catalog, generation: Generation
) -> None:
    asset = put(catalog, generation, "/media/photos/a.mp3", MediaInfo(Modality.AUDIO, "mp3"))
    store(catalog, generation, asset, "wrong words")
    first = set(catalog.segments.of_assets([asset], generation.id).tolist())
    change = catalog.changes.last()
    store(catalog, generation, asset, "right words")
    second = set(catalog.segments.of_assets([asset], generation.id).tolist())
    gone = first - second
    assert len(gone) == 1
    assert max(second) > max(first)
    with catalog.changes.since(generation, SPACE, Modality.TEXT, change) as changes:
        assert set(changes.removed.tolist()) == gone
    assert texts_of(catalog, generation, asset) == [None, "right words"]


@both_databases
def test_what_is_missing_depends_on_kind_engine_and_state(
    catalog: Catalog, generation: Generation, tmp_path: Path
) -> None:
    ids = make_files(tmp_path, catalog, generation)

    def missing(reader: Origin, engine: str = "fake 1", *, retry: bool = False) -> set[int]:
        found = catalog.readings.missing(reader, engine, generation.id, retry=retry)
        return {one.asset_id for one in found}

    heard, seen = {ids["song.mp3"], ids["film.mp4"]}, {ids["sign.png"], ids["film.mp4"]}
    assert missing(Origin.SPEECH) == heard
    assert missing(Origin.WRITING) == seen
    catalog.readings.put(read(ids["song.mp3"], state=ReadingState.NOTHING, lines=[]))
    catalog.readings.put(read(ids["film.mp4"], state=ReadingState.FAILED, lines=[], reason="dies"))
    assert missing(Origin.SPEECH) == set()
    assert missing(Origin.SPEECH, retry=True) == {ids["film.mp4"]}
    assert missing(Origin.SPEECH, "fake 2") == heard
    (tmp_path / "film.mp4").unlink()
    assert missing(Origin.WRITING) == {ids["sign.png"]}
    counts = catalog.readings.counts()[Origin.SPEECH]
    assert (counts.readable, counts.done, counts.nothing, counts.failed) == (2, 0, 1, 1)
    assert catalog.readings.failures() == [(tmp_path / "film.mp4", Origin.SPEECH, "dies")]


def test_a_film_with_subtitles_is_told(
    catalog: Catalog, generation: Generation, tmp_path: Path
) -> None:
    ids = make_files(tmp_path, catalog, generation)
    line = Segment(Modality.TEXT, 1.0, 2.0, "hello", origin=Origin.SUBTITLES)
    catalog.readings.append(generation.id, ids["film.mp4"], [line], {})
    found = catalog.readings.missing(Origin.SPEECH, "fake 1", generation.id)
    assert {one.path.name: one.subtitled for one in found} == {"song.mp3": False, "film.mp4": True}


@both_databases
def test_another_generation_lacks_the_passages_until_they_are_cut(
    catalog: Catalog, generation: Generation
) -> None:
    info = MediaInfo(Modality.AUDIO, "mp3")
    asset = put(catalog, generation, "/media/photos/a.mp3", info)
    store(catalog, generation, asset, "we sail at dawn")
    assert catalog.readings.uncut(generation.id) == []
    other = catalog.generations.create("other", "1", [SPACE])
    assert catalog.readings.uncut(other.id) == []  # the file itself is not encoded yet
    put(catalog, other, "/media/photos/a.mp3", info)
    assert catalog.readings.uncut(other.id) == [(asset, Origin.SPEECH)]
    assert catalog.readings.get(asset, Origin.SPEECH) == read(asset)
    catalog.readings.append(other.id, asset, [spoken("we sail")], {SPACE: ([0], unit(1))})
    assert catalog.readings.uncut(other.id) == []
    assert catalog.readings.remove(Origin.SPEECH) == 1
    assert [texts_of(catalog, one, asset) for one in (generation, other)] == [[None], [None]]
    assert catalog.integrity_issues() == []


@both_databases
def test_an_asset_takes_its_readings_with_it(catalog: Catalog, generation: Generation) -> None:
    asset = put(catalog, generation, "/media/photos/a.mp3", MediaInfo(Modality.AUDIO, "mp3"))
    store(catalog, generation, asset, "we sail at dawn")
    assert catalog.locations.remove(Path("/media/photos/a.mp3")) == 1
    assert catalog.readings.get(asset, Origin.SPEECH) is None
    assert catalog.readings.counts() == {}
    assert not catalog.readings.put(read(asset), generation.id)
    assert catalog.integrity_issues() == []


def test_an_export_holds_readings_and_wishes(
    catalog: Catalog, generation: Generation, empty: Catalog, tmp_path: Path
) -> None:
    asset = put(catalog, generation, "/media/photos/a.mp3", MediaInfo(Modality.AUDIO, "mp3"))
    store(catalog, generation, asset, "we sail at dawn")
    catalog.readings.remember({"read": ["speech"], "speech_model": "tiny.en"})
    archive.export(catalog, tmp_path / "kept")
    archive.restore(tmp_path / "kept", empty, {})
    assert empty.readings.get(asset, Origin.SPEECH) == read(asset)
    assert empty.readings.remembered() == {"read": ["speech"], "speech_model": "tiny.en"}
    assert texts_of(empty, generation, asset) == [None, "we sail at dawn"]
    empty.readings.remember({"read": None})
    assert empty.readings.remembered() == {"speech_model": "tiny.en"}
    empty.close()


def test_damaged_lines_are_found_and_not_exported(
    catalog: Catalog, generation: Generation, tmp_path: Path
) -> None:
    asset = put(catalog, generation, "/media/photos/a.mp3", MediaInfo(Modality.AUDIO, "mp3"))
    store(catalog, generation, asset, "we sail at dawn")
    assert catalog.readings.damaged() == []
    with catalog.batch() as batch:
        batch.connection.exec_driver_sql("UPDATE readings SET lines = x'00ff'")
    assert catalog.readings.damaged() == [(asset, Origin.SPEECH)]
    assert catalog.readings.get(asset, Origin.SPEECH) is None
    with pytest.raises(StoreError, match=r"readings.*lines"):
        archive.export(catalog, tmp_path / "kept")
    catalog.readings.discard(catalog.readings.damaged())
    archive.export(catalog, tmp_path / "kept")


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", zlib.compress(b"{}"), zlib.compress(b"[1")[:-3], pack_lines([1]) + b"x",
     zlib.compress(b"[" * 100_000)],
)  # fmt: skip
def test_lines_of_another_form_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"damaged|Expecting"):
        unpack_lines(data)


def test_lines_are_kept_as_they_are() -> None:
    lines = [{"text": "Grüße, 世界", "box": [0.1, 0.2, 0.3, 0.4]}]
    assert unpack_lines(pack_lines(lines)) == lines

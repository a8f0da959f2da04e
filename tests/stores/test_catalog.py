"""The catalog returns what was written, completely or not at all."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from seehear.errors import (
    CollectionLockedError,
    CollectionReplacedError,
    SchemaVersionError,
    SpaceMismatchError,
    StorageFullError,
    StoreError,
)
from seehear.stores import Catalog, Generation, GenerationState, NewContent, NewLocation
from seehear.stores.catalog.filters import And, Compare, Field, Filter, Not, Op, Or
from seehear.stores.catalog.filters import GeoCircle as Circle
from seehear.types import EmbeddingSpace, MediaInfo, Modality, Segment
from tests.stores.conftest import ROOT, SPACE, both_databases, put, unit
from tests.words import search_words


def names(catalog: Catalog, generation: Generation, where: Filter) -> set[str]:
    found = catalog.segments.resolve(catalog.segments.ids(generation.id, where=where))
    return {(f.sidecar or f.path).name for f in found}


@both_databases
def test_an_asset_may_lie_at_several_places(catalog: Catalog, generation: Generation) -> None:
    first = put(catalog, generation, "/media/photos/a.jpg", content="same")
    second = put(catalog, generation, "/media/photos/b.jpg", content="same")
    assert first == second
    assert [p.path.name for p in catalog.locations.of_assets([first])[first]] == ["a.jpg", "b.jpg"]
    assert catalog.counts().assets == 1
    assert catalog.counts().locations == 2


@both_databases
def test_names_that_are_not_utf8_survive(catalog: Catalog, generation: Generation) -> None:
    raw = os.fsdecode(b"/media/photos/caf\xe9.jpg")
    put(catalog, generation, raw, content="named oddly")
    (root,) = catalog.locations.roots()
    (place,) = catalog.locations.in_root(root.id)
    assert os.fsencode(place.path) == b"/media/photos/caf\xe9.jpg"


@both_databases
def test_inodes_of_64_bits_come_back(catalog: Catalog, generation: Generation) -> None:
    root = catalog.locations.add_root(ROOT)
    asset = put(catalog, generation, "/media/photos/a.jpg")
    with catalog.batch() as batch:
        batch.put_location(root.id, Path("/media/photos/a.jpg"), asset, 1, 2, 2**64 - 3)
    assert catalog.locations.in_root(root.id)[0].inode == 2**64 - 3


@both_databases
def test_a_batch_that_raises_leaves_nothing(catalog: Catalog, generation: Generation) -> None:
    root = catalog.locations.add_root(ROOT)
    with pytest.raises(KeyError), catalog.batch() as batch:
        content = NewContent("x", 1, MediaInfo(Modality.IMAGE, "jpeg"), [], {})
        lies_at = NewLocation(root.id, Path("/media/photos/x.jpg"), 1, 1, 1)
        batch.put_contents(generation.id, [content], [[lies_at]])
        raise KeyError
    assert catalog.counts().assets == 0
    assert catalog.assets.find("x") is None


@both_databases
def test_vectors_of_another_space_are_refused(catalog: Catalog, generation: Generation) -> None:
    other = EmbeddingSpace("other", "1", 8)
    for space, rows in ((other, unit(1)), (SPACE, unit(1, dim=4))):
        info, segments = MediaInfo(Modality.IMAGE, "jpeg"), [Segment(Modality.IMAGE)]
        content = NewContent("x", 1, info, segments, {space: ([0], rows)})
        with pytest.raises(SpaceMismatchError), catalog.batch() as batch:
            batch.put_contents(generation.id, [content], [[]])


@both_databases
def test_vectors_come_back_as_they_went_in(catalog: Catalog, generation: Generation) -> None:
    root = catalog.locations.add_root(ROOT)
    rows = unit(5, 3)
    with catalog.batch() as batch:
        windows = [Segment(Modality.AUDIO, s, s + 10.0) for s in (0.0, 5.0, 10.0)]
        info, encoded = MediaInfo(Modality.AUDIO, "wav"), {SPACE: (range(3), rows)}
        lies_at = NewLocation(root.id, Path("/media/photos/x.wav"), 1, 1, 1)
        content = NewContent("x", 1, info, windows, encoded)
        (asset_id,) = batch.put_contents(generation.id, [content], [[lies_at]])
    ids = catalog.segments.of_assets([asset_id], generation.id)
    found = catalog.segments.vectors(ids, generation, SPACE)
    np.testing.assert_allclose(found, rows, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-6)


@both_databases
def test_a_fingerprint_of_another_version_is_missing(
    catalog: Catalog, generation: Generation
) -> None:
    first, second, third = (put(catalog, generation, f"/media/photos/{n}.jpg") for n in "abc")
    with catalog.batch() as batch:
        batch.put_fingerprints({first: b"\1old", second: b"\2new"})
    assert catalog.assets.without_fingerprint(2, [1]) == [first, third]
    assert catalog.assets.without_fingerprint(2, []) == []
    with catalog.batch() as batch:
        batch.put_fingerprints({first: b"\2newer"})
    assert catalog.assets.without_fingerprint(2, [1]) == [third]
    assert catalog.assets.fingerprints([first, third]) == {first: b"\2newer"}
    assert catalog.integrity_issues() == []


@both_databases
def test_segment_ids_are_never_given_twice(catalog: Catalog, generation: Generation) -> None:
    asset = put(catalog, generation, "/media/photos/a.jpg")
    old = catalog.segments.of_assets([asset], generation.id)
    catalog.locations.remove(Path("/media/photos/a.jpg"))
    asset = put(catalog, generation, "/media/photos/a.jpg")
    assert catalog.segments.of_assets([asset], generation.id)[0] > old[0]


@both_databases
def test_orphans_go_with_all_that_is_theirs(filled: Catalog, generation: Generation) -> None:
    before = filled.counts()
    everything = filled.assets.without_fingerprint(1, [1])
    with filled.batch() as batch:
        batch.put_fingerprints(dict.fromkeys(everything, b"\x01") | {99: b"\1"})
    assert filled.locations.remove(Path("/media/photos/song.mp3")) == 1
    after = filled.counts()
    assert len(filled.assets.fingerprints([*everything, 99])) == after.assets
    assert (after.assets, after.segments) == (before.assets - 1, before.segments - 3)
    assert search_words(filled, generation.id, "danube", 5) == ([], [])
    assert filled.integrity_issues() == []


@both_databases
def test_subtitles_beside_a_film_are_moments_of_it(filled: Catalog, generation: Generation) -> None:
    video = frozenset({Modality.VIDEO})
    ids = filled.segments.ids(generation.id, item=Modality.TEXT, assets=video)
    (found,) = filled.segments.resolve(ids)
    assert found.path.name == "film.mp4"
    assert found.asset.modality is Modality.VIDEO
    assert found.sidecar is not None
    assert found.sidecar.name == "film.srt"
    text = filled.segments.ids(generation.id, assets=frozenset({Modality.TEXT}))
    assert [f.path.name for f in filled.segments.resolve(text)] == ["fox.md"]


FILTERS: list[tuple[Filter, set[str]]] = [
    (Compare(Field.CAMERA, Op.LIKE, "*canon*"), {"IMG_2041.jpg"}),
    (Compare(Field.KEYWORD, Op.EQ, "Summer"), {"IMG_2041.jpg"}),
    (Compare(Field.KEYWORD, Op.EQ, "sum"), set()),
    (Compare(Field.TAKEN, Op.GE, datetime(2024, 6, 1)), {"IMG_2041.jpg"}),
    (Compare(Field.TAKEN, Op.LT, datetime(2024, 6, 1)), set()),
    (Compare(Field.SIZE, Op.GT, 1e6), {"IMG_2041.jpg"}),
    (Compare(Field.DURATION, Op.LT, 90.0), {"film.mp4", "film.srt"}),
    (Compare(Field.ORIENTATION, Op.EQ, "portrait"), {"snow.png"}),
    (Compare(Field.NAME, Op.LIKE, "img_*"), {"IMG_2041.jpg"}),
    (Compare(Field.FOLDER, Op.UNDER, Path("/media/photos/winter")), {"snow.png"}),
    (Compare(Field.COORDINATES, Op.WITHIN, Circle(48.4, -4.5, 30.0)), {"IMG_2041.jpg"}),
    (Compare(Field.COORDINATES, Op.WITHIN, Circle(52.5, 13.4, 30.0)), set()),
    (Compare(Field.CAMERA, Op.KNOWN), {"IMG_2041.jpg"}),
    (
        And((Compare(Field.MODALITY, Op.EQ, "image"), Not(Compare(Field.CAMERA, Op.KNOWN)))),
        {"snow.png"},
    ),
    (Or((Compare(Field.FORMAT, Op.EQ, "mp3"), Compare(Field.WIDTH, Op.LT, 301))),
     {"song.mp3", "snow.png"}),
]  # fmt: skip


@both_databases
def test_filters(filled: Catalog, generation: Generation) -> None:
    for where, expected in FILTERS:
        assert names(filled, generation, where) == expected, where


@both_databases
def test_a_whole_filter_holds_at_one_place(catalog: Catalog, generation: Generation) -> None:
    """Two copies: an old one in one folder, a new one in another."""
    for path, year in (("/media/photos/old/a.jpg", 2020), ("/media/photos/new/b.jpg", 2024)):
        at_ns = int(datetime(year, 5, 1).timestamp()) * 10**9
        put(catalog, generation, path, content="same", modified_ns=at_ns)
    old = Compare(Field.FOLDER, Op.UNDER, ROOT / "old")
    recent = Compare(Field.MODIFIED, Op.GE, datetime(2024, 1, 1))
    assert len(catalog.segments.ids(generation.id, where=old)) == 1
    assert len(catalog.segments.ids(generation.id, where=recent)) == 1
    assert len(catalog.segments.ids(generation.id, where=And((old, recent)))) == 0
    assert len(catalog.segments.ids(generation.id, where=recent, under=ROOT / "old")) == 0
    b = Compare(Field.NAME, Op.EQ, "b.jpg")
    assert len(catalog.segments.ids(generation.id, where=And((b, recent)))) == 1
    assert len(catalog.segments.ids(generation.id, where=And((old, Not(b))))) == 1


@both_databases
def test_a_subtitle_is_judged_by_its_film(filled: Catalog, generation: Generation) -> None:
    both = {"film.mp4", "film.srt"}
    for where, expected in (
        (Compare(Field.NAME, Op.EQ, "film.mp4"), both),
        (Compare(Field.NAME, Op.EQ, "film.srt"), set()),
        (Compare(Field.WIDTH, Op.EQ, 1920), both),
        (Compare(Field.FORMAT, Op.EQ, "srt"), set()),
        (Compare(Field.MODALITY, Op.EQ, "video"), both),
    ):
        assert names(filled, generation, where) == expected, where


@both_databases
def test_case_and_the_way_accents_are_written_do_not_count(
    catalog: Catalog, generation: Generation
) -> None:
    info = MediaInfo(Modality.IMAGE, "jpeg", details={"title": "Stra\u00dfe in K\u00d6LN"})
    put(catalog, generation, "/media/photos/A\u0308pfel.JPG", info)
    for where in (
        Compare(Field.NAME, Op.EQ, "\u00e4PFEL.jpg"),
        Compare(Field.NAME, Op.LIKE, "\u00c4pf*"),
        Compare(Field.TITLE, Op.LIKE, "*STRASSE in k\u00f6ln"),
    ):
        assert len(catalog.segments.ids(generation.id, where=where)) == 1, where


@both_databases
def test_a_filter_value_is_never_sql(filled: Catalog, generation: Generation) -> None:
    evil = "x'; DROP TABLE assets; --"
    assert names(filled, generation, Compare(Field.CAMERA, Op.EQ, evil)) == set()
    assert filled.counts().assets == 6


@both_databases
def test_words_find_names_passages_and_captions(filled: Catalog, generation: Generation) -> None:
    def found(words: str) -> set[str]:
        passages, files = search_words(filled, generation.id, words, 5)
        hits = filled.segments.resolve(passages + files)
        return {(hit.sidecar or hit.path).name for hit in hits}

    assert found("IMG_2041.jpg") == {"IMG_2041.jpg"}
    assert found('"brown fox"') == {"fox.md"}
    assert found('"fox brown"') == set()
    assert found("captain") == {"film.srt"}
    assert found("summer") == {"IMG_2041.jpg"}
    assert found("danube") == {"song.mp3"}
    for odd in ('"', "AND", "(", "fox*", "a:b", "NEAR(", "^", "-", "''", "\N{SNOWMAN}"):
        found(odd)


def test_one_writer_many_readers(filled: Catalog, generation: Generation) -> None:
    script = (
        "import sys, pathlib; from seehear.stores import Catalog;"
        "c = Catalog.open(pathlib.Path(sys.argv[1]));"
        "lock = c.write_lock(); lock.__enter__(); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(filled.folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(CollectionLockedError, match=str(other.pid)), filled.write_lock():
            pass
        assert filled.counts().assets == 6
        other.kill()
    with filled.write_lock(wait_s=5.0):  # a dead process holds nothing
        pass


def test_a_newer_schema_is_refused(catalog: Catalog) -> None:
    connection = sqlite3.connect(catalog.folder / "catalog.db")
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    with pytest.raises(SchemaVersionError, match="update seehear"):
        Catalog.open(catalog.folder)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "catalog.db").write_bytes(b"this is no database at all" * 100)
    with pytest.raises(StoreError, match="damaged"):
        Catalog.open(tmp_path)


def test_a_full_disk_rolls_back(filled: Catalog, generation: Generation) -> None:
    before = filled.counts()
    with filled.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    filled.engine.dispose()
    from sqlalchemy import event

    def limit(raw: sqlite3.Connection, _record: object) -> None:
        raw.execute(f"PRAGMA max_page_count={pages + 1}")

    event.listen(filled.engine, "connect", limit)
    windows = [Segment(Modality.TEXT, text="word " * 2000) for _ in range(50)]
    info = MediaInfo(Modality.TEXT, "txt")
    with pytest.raises(StorageFullError, match="disk is full"):
        put(filled, generation, "/media/photos/big.txt", info, windows)
    assert filled.counts() == before


@pytest.mark.parametrize("disconnected", [True, False])
@pytest.mark.parametrize("happens", ["deleted", "replaced"])
def test_what_was_deleted_or_replaced_is_neither_read_nor_written(
    filled: Catalog, tmp_path: Path, happens: str, disconnected: bool
) -> None:
    other = tmp_path / "other.db"
    filled.copy_to(other)
    assert filled.counts().assets == 6
    if disconnected:
        filled.disconnect()
    away = filled.folder.rename(tmp_path / "away")
    if happens == "replaced":
        filled.folder.mkdir()
        other.rename(filled.folder / "catalog.db")
    for use in (filled.counts, filled.write_lock().__enter__, filled.batch().__enter__, filled.pin):
        with pytest.raises(CollectionReplacedError, match=f"was {happens} while it was open"):
            use()
    if happens == "deleted":
        assert not filled.folder.exists()
        away.rename(filled.folder)  # it was elsewhere for a moment
        assert filled.counts().assets == 6


def test_read_only_collections_answer(filled: Catalog, generation: Generation) -> None:
    filled.close()
    reader = Catalog.open(filled.folder, read_only=True)
    assert reader.counts().assets == 6
    assert len(reader.segments.ids(generation.id)) == reader.counts().segments
    with pytest.raises(StoreError, match="read-only"), reader.write_lock():
        pass


@both_databases
def test_generations_switch_in_one_step(filled: Catalog, generation: Generation) -> None:
    new = filled.generations.create("other", "2", [SPACE])
    assert new.state is GenerationState.BUILDING
    assert len(filled.generations.unencoded(new.id)) == 6
    filled.generations.promote(new.id)
    states = {g.id: g.state for g in filled.generations.all()}
    assert states == {generation.id: GenerationState.RETIRED, new.id: GenerationState.SERVING}
    with pytest.raises(StoreError, match="model in use"):
        filled.generations.drop(new.id)
    filled.generations.drop(generation.id)
    assert [g.id for g in filled.generations.all()] == [new.id]
    assert len(filled.segments.ids(generation.id)) == 0


@both_databases
def test_failures_are_kept_until_cleared(catalog: Catalog) -> None:
    root = catalog.locations.add_root(ROOT)
    with catalog.batch() as batch:
        batch.put_failure(root.id, ROOT / "x.jpg", "decode", "broken\nin two lines", 5, 6)
        batch.put_failure(root.id, ROOT / "x.jpg", "decode", "broken again", 5, 7)
    (failure,) = catalog.locations.failures()
    assert (failure.reason, failure.modified_ns, failure.root_id) == ("broken again", 7, root.id)
    with catalog.batch() as batch:
        batch.clear_failure(ROOT / "x.jpg")
    assert catalog.locations.failures() == []


@both_databases
def test_what_files_claim_of_themselves_breaks_no_filter(
    catalog: Catalog, generation: Generation
) -> None:
    """Numbers that are none, halves of characters, nulls: kept out, and the rest answers."""
    nan, endless = float("nan"), float("inf")
    told: dict[str, str | int | float] = {
        "latitude": nan, "longitude": -endless, "altitude": 10**30, "camera": "Canon\0EOS",
        "title": "half \ud83d", "caption": "a beach", "\udc80": "name",
    }  # fmt: skip
    info = MediaInfo(Modality.AUDIO, "mp3", duration_s=nan, details=told)
    pieces = [Segment(Modality.AUDIO, 0.0, endless), Segment(Modality.TEXT, text="a \ud83d\0 fox")]
    put(catalog, generation, "/media/photos/odd.mp3", info, pieces)
    bulk = NewContent("bulk", 1, info, pieces, {SPACE: ([0, 1], unit(1, 2))})
    plain = MediaInfo(Modality.IMAGE, "jpeg", details={"camera": "Canon EOS", "latitude": 48.2})
    put(catalog, generation, "/media/photos/plain.jpg", plain)
    root = catalog.locations.roots()[0]
    with catalog.batch() as batch:
        at = NewLocation(root.id, ROOT / "bulk.mp3", 1, 2, 3)
        batch.put_contents(generation.id, [bulk], [[at]])
        batch.put_failure(root.id, ROOT / "x.jpg", "decode", "no \ud83d\0 picture", 5, 6)
    odd, everything = {"odd.mp3", "bulk.mp3"}, {"odd.mp3", "bulk.mp3", "plain.jpg"}
    for where, expected in (
        (Compare(Field.CAMERA, Op.EQ, "canon eos"), everything),
        (Compare(Field.TITLE, Op.LIKE, "half*"), odd),
        (Compare(Field.CAPTION, Op.EQ, "a beach"), odd),
        (Compare(Field.LATITUDE, Op.KNOWN), {"plain.jpg"}),
        (Compare(Field.DURATION, Op.KNOWN), set()),
        (Compare(Field.COORDINATES, Op.KNOWN), set()),
        (Compare(Field.COORDINATES, Op.WITHIN, Circle(48.2, 0.0, 30_000.0)), set()),
        (Not(Compare(Field.LONGITUDE, Op.GT, 0.0)), everything),
    ):
        assert names(catalog, generation, where) == expected, where
    passages, _ = search_words(catalog, generation.id, "fox", 5)
    assert len(passages) == 2
    assert [failure.reason for failure in catalog.locations.failures()] == ["no \\ud83d picture"]


@pytest.mark.parametrize("name", ["a?mode=memory", "b#c", "d %20 e", "f&immutable=1", b"caf\xe9"])
def test_a_collection_may_lie_anywhere(name: str | bytes, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(name)
    Catalog.open(folder).close()
    assert (folder / "catalog.db").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    reader = Catalog.open(folder, read_only=True)
    assert reader.counts().assets == 0
    reader.close()


def test_a_newer_schema_is_refused_for_reading_too(catalog: Catalog) -> None:
    connection = sqlite3.connect(catalog.folder / "catalog.db")
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    with pytest.raises(SchemaVersionError, match="update seehear"):
        Catalog.open(catalog.folder, read_only=True)


@both_databases
def test_reading_in_blocks_changes_no_later_statement(
    filled: Catalog, generation: Generation
) -> None:
    """Options of a connection stay: the statements after it would run through a cursor, too."""
    with filled.read_snapshot():
        filled.segments.table(generation.id)
        filled.damaged_encodings()
        filled.readings.damaged()
        with filled.changes.since(generation, SPACE, Modality.IMAGE, 0) as changes:
            assert sum(len(ids) for ids, _ in changes.blocks) == 2
        with filled.reading() as connection:
            assert "yield_per" not in connection.get_execution_options()

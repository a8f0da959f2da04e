"""An export is complete or refused, and gives the same collection elsewhere."""

from __future__ import annotations

import os
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from seehear.errors import SchemaVersionError, SeehearError, StoreError, UsageError
from seehear.stores import Catalog, Generation, VectorCache, archive
from seehear.stores.catalog.filters import Compare, Field, Op
from seehear.types import Modality
from tests.stores import schemas
from tests.stores.archives import Members, members, packed, repacked, told, with_catalog
from tests.stores.conftest import ROOT, SPACE, put
from tests.words import search_words


def test_a_collection_elsewhere_is_the_same(
    filled: Catalog, generation: Generation, exported: Path, empty: Catalog, tmp_path: Path
) -> None:
    VectorCache(filled.folder, filled, generation).index(SPACE, Modality.IMAGE)
    photos = tmp_path / "photos"
    photos.mkdir()
    manifest = archive.restore(exported, empty, {ROOT: photos})
    assert (manifest.assets, manifest.roots, manifest.model) == (6, (str(ROOT),), "fake")
    assert [(root.path, root.online) for root in empty.locations.roots()] == [(photos, True)]
    assert empty.counts() == filled.counts()
    assert empty.generations.all() == filled.generations.all()
    assert empty.changes.identity() != filled.changes.identity()
    ids = filled.segments.ids(generation.id)
    assert np.array_equal(empty.segments.ids(generation.id), ids)
    assert np.array_equal(
        empty.segments.vectors(ids, generation, SPACE),
        filled.segments.vectors(ids, generation, SPACE),
    )
    assert {found.path for found in empty.segments.resolve(ids)} == {
        photos / found.path.relative_to(ROOT) for found in filled.segments.resolve(ids)
    }
    assert empty.segments.ids(generation.id, under=photos / "2024").tolist() == [1]
    named = Compare(Field.NAME, Op.EQ, "snow.png")
    assert empty.segments.ids(generation.id, where=named).tolist() == [2]
    assert search_words(empty, generation.id, "winter", 5)[1]
    assert search_words(empty, generation.id, str(tmp_path.name), 5)[1], "the new folder's name"
    assert not search_words(empty, generation.id, "media", 5)[1], "the old folder's name"
    assert empty.integrity_issues() == []
    put(empty, generation, str(ROOT / "new.jpg"))
    assert empty.segments.ids(generation.id)[-1] > ids[-1], "numbers are not given twice"


def all_paths(catalog: Catalog) -> set[str]:
    roots = catalog.locations.roots()
    return {str(at.path) for root in roots for at in catalog.locations.in_root(root.id)}


def test_what_is_not_mapped_stays_and_is_offline(exported: Path, empty: Catalog) -> None:
    archive.restore(exported, empty, {ROOT / "2024": Path("/new/2024")})
    # What leaves its root gets one of its own.
    assert [(root.path, root.online) for root in empty.locations.roots()] == [
        (ROOT, False),
        (Path("/new/2024"), False),
    ]
    paths = all_paths(empty)
    assert "/new/2024/IMG_2041.jpg" in paths
    assert "/media/photos/winter/snow.png" in paths


def test_a_collection_that_was_moved_in_part_can_move_again(
    exported: Path, empty: Catalog, tmp_path: Path
) -> None:
    archive.restore(exported, empty, {ROOT / "2024": Path("/new/2024")})
    archive.export(empty, tmp_path / "again")
    again = Catalog.open(tmp_path / "third")
    archive.restore(tmp_path / "again", again, {})
    assert again.counts() == empty.counts()
    again.close()


def test_a_damaged_collection_is_not_exported(filled: Catalog, tmp_path: Path) -> None:
    with filled.batch() as batch:
        batch.connection.exec_driver_sql("UPDATE segments SET text = 'fax' WHERE text LIKE '%fox%'")
    with pytest.raises(StoreError, match="is damaged and was not exported; run `seehear verify`"):
        archive.export(filled, tmp_path / "export")
    assert not (tmp_path / "export").exists()


def test_folders_can_be_exchanged_and_the_longest_counts(
    catalog: Catalog, generation: Generation
) -> None:
    for path in ("/media/photos/a/1.jpg", "/media/photos/b/1.jpg", "/media/photos/a/deep/1.jpg"):
        put(catalog, generation, path)
    a, b = ROOT / "a", ROOT / "b"
    catalog.locations.relocate({a: b, b: a, a / "deep": Path("/x/y"), ROOT: Path("/m")})
    assert all_paths(catalog) == {
        "/media/photos/b/1.jpg", "/media/photos/a/1.jpg", "/x/y/1.jpg",
    }  # fmt: skip
    assert {root.path for root in catalog.locations.roots()} == {Path("/m"), a, b, Path("/x/y")}
    assert catalog.integrity_issues() == []


def test_mappings_that_fit_nothing_or_too_much(exported: Path, empty: Catalog) -> None:
    with pytest.raises(UsageError, match="its folders are /media/photos"):
        archive.restore(exported, empty, {Path("/media/photo"): Path("/x")})
    with pytest.raises(UsageError, match="same path"):
        both = {ROOT / "film.mp4": Path("/x/1"), ROOT / "song.mp3": Path("/x/1")}
        archive.restore(exported, empty, both)
    assert empty.locations.roots() == []
    archive.restore(exported, empty, {})
    assert len(empty.locations.roots()) == 1


def test_only_an_empty_collection_is_filled(
    filled: Catalog, exported: Path, empty: Catalog, tmp_path: Path
) -> None:
    before = filled.counts()
    with pytest.raises(UsageError, match="not empty"):
        archive.restore(exported, filled, {})
    assert filled.counts() == before
    with pytest.raises(UsageError, match="already exists"):
        archive.export(filled, exported)
    with pytest.raises(UsageError, match="no such file"):
        archive.restore(tmp_path / "nowhere", empty, {})


def test_an_export_is_of_one_instant_while_another_writes(
    catalog: Catalog, generation: Generation, tmp_path: Path
) -> None:
    done = threading.Event()

    def write() -> None:
        for number in range(25):
            put(catalog, generation, f"/media/photos/{number}.jpg")
        done.set()

    put(catalog, generation, "/media/photos/first.jpg")
    thread = threading.Thread(target=write)
    thread.start()
    exports: list[Path] = []
    while not done.is_set() or not exports:
        exports.append(tmp_path / f"{len(exports)}.seehear")
        archive.export(catalog, exports[-1])
    thread.join()
    sizes = []
    for number, path in enumerate(exports):
        again = Catalog.open(tmp_path / f"again-{number}")
        manifest = archive.restore(path, again, {})
        counts = again.counts()
        assert manifest.assets == counts.assets == counts.segments == counts.locations
        assert again.integrity_issues() == []
        sizes.append(counts.assets)
        again.close()
    assert sizes == sorted(sizes)
    assert catalog.counts().assets == 26
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_an_archive_cut_anywhere_or_altered_is_refused(
    exported: Path, empty: Catalog, tmp_path: Path
) -> None:
    data = exported.read_bytes()
    size = len(data)
    damaged = tmp_path / "damaged"
    cuts = [0, 1, 511, 512, 600, 1024, 1536, 2048, 5000, size // 2, size - 11_000]
    for cut in cuts:
        damaged.write_bytes(data[:cut])
        with pytest.raises(SeehearError, match=r"incomplete|not an export"):
            archive.restore(damaged, empty, {})
    start = data.index(b"SQLite format 3")
    for place in (start + 30, start + 4096 * 3 + 7, start + 4096 * 9 + 100):
        altered = bytearray(data)
        altered[place] ^= 1
        damaged.write_bytes(altered)
        with pytest.raises(StoreError, match="incomplete or damaged"):
            archive.restore(damaged, empty, {})
    for junk in (b"no archive at all" * 100, b"\0" * 20_000, b"PK\3\4" + bytes(1000)):
        damaged.write_bytes(junk)
        with pytest.raises(SeehearError, match=r"not an export|incomplete"):
            archive.restore(damaged, empty, {})
    assert empty.locations.roots() == []
    assert os.listdir(tmp_path / "elsewhere")  # noqa: PTH208
    assert not list((tmp_path / "elsewhere").glob(".seehear-*"))


def renamed(found: Members, name: str) -> Members:
    found[1][0].name = name
    return found


def linked(found: Members) -> Members:
    found[1][0].type, found[1][0].linkname = tarfile.SYMTYPE, "/etc/passwd"
    return found


UNSAFE: dict[str, Callable[[Members], Members]] = {
    "a path out of the folder": lambda found: renamed(found, "../catalog.db"),
    "an absolute path": lambda found: renamed(found, "/tmp/catalog.db"),
    "a link": linked,
    "one file more": lambda found: [*found, (tarfile.TarInfo("extra"), b"x")],
    "no manifest": lambda found: found[1:],
    "the other way round": lambda found: found[::-1],
    "a manifest that is no JSON": lambda found: [(found[0][0], b"{"), found[1]],
    "a manifest nested without end": lambda found: [(found[0][0], b"[" * 100_000), found[1]],
    "a manifest of another kind": lambda found: told(found, magic="tar"),
    "a manifest with more in it": lambda found: told(found, run="rm"),
    "a size that is none": lambda found: told(found, size_bytes="1"),
    "a huge manifest": lambda found: [(found[0][0], b" " * (2 << 20)), found[1]],
}


@pytest.mark.parametrize("case", UNSAFE)
def test_unsafe_archives_are_refused(
    case: str, exported: Path, empty: Catalog, tmp_path: Path
) -> None:
    unsafe = packed(tmp_path / "unsafe", UNSAFE[case](members(exported)))
    with pytest.raises(SeehearError, match=r"not an export|more than a|incomplete|not imp"):
        archive.restore(unsafe, empty, {})
    assert empty.locations.roots() == []
    assert not (tmp_path / "catalog.db").exists()


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("CREATE TRIGGER evil AFTER INSERT ON assets BEGIN DELETE FROM roots; END", "trigger"),
        ("CREATE VIEW evil AS SELECT 1", "view"),
        ("CREATE VIRTUAL TABLE evil USING fts5(x)", "more than a catalog"),
        ("DROP TABLE alembic_version", "alembic_version of its catalog is missing"),
        ("DELETE FROM vectors", "damaged"),
        ("UPDATE locations SET asset_id = 99", "damaged"),
    ],
)
def test_a_catalog_that_is_more_or_less_than_one_is_refused(
    statement: str, words: str, exported: Path, empty: Catalog, tmp_path: Path
) -> None:
    evil = with_catalog(exported, tmp_path / "evil", lambda database: database.execute(statement))
    with pytest.raises(StoreError, match=words):
        archive.restore(evil, empty, {})
    assert empty.locations.roots() == []


def test_newer_archives_are_refused_and_older_ones_migrated(
    exported: Path, empty: Catalog, tmp_path: Path
) -> None:
    newer = packed(tmp_path / "newer", told(members(exported), schema="9999"))
    with pytest.raises(SchemaVersionError, match="update seehear"):
        archive.restore(newer, empty, {})
    newer = packed(tmp_path / "layout", told(members(exported), layout=2))
    with pytest.raises(SchemaVersionError, match="update seehear"):
        archive.restore(newer, empty, {})
    hidden = with_catalog(
        exported,
        tmp_path / "hidden",
        lambda database: database.execute("UPDATE alembic_version SET version_num = '9999'"),
    )
    with pytest.raises(SchemaVersionError, match="update seehear"):
        archive.restore(hidden, empty, {})
    schemas.restore("0001", tmp_path / "old")
    data = (tmp_path / "old" / "catalog.db").read_bytes()
    older = repacked(members(exported), data, tmp_path / "older", schema="0001")
    archive.restore(older, empty, {ROOT: Path("/new")})
    assert [root.path for root in empty.locations.roots()] == [Path("/new")]
    assert empty.counts().assets == 6

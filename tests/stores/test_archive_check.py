"""An archive that is altered is refused in one line, even if all its digests fit."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from seehear.errors import SeehearError
from seehear.stores import Catalog, Remark, archive
from tests.stores.archives import members, packed, renew_checksums, told, with_catalog
from tests.stores.conftest import fill, start_generation

MANIFESTS: dict[str, dict[str, object]] = {
    "a size that is negative": {"size_bytes": -1},
    "a size that is true": {"size_bytes": True},
    "a digest of another length": {"digest": "ab"},
    "a digest that is a list": {"digest": ["a"]},
    "a model with an escape sequence": {"model": "\x1b]52;c;aGk=\x07"},
    "a model of two lines": {"model": "tiny\nrm"},
    "a model that is a number": {"model": 5},
    "a count that is a text": {"assets": "6"},
    "a count that is no whole number": {"assets": 6.5},
    "roots that are a text": {"roots": "/media"},
    "a root that is a number": {"roots": [1]},
    "a root that turns text round": {"roots": ["/media/\u202egnp.exe"]},
    "a time that is none": {"exported_at": "yesterday"},
    "a schema that is a path": {"schema": "../1"},
    "a schema that is none": {"schema": "0000"},
    "a schema that is another": {"schema": "0001"},
    "a layout that is true": {"layout": True},
}

SCHEMAS = {
    "a column more": "ALTER TABLE assets ADD COLUMN more TEXT",
    "a generated column": "ALTER TABLE assets ADD COLUMN twice GENERATED ALWAYS AS (id * 2)",
    "a column less": "ALTER TABLE roots DROP COLUMN inode",
    "a column of another name": "ALTER TABLE generation_blobs RENAME COLUMN data TO blob",
    "a table more": "CREATE TABLE more (id INTEGER)",
    "a table less": "DROP TABLE generation_blobs",
    "a trigger": "CREATE TRIGGER more AFTER INSERT ON roots BEGIN DELETE FROM assets; END",
    "a view": "CREATE VIEW more AS SELECT 1",
    "a view that never ends": "DROP TABLE alembic_version; CREATE VIEW alembic_version AS WITH "
    "RECURSIVE n(version_num) AS (SELECT 1 UNION ALL SELECT version_num + 1 FROM n) "
    "SELECT * FROM n",
    "an index more": "CREATE INDEX more ON assets (format)",
    "an index on an expression": "CREATE INDEX more ON assets (abs(size_bytes))",
    "an index less": "DROP INDEX locations_by_root",
    "an index of another kind": "DROP INDEX locations_by_root; "
    "CREATE UNIQUE INDEX locations_by_root ON locations (root_id, id)",
    "a table without its key": "CREATE TABLE r2 AS SELECT * FROM removals; DROP TABLE removals; "
    "ALTER TABLE r2 RENAME TO removals",
    "a check": "CREATE TABLE c2 (name VARCHAR(32) NOT NULL PRIMARY KEY, value BIGINT NOT NULL "
    "CHECK (value > 0)); INSERT INTO c2 SELECT * FROM counters; DROP TABLE counters; "
    "ALTER TABLE c2 RENAME TO counters",
    "a default": "CREATE TABLE c2 (name VARCHAR(32) NOT NULL PRIMARY KEY, value BIGINT NOT NULL "
    "DEFAULT 1); INSERT INTO c2 SELECT * FROM counters; DROP TABLE counters; "
    "ALTER TABLE c2 RENAME TO counters",
    "a virtual table": "CREATE VIRTUAL TABLE more USING fts5(x)",
}

VALUES = {
    "a path outside its root": "UPDATE locations SET path = CAST('/etc/passwd' AS BLOB), "
    "name = 'passwd', shown = '/etc/passwd', folders = '/etc/' WHERE id = 1",
    "a path that climbs": "UPDATE locations SET path = path || CAST('/../../../etc' AS BLOB)",
    "a path that is relative": "UPDATE roots SET path = CAST('media/photos' AS BLOB)",
    "a path with a null": "UPDATE failures SET path = CAST('/media/photos/a' AS BLOB) || x'00' "
    "WHERE id = 1",
    "a path that is text": "UPDATE roots SET path = '/media/photos'",
    "a name that is not the path's": "UPDATE locations SET name = 'other.jpg' WHERE id = 1",
    "a hash that is a path": "UPDATE assets SET content_hash = '../../x' WHERE id = 1",
    "a hash in capitals": "UPDATE assets SET content_hash = upper(content_hash) WHERE id = 1",
    "a kind that is none": "UPDATE assets SET modality = 'program' WHERE id = 1",
    "a format of two lines": "UPDATE assets SET format = 'jp' || char(10) || 'eg' WHERE id = 1",
    "a size below nothing": "UPDATE assets SET size_bytes = -5 WHERE id = 1",
    "a width that is a text": "UPDATE assets SET width_px = 'wide' WHERE id = 1",
    "a duration without end": "UPDATE assets SET duration_s = 9e999 WHERE id = 3",
    "a time that is none": "UPDATE assets SET taken_at = 'yesterday' WHERE id = 1",
    "a day that is none": "UPDATE assets SET taken_at = '2024-13-45 00:00:00.000000' WHERE id = 1",
    "details that are no JSON": "UPDATE assets SET details = '{' WHERE id = 1",
    "details that are a list": "UPDATE assets SET details = '[1]' WHERE id = 1",
    "details that hold a list": """UPDATE assets SET details = '{"title": ["a"]}' WHERE id = 1""",
    "details that are not finite": """UPDATE assets SET details = '{"iso": NaN}' WHERE id = 1""",
    "details that are nested": "UPDATE assets SET details = "
    "replace(hex(zeroblob(50000)), '0', '[')",
    "a start that is not finite": "UPDATE segments SET start_s = -9e999 WHERE id = 3",
    "a start that is negative": "UPDATE segments SET start_s = -1.0 WHERE id = 3",
    "a stop before the start": "UPDATE segments SET start_s = 9.0, stop_s = 3.0 WHERE id = 3",
    "a stop without a start": "UPDATE segments SET start_s = NULL WHERE id = 3",
    "a time that is a text": "UPDATE segments SET start_s = 'soon', stop_s = 'later' WHERE id = 3",
    "a passage that is bytes": "UPDATE segments SET text = x'ff00' WHERE text LIKE '%fox%'",
    "an order below nothing": "UPDATE segments SET ordinal = -2 WHERE id = 3",
    "a time of nothing": "UPDATE segments SET ordinal = -1 WHERE id = 3",
    "a passage of nothing": "UPDATE segments SET ordinal = -1 WHERE text LIKE '%fox%'",
    "a vector of nothing": "UPDATE segments SET ordinal = -1, start_s = NULL, stop_s = NULL, "
    "text = NULL, page = NULL WHERE id = (SELECT min(segment_id) FROM vectors)",
    "a page of nothing": "UPDATE segments SET ordinal = -1, start_s = NULL, stop_s = NULL, "
    "text = NULL, page = 3 WHERE id = 3; DELETE FROM vectors WHERE segment_id = 3",
    "a fingerprint that is a text": "INSERT INTO fingerprints VALUES (1, 1, 'same')",
    "a fingerprint of no asset": "INSERT INTO fingerprints VALUES (99, 1, x'01')",
    "a fingerprint of no version": "INSERT INTO fingerprints VALUES (1, -1, x'01')",
    "a vector of NaN": "UPDATE vectors SET data = x'007e007e007e007e007e007e007e007e'",
    "a vector without end": "UPDATE vectors SET data = x'007c007c007c007c007c007c007c007c'",
    "a vector of zeros": "UPDATE vectors SET data = zeroblob(16) WHERE segment_id = 1",
    "a vector that is long": "UPDATE vectors SET data = x'ff7bff7bff7bff7bff7bff7bff7bff7b'",
    "a vector that is short": "UPDATE vectors SET data = x'003c' WHERE segment_id = 1",
    "a vector that is text": "UPDATE vectors SET data = 'sixteen letters!' WHERE segment_id = 1",
    "a dimension that is huge": "UPDATE spaces SET dim = 1000000000",
    "a dimension of nothing": "UPDATE spaces SET dim = 0",
    "a change from the future": "UPDATE vectors SET change = 99999",
    "a counter that is a text": "UPDATE counters SET value = 'x' WHERE name = 'change'",
    "a counter more": "INSERT INTO counters VALUES ('more', 1)",
    "a counter less": "DELETE FROM counters WHERE name = 'identity'",
    "a model with an escape sequence": "UPDATE generations SET model = char(27) || '[31m'",
    "a model that is bytes": "UPDATE generations SET model = x'ff'",
    "a state that is none": "UPDATE generations SET state = 'evil'",
    "a space without a name": "UPDATE spaces SET name = ''",
    "a stage of two lines": "UPDATE failures SET stage = 'de' || char(10)",
    "a flag that is more": "UPDATE roots SET online = 7",
    "a setting that is no JSON": "INSERT INTO settings VALUES ('readers', '{')",
    "subtitles of a photo": "UPDATE locations SET sidecar_of = 1 WHERE id = 5",
    "an asset that is missing": "UPDATE locations SET asset_id = 99 WHERE id = 1",
    "a segment of no asset": "UPDATE segments SET asset_id = 99 WHERE id = 1",
    "text that is not Unicode": "UPDATE segments SET text = CAST(x'66ff' AS TEXT) WHERE id = 8",
    "a version that is another": "UPDATE alembic_version SET version_num = '0003'",
    "two versions": "INSERT INTO alembic_version VALUES ('0001')",
}


def refused(target: Path, empty: Catalog, match: str = r"^\S+ (was not imported|contains)") -> None:
    """One line, nothing imported and nothing left behind."""
    before = sorted(path.name for path in empty.folder.iterdir())
    with pytest.raises(SeehearError, match=match) as caught:
        archive.restore(target, empty, {})
    assert str(caught.value).isprintable(), "one line, without control characters"
    assert "\u202e" not in str(caught.value)
    assert (empty.counts().assets, empty.locations.roots(), empty.generations.all()) == (0, [], [])
    assert sorted(path.name for path in empty.folder.iterdir()) == before


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export with a file that failed, one that is not read, and a blob."""
    place = tmp_path_factory.mktemp("whole")
    catalog = Catalog.open(place / "collection")
    fill(catalog, start_generation(catalog))
    (root,) = catalog.locations.roots()
    with catalog.batch() as batch:
        batch.put_failure(root.id, root.path / "broken.jpg", "decode", "it is cut off", 5, 6)
        batch.put_failure(root.id, root.path / "a.doc", Remark.KIND, ".doc", 5, 6)
    catalog.generations.put_blobs(1, {"text>image": b"abc"})
    archive.export(catalog, place / "whole")
    catalog.close()
    return place / "whole"


def test_what_is_not_altered_is_imported(whole: Path, empty: Catalog, tmp_path: Path) -> None:
    again = with_catalog(whole, tmp_path / "again", renew_checksums)
    archive.restore(again, empty, {})
    assert empty.counts().assets == 6
    assert len(empty.locations.failures()) == 1
    assert empty.generations.blob(1, "text>image") is None, "computed again, not believed"


@pytest.mark.parametrize("case", MANIFESTS)
def test_a_manifest_that_is_altered(case: str, whole: Path, empty: Catalog, tmp_path: Path) -> None:
    altered = packed(tmp_path / "altered", told(members(whole), **MANIFESTS[case]))
    refused(
        altered, empty, r"was not imported|is not an export|incomplete or damaged|newer seehear"
    )


def altered_by(statements: str) -> Callable[[sqlite3.Connection], None]:
    def alter(database: sqlite3.Connection) -> None:
        before = database.total_changes
        for statement in statements.split(";"):
            if statement.strip():
                database.execute(statement if " BEGIN " not in statement else statements)
            if " BEGIN " in statement:
                break
        assert "UPDATE" not in statements.split(maxsplit=1)[0] or database.total_changes > before
        if statements in VALUES.values() and "not Unicode" not in statements:
            try:
                renew_checksums(database)
            except sqlite3.Error:  # of another type, or longer than a number
                return

    return alter


@pytest.mark.parametrize("case", SCHEMAS)
def test_a_schema_that_is_altered(case: str, whole: Path, empty: Catalog, tmp_path: Path) -> None:
    refused(with_catalog(whole, tmp_path / "altered", altered_by(SCHEMAS[case])), empty)


@pytest.mark.parametrize("case", VALUES)
def test_a_value_that_is_altered(case: str, whole: Path, empty: Catalog, tmp_path: Path) -> None:
    refused(with_catalog(whole, tmp_path / "altered", altered_by(VALUES[case])), empty)

"""Test what an index run reads of a root: by path, by part, and one location after another."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from sqlalchemy import event, select, text

from seehear.stores import Catalog, Generation, KnownFile
from seehear.stores.catalog.schema import locations
from seehear.types import MediaInfo, Modality
from tests.stores.conftest import ROOT, both_databases, put

AT = 1_700_000_000 * 10**9


@both_databases
def test_files_are_known_by_path_in_their_own_root(filled: Catalog, generation: Generation) -> None:
    root, other = filled.locations.add_root(ROOT), filled.locations.add_root(Path("/media/other"))
    odd = "/media/photos/caf\udce9 1.jpg"
    asset = put(filled, generation, odd, content="odd", size_bytes=7)
    asked = [odd, *(f"/media/photos/none-{number}" for number in range(700))]
    asked.append("/media/photos/winter/snow.png")
    found = filled.locations.known(root.id, generation.id, asked)
    assert sorted(found) == sorted([odd, "/media/photos/winter/snow.png"])
    assert found[odd] == KnownFile(found[odd].id, asset, 7, AT, 1, True)
    assert filled.locations.known(other.id, generation.id, asked) == {}
    assert filled.locations.known(root.id, generation.id, []) == {}
    # Another generation has not encoded it.
    building = filled.generations.create("next", "1", generation.spaces)
    assert not filled.locations.known(root.id, building.id, [odd])[odd].encoded


@both_databases
def test_a_part_of_a_root_is_what_lies_at_a_path_and_below_it(
    filled: Catalog, generation: Generation
) -> None:
    root = filled.locations.add_root(ROOT)
    for path in ("/media/photos/winter.jpg", "/media/photos/winter 2/a.jpg"):
        put(filled, generation, path)  # before and after "winter/" in the order of bytes
    places = list(filled.locations.scan(root.id))
    assert [place.id for place in places] == sorted(place.id for place in places)
    assert len(places) == filled.locations.count(root.id) == filled.counts().locations == 8
    parts = {"winter": ["winter/snow.png"], "winter.jpg": ["winter.jpg"], "film": []}
    for name, wanted in parts.items():
        below = filled.locations.scan(root.id, ROOT / name)
        assert [Path(place.path).relative_to(ROOT).as_posix() for place in below] == wanted
        assert filled.locations.count(root.id, ROOT / name) == len(wanted)
    assert filled.locations.count(filled.locations.add_root(Path("/media")).id, ROOT) == 0


def test_sqlite_goes_by_the_paths(filled: Catalog, generation: Generation) -> None:
    """And not through the whole root, of which it expects less than there is."""
    root, seen = filled.locations.add_root(ROOT), []
    event.listen(
        filled.engine, "before_cursor_execute", lambda *given: seen.append((given[2], given[3]))
    )
    filled.locations.known(root.id, generation.id, ["/media/photos/a", "/media/photos/b"])
    filled.locations.count(root.id, ROOT / "winter")
    list(filled.locations.scan(root.id, ROOT / "winter"))
    with filled.engine.connect() as connection:
        for statement, parameters in [entry for entry in seen if "locations" in entry[0]]:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            used = " ".join(row[-1] for row in plan if "encodings" not in row[-1])
            assert "sqlite_autoindex_locations_1 (path" in used
            assert "locations_by_root" not in used


@both_databases
def test_subtitles_are_joined_and_parted(filled: Catalog, generation: Generation) -> None:
    root = filled.locations.add_root(ROOT)
    film = MediaInfo(Modality.VIDEO, "mp4", duration_s=9.0)
    subtitle, note = MediaInfo(Modality.TEXT, "srt"), MediaInfo(Modality.TEXT, "txt")
    made = {
        name: put(filled, generation, f"/media/photos/films/{name}", info)
        for name, info in {
            "Night.MKV": film, "night.en.SRT": subtitle, "night.vtt": subtitle,
            "night.txt": note, "day.srt": subtitle, "s.srt": subtitle,
        }.items()
    }  # fmt: skip
    elsewhere = put(filled, generation, "/media/photos/more/night.srt", subtitle)

    def joined() -> dict[int, int | None]:
        with filled.batch() as batch:
            batch.set_sidecars(root.id)
        with filled.engine.connect() as connection:
            rows = connection.execute(select(locations.c.asset_id, locations.c.sidecar_of))
            return {int(row[0]): row[1] for row in rows}

    found = joined()
    night = made["Night.MKV"]
    assert {asset for asset, video in found.items() if video == night} == {
        made["night.en.SRT"],
        made["night.vtt"],
    }
    assert found[elsewhere] is None
    assert joined() == found
    # The film goes: what lay beside it stands for itself again.
    known = filled.locations.known(root.id, generation.id, ["/media/photos/films/Night.MKV"])
    with filled.batch() as batch:
        batch.remove_location(next(iter(known.values())).id)
    assert night not in joined().values()


def test_subtitles_that_stay_are_not_written_again(filled: Catalog) -> None:
    """An index run that finds nothing changed writes nothing to them."""
    root = filled.locations.add_root(ROOT)
    with filled.engine.connect() as connection:
        connection.execute(
            text(
                "CREATE TRIGGER none BEFORE UPDATE ON locations BEGIN SELECT RAISE(FAIL, 'no'); END"
            )
        )
        connection.commit()
    with filled.batch() as batch:
        batch.set_sidecars(root.id)


@both_databases
def test_a_reading_that_is_left_halfway_holds_nothing_up(filled: Catalog) -> None:
    root = filled.locations.add_root(ROOT)
    with closing(filled.locations.scan(root.id)) as places:
        assert next(places).path == "/media/photos/2024/IMG_2041.jpg"
    filled.locations.set_online(root.id, False)
    assert [root.online for root in filled.locations.roots()] == [False]

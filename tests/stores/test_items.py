"""Fields of items are compared exactly, in both databases, and items come all or none."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from seehear.errors import SpaceMismatchError, StoreError, UnknownItemError, UsageError
from seehear.search import parse_where
from seehear.stores import Catalog, Generation, NewContent, NewItem, archive
from seehear.stores.catalog.items import item_hash
from seehear.types import EmbeddingSpace, MediaInfo, Modality, Segment, item_id, item_path
from tests.stores.conftest import SPACE, both_databases, put, unit

FIELDS: dict[str, Mapping[str, Any]] = {
    "dear": {"price": 120.5, "colour": "red", "sold": False, "tags_": ["old", "round"]},
    "blue": {"price": 80, "colour": "Blue", "sold": True, "seen": date(2024, 6, 1)},
    "cheap": {"price": -1, "colour": "blue", "seen": datetime(2024, 6, 1, 23, 59, 59, 999_999)},
    "big": {"price": 2**53, "tags_": ["old; round", "OLD"]},
    "zoned": {"seen": datetime(2024, 6, 2, 1, tzinfo=UTC), "colour": "100% blue_ish"},
    "bare": {},
}


def item(key: str, fields: Mapping[str, Any] | None = None, seed: int = 1) -> NewItem:
    rows = unit(seed)
    content = NewContent(
        item_hash(key),
        3,
        MediaInfo(Modality.IMAGE, "vector"),
        [Segment(Modality.IMAGE)],
        {SPACE: ([0], rows)},
    )
    return NewItem(key, content, fields or {}, "media", b"abc")


def filled(catalog: Catalog, generation: Generation) -> Catalog:
    catalog.items.put(generation.id, [[item(key, fields) for key, fields in FIELDS.items()]])
    return catalog


def found(catalog: Catalog, where: str) -> list[str]:
    return [
        one.id for one in catalog.items.page(0, 100, parse_where(where, own=catalog.items.fields))
    ]


WANTED = {
    "price < 100": "blue cheap",
    "price >= 80 and price <= 120.5": "dear blue",
    "price between 80 and 120.5": "dear blue",
    "price = -1": "cheap",
    "price != 80": "dear cheap big",
    "PRICE = 9007199254740992": "big",
    "price > 100 and colour = red": "dear",
    "colour = BLUE": "blue cheap",
    "colour != blue": "dear zoned",
    "not colour = blue": "dear big zoned bare",
    "colour ~ blue": "blue cheap zoned",
    "colour ~ '100% *_ish'": "zoned",
    "colour !~ blue": "dear",
    "colour in (red, green)": "dear",
    "colour not in (red, blue)": "big zoned bare",
    "has colour": "dear blue cheap zoned",
    "not has price": "zoned bare",
    "sold = true": "blue",
    "sold = no": "dear",
    "sold != true": "dear",
    "tags_ = old": "dear big",
    "tags_ = 'old; round'": "big",
    "tags_ != round": "big",
    "tags_ ~ 'o*d'": "dear big",
    "seen = 2024-06-01": "blue cheap",
    "seen > 2024-06-01": "zoned",
    "seen < 2024-06-01T12": "blue",
    "seen = 2024-06-02T01": "zoned",
    "seen != 2024-06-01": "dear big zoned bare",
    "type = image and price < 0": "cheap",
    "price < 0 or has tags_": "dear cheap big",
}


@both_databases
def test_a_filter_finds_these_and_no_others(catalog: Catalog, generation: Generation) -> None:
    filled(catalog, generation)
    assert {where: " ".join(found(catalog, where)) for where in WANTED} == WANTED


def test_a_filter_that_does_not_fit_the_field(catalog: Catalog, generation: Generation) -> None:
    filled(catalog, generation)
    for where, told in {
        "prize < 3": 'No field "prize" .* Did you mean .*price',
        "price = cheap": '"cheap" .* is not a number',
        "price ~ 3": "price cannot be compared with ~",
        "sold = perhaps": '"perhaps" .* is not true or false',
        "sold < true": "sold cannot be compared with <",
        "seen = soon": '"soon" .* is not a date',
        "colour < red": "colour cannot be compared with <",
    }.items():
        with pytest.raises(UsageError, match=told):
            found(catalog, where)


@both_databases
def test_fields_come_back_as_they_were_given(catalog: Catalog, generation: Generation) -> None:
    filled(catalog, generation)
    got = catalog.items.get([*FIELDS, "unknown"])
    assert {key: dict(one.fields) for key, one in got.items()} == FIELDS
    assert type(got["blue"].fields["price"]) is int
    assert type(got["blue"].fields["seen"]) is date
    assert catalog.items.count() == 6
    values = catalog.items.facet(catalog.items.fields()["colour"])
    assert (values.values[0].value, values.values[0].count) == ("Blue", 2)
    assert catalog.integrity_issues() == []
    assert catalog.damaged_encodings() == []


@both_databases
def test_what_does_not_fit_adds_nothing(catalog: Catalog, generation: Generation) -> None:
    filled(catalog, generation)
    before = (catalog.counts(), catalog.items.fields())
    for wrong in (
        item("dear"),
        item("new", {"price": "12"}),
        item("new", {"price": True}),
        item("new", {"sold": 1}),
        item("new", {"colour": ["red"]}),
        item("new", {"seen": "2024-06-01"}),
        item("new", {"Price": 3}),
    ):
        with pytest.raises(UsageError):
            catalog.items.put(generation.id, [[item("fits", {"new": 1}), wrong]])
        assert (catalog.counts(), catalog.items.fields()) == before, wrong


def test_a_vector_of_another_space_adds_nothing(catalog: Catalog, generation: Generation) -> None:
    other = EmbeddingSpace("other", "1", 8)
    wrong = NewContent(
        item_hash("x"), 0, MediaInfo(Modality.IMAGE, "vector"), [Segment(Modality.IMAGE)],
        {other: ([0], unit(1))},
    )  # fmt: skip
    with pytest.raises(SpaceMismatchError):
        catalog.items.put(generation.id, [[item("a"), NewItem("x", wrong, {})]])
    assert catalog.counts().assets == catalog.items.count() == 0


@both_databases
def test_a_field_without_values_may_take_another_type(
    catalog: Catalog, generation: Generation
) -> None:
    filled(catalog, generation)
    catalog.items.put_fields("dear", {"tags_": None, "colour": "green"})
    with pytest.raises(UsageError, match="tags_ is a texts, not a number"):
        catalog.items.put_fields("dear", {"tags_": 3})
    catalog.items.put_fields("big", {"tags_": None})
    catalog.items.put_fields("dear", {"tags_": 3})
    assert found(catalog, "tags_ < 4") == ["dear"]
    assert catalog.items.get(["dear"])["dear"].fields["colour"] == "green"
    with pytest.raises(UnknownItemError, match='no item has the id "none"'):
        catalog.items.put_fields("none", {"colour": "red"})


@both_databases
def test_replaced_and_removed(catalog: Catalog, generation: Generation) -> None:
    filled(catalog, generation)
    before = catalog.items.get(["dear"])["dear"]
    catalog.items.put(generation.id, [[item("dear", {"price": 1}), item("new")]], replace=True)
    after = catalog.items.get(["dear"])["dear"]
    assert (after.fields, after.added_at) == ({"price": 1}, before.added_at)
    assert after.changed_at > before.changed_at
    assert catalog.items.remove(["dear", "blue", "unknown"]) == 2
    assert list(catalog.items.get(list(FIELDS))) == ["cheap", "big", "zoned", "bare"]
    assert catalog.counts().assets == catalog.counts().segments == 5
    assert catalog.integrity_issues() == []


def test_items_and_files_do_not_touch_each_other(catalog: Catalog, generation: Generation) -> None:
    put(catalog, generation, "/media/photos/a.jpg")
    filled(catalog, generation)
    assert [root.path for root in catalog.locations.roots()] == [Path("/media/photos")]
    assert catalog.locations.folders() == [Path("/media/photos")]
    assert catalog.locations.remove(Path("/media/photos")) == 1
    assert catalog.counts().assets == len(FIELDS)
    with catalog.batch() as batch:
        assert batch.remove_orphans() == 0


@pytest.mark.parametrize(
    "key", ["a/b", "a//b", "..", ".", "%2F", "%", "a%25", "x.png", "ä b", "%2E"]
)
def test_an_id_is_read_from_its_path(key: str) -> None:
    assert item_id(item_path(key)) == key
    assert item_id(Path("/media/items:/x")) is None


def test_an_export_has_the_items(catalog: Catalog, generation: Generation, tmp_path: Path) -> None:
    put(catalog, generation, "/media/photos/a.jpg")
    filled(catalog, generation)
    archive.export(catalog, tmp_path / "all.seehear")
    other = Catalog.open(tmp_path / "other")
    archive.restore(tmp_path / "all.seehear", other, {Path("/media"): Path("/elsewhere")})
    assert other.items.get(list(FIELDS)) == catalog.items.get(list(FIELDS))
    assert found(other, "price < 100") == ["blue", "cheap"]
    assert other.generations.unencoded(generation.id) == []
    assert other.items.content(other.items.get(["dear"])["dear"].asset_id) == ("media", b"abc")
    other.close()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE item_values SET text = 'x' WHERE name = 'price'",
        "UPDATE item_values SET number = 7 WHERE name = 'price' AND text = '80'",
        "UPDATE item_values SET time = NULL WHERE name = 'seen'",
        "UPDATE item_fields SET type = 'number' WHERE name = 'colour'",
        "UPDATE item_fields SET type = 'thing' WHERE name = 'colour'",
        "UPDATE item_fields SET name = 'a b' WHERE name = 'colour'",
        "UPDATE items SET key = ''  || char(0) WHERE key = 'dear'",
    ],
)
def test_an_archive_with_values_that_no_field_has(
    catalog: Catalog, generation: Generation, tmp_path: Path, change: str
) -> None:
    filled(catalog, generation)
    with catalog.batch() as batch:
        batch.connection.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
        batch.connection.exec_driver_sql(change)
        if "'a b'" in change:
            moved = "UPDATE item_values SET name = 'a b' WHERE name = 'colour'"
            batch.connection.exec_driver_sql(moved)
    with pytest.raises(StoreError, match="was not exported"):
        archive.export(catalog, tmp_path / "all.seehear")

"""Keep what a program adds from memory: each item is an asset of its own, with an id and fields.

An item has no file. Its location lies below `paths.ITEMS`, a root that no scan meets.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Select, delete, func, insert, select, update

from seehear.errors import UnknownItemError, UsageError
from seehear.own_fields import (
    FieldType,
    FieldValue,
    OwnField,
    has_value,
    type_of,
    value_rows,
    values_from,
)
from seehear.stores.catalog.bulk_insert import NewContent
from seehear.stores.catalog.facets import FacetValues, merged, ranked_values
from seehear.stores.catalog.filter_sql import conditions, shown_ids
from seehear.stores.catalog.filters import Filter
from seehear.stores.catalog.records import RACY_INODE, Item, NewLocation
from seehear.stores.catalog.schema import (
    assets,
    encodings,
    item_fields,
    item_values,
    items,
    locations,
    roots,
)
from seehear.stores.catalog.statements import chunks
from seehear.stores.catalog.transactions import Transactions
from seehear.stores.catalog.words import WordIndexes
from seehear.stores.catalog.writer import Batch
from seehear.types import ITEMS, Modality, item_path

TEXT = "text"
"""The name of the content of an item that is a text."""


@dataclass(frozen=True, slots=True)
class NewItem:
    """An item to store. `content` has the hash that `item_hash` gives for its id."""

    key: str
    content: NewContent
    fields: Mapping[str, FieldValue]
    kept_name: str | None = None
    """What is kept of it: TEXT, or a file name; None for nothing."""
    kept: bytes | None = None


def item_hash(key: str) -> str:
    """Return the content hash of the asset of an item: no two items share an asset."""
    return hashlib.blake2b(b"item\0" + key.encode(), digest_size=32).hexdigest()


class Items:
    """The items of a catalog. Whoever writes holds the write lock."""

    def __init__(self, transactions: Transactions, words: WordIndexes) -> None:
        self._transactions = transactions
        self._words = words

    def fields(self) -> dict[str, OwnField]:
        """Return the fields that items have, by their name in lower case."""
        with self._transactions.read() as connection:
            return _fields(connection)

    def count(self) -> int:
        """Return the number of items."""
        with self._transactions.read() as connection:
            return int(connection.scalar(select(func.count()).select_from(items)) or 0)

    def get(self, keys: Sequence[str]) -> dict[str, Item]:
        """Return the items of some ids; unknown ids are left out."""
        found: dict[str, Item] = {}
        keys = [key for key in keys if key.isprintable()]  # no item has another
        with self._transactions.read() as connection:
            for chunk in chunks(keys):
                query = _ITEM.where(items.c.key.in_(chunk))
                found |= {item.id: item for item in _items(connection, query)}
        return found

    def page(self, after: int, most: int, where: Filter | None = None) -> list[Item]:
        """Return the next items by ascending asset id, of those behind an asset id."""
        query = _ITEM.where(items.c.asset_id > after)
        with self._transactions.read() as connection:
            if where is not None:
                met = conditions(None, where, partial(self._words.passages_with, connection))
                query = query.where(items.c.asset_id.in_(shown_ids(met)))
            return list(_items(connection, query.limit(most)))

    def known(self, keys: Sequence[str]) -> set[str]:
        """Return which ids are in use."""
        with self._transactions.read() as connection:
            return set(_asset_ids(connection, keys))

    def put(
        self, generation_id: int, blocks: Iterable[Sequence[NewItem]], *, replace: bool = False
    ) -> int:
        """Store items, a block at a time, in one transaction; return how many there were.

        `replace` replaces those whose id is in use. Raises UsageError for an id in use or twice and
        for a value of another type than its field has, SpaceMismatchError as `Batch.put_contents`,
        and whatever `blocks` raises: nothing is stored then.
        """
        now = datetime.now(UTC).replace(tzinfo=None)
        count = 0
        with self._transactions.batch() as batch:
            for new in blocks:
                self._put_block(batch, generation_id, new, now, replace=replace)
                count += len(new)
        return count

    def _put_block(
        self,
        batch: Batch,
        generation_id: int,
        new: Sequence[NewItem],
        now: datetime,
        *,
        replace: bool,
    ) -> None:
        connection = batch.connection
        given = Counter(item.key for item in new)
        known = _asset_ids(connection, list(given))
        times = _times(connection, known)
        for key, count in given.items():
            if count > 1 or (key in times and times[key][1] == now):  # in this block, or before
                raise id_twice(key)
        if known and not replace:
            raise ids_in_use(known)
        self._remove(batch, known)
        _declare(connection, {item.key: item.fields for item in new})
        root_id = _root(connection)
        lying = [
            [NewLocation(root_id, item_path(one.key), one.content.size_bytes, 0, RACY_INODE)]
            for one in new
        ]
        ids = batch.put_contents(generation_id, [item.content for item in new], lying)
        rows = [
            {
                "asset_id": asset_id,
                "key": item.key,
                "added_at": times.get(item.key, (now, now))[0],
                "changed_at": now,
                "content_name": item.kept_name,
                "content": item.kept,
            }
            for asset_id, item in zip(ids, new, strict=True)
        ]
        if rows:
            connection.execute(insert(items), rows)
        _put_values(connection, [(i, n.fields) for i, n in zip(ids, new, strict=True)])

    def put_fields(self, key: str, fields: Mapping[str, Any]) -> None:
        """Change fields of an item in one transaction; None removes a field.

        Raises UnknownItemError, and UsageError for a value of another type than its field has.
        """
        with self._transactions.batch() as batch:
            connection = batch.connection
            known = _asset_ids(connection, [key])
            if key not in known:
                raise no_item(key)
            asset_id = known[key]
            gone = delete(item_values).where(
                item_values.c.asset_id == asset_id, item_values.c.name.in_(list(fields))
            )
            connection.execute(gone)
            given = {name: value for name, value in fields.items() if has_value(value)}
            _declare(connection, {key: given})
            _put_values(connection, [(asset_id, given)])
            now = datetime.now(UTC).replace(tzinfo=None)
            connection.execute(
                update(items).where(items.c.asset_id == asset_id).values(changed_at=now)
            )

    def remove(self, keys: Sequence[str]) -> int:
        """Remove items in one transaction; return how many there were. Unknown ids are ignored."""
        with self._transactions.batch() as batch:
            known = _asset_ids(batch.connection, keys)
            self._remove(batch, known)
        return len(known)

    def content(self, asset_id: int) -> tuple[str, bytes] | None:
        """Return the name and the bytes of what is kept of an item; None for nothing."""
        query = select(items.c.content_name, items.c.content).where(items.c.asset_id == asset_id)
        with self._transactions.read() as connection:
            row = connection.execute(query).first()
        return None if row is None or row.content is None else (row.content_name, row.content)

    def without_content(self) -> list[str]:
        """Return the ids of items of which nothing is kept that a model could encode."""
        query = select(items.c.key).where(items.c.content.is_(None)).order_by(items.c.asset_id)
        with self._transactions.read() as connection:
            return list(connection.scalars(query))

    def unencoded(self, generation_id: int) -> list[tuple[int, str]]:
        """Return the asset id and the id of items with content that a generation lacks."""
        done = select(encodings.c.asset_id).where(
            encodings.c.generation_id == generation_id, encodings.c.damaged.is_(False)
        )
        query = select(items.c.asset_id, items.c.key).where(
            items.c.content.is_not(None), items.c.asset_id.not_in(done)
        )
        with self._transactions.read() as connection:
            rows = connection.execute(query.order_by(items.c.asset_id))
            return [(int(asset_id), key) for asset_id, key in rows]

    def facet(self, field: OwnField, top: int | None = None) -> FacetValues:
        """Return the values of a field with how many items have each, most frequent first."""
        query = (
            select(item_values.c.text, func.count())
            .where(item_values.c.name == field.name)
            .group_by(item_values.c.text)
        )
        with self._transactions.read() as connection:
            return ranked_values(field.name, merged(connection.execute(query)), top)

    @staticmethod
    def _remove(batch: Batch, known: Mapping[str, int]) -> None:
        for chunk in chunks(sorted(known.values())):
            lying = select(locations.c.id).where(locations.c.asset_id.in_(chunk))
            for id_ in batch.connection.scalars(lying).all():
                batch.remove_location(int(id_))
        batch.remove_assets(sorted(known.values()))


def ids_in_use(keys: Mapping[str, Any] | Sequence[str]) -> UsageError:
    first, *others = sorted(keys)
    what = f'the id "{first}" and {len(others)} more are' if others else f'the id "{first}" is'
    return UsageError(
        f"{what} in use: choose another one, or replace what has it (--replace, replace=True)"
    )


def id_twice(key: str) -> UsageError:
    return UsageError(f'the id "{key}" is given twice')


def no_item(key: str) -> UnknownItemError:
    return UnknownItemError(f'no item has the id "{key}"')


_ITEM = (
    select(
        items.c.asset_id,
        items.c.key,
        assets.c.modality,
        assets.c.format,
        items.c.added_at,
        items.c.changed_at,
        items.c.content_name,
    )
    .join(assets, assets.c.id == items.c.asset_id)
    .order_by(items.c.asset_id)
)


def _items(connection: Connection, query: Select[*tuple[Any, ...]]) -> Iterator[Item]:
    rows = connection.execute(query).all()
    ids = [int(row.asset_id) for row in rows]
    fields = _values(connection, ids)
    written = [int(row.asset_id) for row in rows if row.content_name == TEXT]
    texts: dict[int, str] = {}
    for chunk in chunks(written):
        found = select(items.c.asset_id, items.c.content).where(items.c.asset_id.in_(chunk))
        texts |= {int(id_): bytes(data).decode() for id_, data in connection.execute(found)}
    for row in rows:
        yield Item(
            id=row.key,
            asset_id=int(row.asset_id),
            modality=Modality(row.modality),
            format=row.format,
            fields=fields.get(int(row.asset_id), {}),
            text=texts.get(int(row.asset_id)),
            kept=row.content_name,
            added_at=row.added_at.replace(tzinfo=UTC),
            changed_at=row.changed_at.replace(tzinfo=UTC),
        )


def _values(connection: Connection, asset_ids: Sequence[int]) -> dict[int, dict[str, FieldValue]]:
    found: dict[int, dict[str, FieldValue]] = {}
    for chunk in chunks(asset_ids):
        rows = connection.execute(
            select(
                item_values.c.asset_id, item_values.c.name, item_fields.c.type, item_values.c.text
            )
            .join(item_fields, item_fields.c.name == item_values.c.name)
            .where(item_values.c.asset_id.in_(chunk))
            .order_by(item_values.c.asset_id, item_values.c.name, item_values.c.position)
        )
        for asset_id, group in groupby(rows, key=lambda row: row.asset_id):
            found[int(asset_id)] = values_from(row[1:] for row in group)
    return found


def _asset_ids(connection: Connection, keys: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    keys = [key for key in keys if key.isprintable()]  # no item has another
    for chunk in chunks(keys):
        query = select(items.c.key, items.c.asset_id).where(items.c.key.in_(chunk))
        found |= {key: int(id_) for key, id_ in connection.execute(query)}
    return found


def _times(
    connection: Connection, known: Mapping[str, int]
) -> dict[str, tuple[datetime, datetime]]:
    """Return when items were added and changed, by id."""
    found: dict[str, tuple[datetime, datetime]] = {}
    for chunk in chunks(sorted(known.values())):
        query = select(items.c.key, items.c.added_at, items.c.changed_at)
        rows = connection.execute(query.where(items.c.asset_id.in_(chunk)))
        found.update((row.key, (row.added_at, row.changed_at)) for row in rows)
    return found


def _fields(connection: Connection) -> dict[str, OwnField]:
    rows = connection.execute(select(item_fields))
    return {row.name.lower(): OwnField(row.name, FieldType(row.type)) for row in rows}


def _declare(connection: Connection, given: Mapping[str, Mapping[str, FieldValue]]) -> None:
    """Store the types of new fields of items, by id of item.

    Raises UsageError for a value that does not fit its field.
    """
    known_before = _fields(connection)
    known = dict(known_before)
    new: list[dict[str, str]] = []
    for key, fields in given.items():
        for name, value in fields.items():
            kind = type_of(name, value)
            field = known.get(name.lower())
            if field is None:
                known[name.lower()] = OwnField(name, kind)
                new.append({"name": name, "type": kind.value})
            elif field.name != name:
                raise UsageError(f"the field {name} is called {field.name} in this collection")
            elif field.type is not kind:
                if not _is_used(connection, name) and known_before.get(name.lower()) is field:
                    known[name.lower()] = OwnField(name, kind)
                    connection.execute(
                        update(item_fields).where(item_fields.c.name == name).values(type=kind)
                    )
                    continue
                raise UsageError(
                    f"the field {name} is a {field.type}, not a {kind}: {value!r:.60} "
                    f'(of the item "{key}")'
                )
    if new:
        connection.execute(insert(item_fields), new)


def _is_used(connection: Connection, name: str) -> bool:
    query = select(item_values.c.asset_id).where(item_values.c.name == name).limit(1)
    return connection.execute(query).first() is not None


def _put_values(
    connection: Connection, given: Sequence[tuple[int, Mapping[str, FieldValue]]]
) -> None:
    rows = [row for asset_id, fields in given for row in value_rows(asset_id, fields)]
    if rows:
        connection.execute(insert(item_values), rows)


def _root(connection: Connection) -> int:
    path = ITEMS.encode()
    id_ = connection.scalar(select(roots.c.id).where(roots.c.path == path))
    if id_ is None:
        made = connection.execute(insert(roots).values(path=path, online=True))
        id_ = made.inserted_primary_key[0]  # type: ignore[index]
    return int(id_)

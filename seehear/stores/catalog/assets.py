"""Query the catalog's assets."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from sqlalchemy import func, select

from seehear.stores.catalog import facets, listing, reader
from seehear.stores.catalog.filter_sql import conditions, shown_as, shown_ids
from seehear.stores.catalog.filters import Filter
from seehear.stores.catalog.schema import assets, fingerprints, locations, roots, segments
from seehear.stores.catalog.statements import rows_of
from seehear.stores.catalog.transactions import Transactions
from seehear.stores.catalog.words import WordIndexes
from seehear.types import Asset, Modality


class Assets:
    """The assets of a catalog."""

    def __init__(self, transactions: Transactions, words: WordIndexes) -> None:
        self._transactions = transactions
        self._words = words

    def find(self, content_hash: str) -> Asset | None:
        """Return the asset with that content, or None."""
        with self._transactions.read() as connection:
            return reader.asset_of(connection, assets.c.content_hash == content_hash)

    def get(self, asset_id: int) -> Asset | None:
        """Return the asset of that id, or None."""
        with self._transactions.read() as connection:
            return reader.asset_of(connection, assets.c.id == asset_id)

    def get_many(self, asset_ids: Sequence[int]) -> dict[int, Asset]:
        """Return the assets of some ids; unknown ids are left out."""
        with self._transactions.read() as connection:
            rows = rows_of(connection, "plain_assets", asset_ids)
            return {
                id_: Asset(id_, content_hash, Modality(kind), *rest)
                for id_, content_hash, kind, *rest in rows
            }

    def listing(
        self,
        kinds: frozenset[Modality] | None = None,
        under: Path | None = None,
        where: Filter | None = None,
    ) -> listing.AssetListing:
        """Return all assets that meet every given condition, with their dates and folders."""
        with self._transactions.read() as connection:
            met = conditions(under, where, partial(self._words.passages_with, connection))
            if kinds is not None:
                met.append(shown_as(kinds))
            return listing.listing_of(connection, met)

    def listing_mark(self) -> tuple[int, ...]:
        """Return numbers that change with every file that comes, goes, moves or is touched."""
        touched = func.sum(locations.c.modified_ns % 1_000_003)  # the sum of whole ones overflows
        with self._transactions.read() as connection:
            change = reader.counter(connection, "change")
            row = connection.execute(select(func.count(), func.max(locations.c.id), touched)).one()
            return (change, *(int(value or 0) for value in row))

    def first_segments(self, asset_ids: Sequence[int], generation_id: int) -> dict[int, int]:
        """Return the id of the first segment with content of each of some assets, by asset."""
        query = (
            select(segments.c.asset_id, func.min(segments.c.id))
            .where(
                segments.c.asset_id.in_(list(asset_ids)),
                segments.c.generation_id == generation_id,
                segments.c.ordinal >= 0,
            )
            .group_by(segments.c.asset_id)
        )
        with self._transactions.read() as connection:
            return {int(asset): int(segment) for asset, segment in connection.execute(query)}

    def count(self) -> int:
        """Return the number of assets."""
        with self._transactions.read() as connection:
            return reader.count(connection, assets)

    def page(
        self,
        after: int,
        most: int,
        kinds: frozenset[Modality] | None = None,
        under: Path | None = None,
        where: Filter | None = None,
    ) -> list[Asset]:
        """Return the next assets by ascending id, of those behind an id that meet conditions."""
        query = select(assets).where(assets.c.id > after).order_by(assets.c.id).limit(most)
        if kinds is not None:
            query = query.where(assets.c.modality.in_(sorted(kinds)))
        with self._transactions.read() as connection:
            if under is not None or where is not None:
                met = conditions(under, where, partial(self._words.passages_with, connection))
                query = query.where(assets.c.id.in_(shown_ids(met)))
            return [reader.asset_from(row) for row in connection.execute(query)]

    def facet(self, facet: facets.Facet, top: int | None = None) -> facets.FacetValues:
        """Return the values of a facet with how many items have each, most frequent first."""
        with self._transactions.read() as connection:
            return facets.facet_values(connection, facet, top)

    def fingerprints(self, asset_ids: Sequence[int]) -> dict[int, bytes]:
        """Return the fingerprints of some assets, by id; those without one are left out."""
        with self._transactions.read() as connection:
            rows = rows_of(connection, "fingerprints", asset_ids)
            return {id_: bytes(data) for id_, data in rows}

    def without_fingerprint(self, version: int, root_ids: Sequence[int]) -> list[int]:
        """Return the assets with a file in one of these roots, but no fingerprint of a version."""
        done = select(fingerprints.c.asset_id).where(fingerprints.c.version == version)
        query = (
            select(locations.c.asset_id)
            .join(roots, roots.c.id == locations.c.root_id)
            .where(roots.c.online, roots.c.id.in_(root_ids), locations.c.asset_id.not_in(done))
            .distinct()
            .order_by(locations.c.asset_id)
        )
        with self._transactions.read() as connection:
            return [int(id_) for id_ in connection.scalars(query)]

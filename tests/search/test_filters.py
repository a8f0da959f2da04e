"""Every filter finds the same, as a list of ids and by checking what is near."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest

from seehear.search import snapshot as snapshots
from seehear.search.snapshot import CollectionSnapshot, WideFilter
from seehear.stores import Catalog, SegmentFilter, VectorCache
from seehear.types import Modality, Query
from tests.search.filtered import FILTERS, MODEL, SPACE, fill, near, samples


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CollectionSnapshot]:
    folder = tmp_path_factory.mktemp("filters") / "collection"
    with closing(Catalog.open(folder)) as catalog:
        generation = fill(catalog)
        cache = VectorCache(folder, catalog, generation)
        yield CollectionSnapshot(catalog, cache, generation, MODEL)


def as_wide(monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    """Check what is near, where a filter lets through as much as `share` of an index."""
    monkeypatch.setattr(snapshots, "WIDE_ABOVE", 0)
    monkeypatch.setattr(snapshots, "least_wide_share", lambda _: share)


@pytest.mark.parametrize("where", FILTERS)
def test_wide_and_narrow_filters_find_the_same(
    state: CollectionSnapshot, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "check_values", lambda *_: None)
    for kinds, share in ((None, 0.05), (None, 0.5), ({Modality.VIDEO, Modality.TEXT}, 0.05)):
        asked = Query((), where=where, modalities=frozenset(kinds) if kinds else None)
        exact = near(state, asked)
        with monkeypatch.context() as patch:
            as_wide(patch, share)
            wide = near(state, asked)
        for item in exact | wide:
            if any((found[item] >= 0).any() for found in (exact, wide) if item in found):
                np.testing.assert_array_equal(wide[item], exact[item])


def test_a_wide_filter_reads_no_list_of_ids(
    state: CollectionSnapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_wide(monkeypatch, 0.1)
    found = state.restricted(Query((), where="not name ~ '*7.*'"))
    assert all(isinstance(one, WideFilter) for one in found._allowed.values())
    monkeypatch.setattr(SegmentFilter, "ids", None)
    columns = found.segment_columns(found.nearest(samples(), SPACE, Modality.IMAGE, 10).ravel())
    assert len(columns) >= 10
    assert found.segment_columns([8]).ids.tolist() == []  # IMG_0007 does not meet it


@pytest.mark.parametrize("kind", list(Modality))
def test_kinds_alone_need_no_filter(state: CollectionSnapshot, kind: Modality) -> None:
    exact = near(state, Query((), where=f"kind = {kind.value}"))
    plain = near(state, Query((), modalities=frozenset({kind})))
    assert {item: ids.tolist() for item, ids in plain.items()} == {
        item: ids.tolist() for item, ids in exact.items()
    }

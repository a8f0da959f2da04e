"""What the writer leaves in the catalog for searches: the background of each route from words.

To fit one, a sample of the collection has to be read, which costs a first search more than all the
rest of it. What is kept says of which state of the collection and by which constants it was
fitted; of any other it is not believed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np

from seehear.encoders.base import Route
from seehear.search.calibration import baseline
from seehear.search.calibration.baseline import SimilarityBaseline
from seehear.types import Modality, Origin

LAYOUT = 4
"""Counted up where `fit_background` gives other values by the same constants."""
_NUMBERS = ("middle", "spread", "query_share", "hub_share", "count")


def name_of(query: Modality, item: Modality, origin: Origin | None = None) -> str:
    """The name under which the catalog keeps the background of a route."""
    return f"background/{query}/{origin or item}"


def to_bytes(background: SimilarityBaseline, change: int) -> bytes:
    """A background fitted after a change of the catalog, as bytes."""
    numbers = {name: getattr(background, name) for name in _NUMBERS}
    head = {"made": _fingerprint(background.route, change), "numbers": numbers}
    centres = np.stack([background.queries, background.items]).astype("<f4")
    return json.dumps(head).encode("ascii") + b"\n" + centres.tobytes()


def from_bytes(data: bytes, route: Route, change: int) -> SimilarityBaseline | None:
    """The background that bytes hold; None where it is not of this route and change."""
    head, _, rows = data.partition(b"\n")
    try:
        told = json.loads(head)
        if told["made"] != _fingerprint(route, change):
            return None
        queries, items = np.frombuffer(rows, dtype="<f4").reshape(2, route.space.dim)
        numbers = {name: float(told["numbers"][name]) for name in _NUMBERS}
        count = int(numbers.pop("count"))
    except (ValueError, KeyError, TypeError):
        return None
    return SimilarityBaseline(
        route, queries.astype(np.float32), items.astype(np.float32), **numbers, count=count
    )


def _fingerprint(route: Route, change: int) -> Mapping[str, object]:
    """All that a background depends on besides the model, which the generation stands for."""
    constants = {
        name: value
        for name, value in vars(baseline).items()
        if name.isupper() and isinstance(value, (int, float))
    }
    return {"layout": LAYOUT, "change": change, "space": route.space.key, "constants": constants}

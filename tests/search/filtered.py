"""A collection with every field that filters compare, and filters with every operator."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import insert

from seehear.encoders.base import SingleSpaceModel
from seehear.encoders.fake import FakeEncoder
from seehear.own_fields import FieldType, OwnField
from seehear.search.filter_text import parse_where
from seehear.search.snapshot import CollectionSnapshot
from seehear.stores import Catalog, Generation, NewContent, NewLocation
from seehear.stores.catalog.filters import Filter
from seehear.stores.catalog.schema import item_fields, item_values, items
from seehear.types import Ids, MediaInfo, Modality, Origin, Query, Segment, Vectors
from tests.stores.conftest import unit

ROOT = Path("/media/photos")
MODEL = SingleSpaceModel("fake", FakeEncoder())
(SPACE,) = MODEL.spaces_of(Modality.TEXT)
ASSETS = 400
DEPTH = 24

FILTERS = [
    "kind = image",
    "kind != audio",
    "format = png",
    "format ~ 'j*'",
    "name = 'IMG_0100.jpg'",
    "name ~ '*7.jpg'",
    "not name ~ '*7.jpg'",
    "folder = /media/photos/1",
    "folder ~ '*/3'",
    "taken >= 2020-02-01",
    "taken < 2020-02-01",
    "taken between 2020-02-01 and 2020-05-01",
    "modified > 2023-11-15",
    "size > 150kB",
    "size <= 2kB",
    "duration < 30",
    "width >= 800",
    "not width >= 800",
    "height = 480",
    "orientation = portrait",
    "camera = 'Canon EOS'",
    "camera ~ canon",
    "camera != 'Canon EOS'",
    "has camera",
    "tag = beach",
    "tag ~ 'b*'",
    "tag != beach",
    "has tag",
    "near(48.1, 11.6, 60)",
    "has place",
    "said ~ captain",
    "has subtitles",
    "not has subtitles",
    "stars >= 3",
    "stars != 3",
    "has stars",
    "(camera ~ canon or tag = snow) and size > 100kB",
    "not (kind = image and width < 800)",
    "name ~ 'nothing*'",
]


def info_of(n: int) -> tuple[MediaInfo, list[Segment]]:
    details = {"camera": ("Canon EOS", "Nikon Z")[n % 2]} if n % 3 else {}
    if n % 4:
        details["keywords"] = ("beach", "beach; snow", "bear")[n % 3]
    kind = n % 10
    if kind == 7:
        return MediaInfo(Modality.AUDIO, "wav", duration_s=20.0 + n % 40, details=details), [
            Segment(Modality.AUDIO, float(at), at + 10.0) for at in (0, 5, 10)
        ]
    if kind == 8:
        both = [Segment(kind, 0.0, 9.0) for kind in (Modality.VIDEO, Modality.AUDIO)]
        said = Segment(Modality.TEXT, 0.0, 5.0, "we sail, captain", origin=Origin.SUBTITLES)
        return MediaInfo(Modality.VIDEO, "mp4", 1920, 1080, 9.0), [*both, *([said] * (n % 4 == 0))]
    if kind == 9:
        return MediaInfo(Modality.TEXT, "md", details=details), [Segment(Modality.TEXT, text="a")]
    places = {"latitude": 48.0 + n % 3, "longitude": 11.5} if n % 5 == 0 else {}
    shape = {"orientation": ("landscape", "portrait")[n % 2]}
    taken = datetime(2020, 1, 1) + timedelta(days=n) if n % 7 else None
    return MediaInfo(
        Modality.IMAGE, ("jpeg", "png")[n % 2], 400 + 4 * n, 480, taken_at=taken,
        details={**details, **places, **shape},
    ), [Segment(Modality.IMAGE)]  # fmt: skip


def fill(catalog: Catalog) -> Generation:
    """Write `ASSETS` assets with random vectors, a tenth of them with a field of one's own."""
    made = catalog.generations.create(MODEL.name, MODEL.revision, [SPACE])
    catalog.generations.promote(made.id)
    root = catalog.locations.add_root(ROOT).id
    contents, places = [], []
    suffixes = {"jpeg": "jpg"}
    for n in range(ASSETS):
        info, segments = info_of(n)
        rows = unit(n, len(segments), SPACE.dim)
        vectors = {SPACE: (range(len(segments)), rows)}
        contents.append(NewContent(f"{n:064x}", 500 * n, info, segments, vectors))
        path = ROOT / str(n % 5) / f"IMG_{n:04}.{suffixes.get(info.format, info.format)}"
        places.append([NewLocation(root, path, 500 * n, (1_699_000 + 6 * n) * 10**12, n + 1)])
    with catalog.batch() as batch:
        batch.put_contents(made.id, contents, places)
        run = batch.connection.execute
        run(insert(item_fields).values(name="stars", type="number"))
        for n in range(1, ASSETS, 10):
            now = datetime(2024, 1, 1)
            row = {"key": str(n), "added_at": now, "changed_at": now}
            run(insert(items).values(asset_id=n, **row))
            value = {"name": "stars", "position": 0, "text": str(n % 6), "number": n % 6}
            run(insert(item_values).values(asset_id=n, **value))
    return catalog.generations.all()[0]


def parse(text: str) -> Filter | None:
    own = {"stars": OwnField("stars", FieldType.NUMBER)}
    return parse_where(text, own=lambda: own)


def near(state: CollectionSnapshot, query: Query) -> dict[Modality, Ids]:
    """What a query finds nearest to two samples, by modality, before anything is scored."""
    with state._catalog.read_snapshot():
        found = state.restricted(query, parse)
        return {
            item: found.nearest(samples(), SPACE, item, DEPTH) for item in found.allowed_modalities
        }


def samples() -> Vectors:
    return unit(1_000_000, 2, SPACE.dim)

"""Find what an address names, and the file of a hit that has the content that was indexed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from seehear.address import Address, collection_name, parse_address
from seehear.errors import MediaError, UsageError
from seehear.media.in_memory import written
from seehear.media.stored_file import StoredFile
from seehear.sources import is_remote, path_of
from seehear.types import Hit, Modality, item_id

if TYPE_CHECKING:
    from seehear.arguments import Media
    from seehear.media.workers.pool import DecodePool
    from seehear.stores import Catalog, SegmentRecord


def hit_at(catalog: Catalog, address: str) -> Hit:
    """Return what an address names as a hit: its file, its times or page, its nearest segment.

    Raises UsageError for an address of another collection, or of what is not there any more.
    """
    asked = parse_address(address)
    own = collection_name(catalog.changes.identity())
    if asked.collection != own:
        raise UsageError(f"{address} is of another collection; this one is seehear://{own}")
    generation = catalog.generations.serving()
    ids = catalog.segments.of_assets([asked.asset_id], generation.id) if generation else ()
    records = catalog.segments.resolve(ids)
    if not records:
        raise UsageError(f"{address} is not in the collection any more")
    best = max(records, key=lambda one: (_fit(asked, one), -one.segment_id))
    start_s, stop_s = asked.start_s, asked.stop_s
    if start_s is not None:
        stop_s = _end_of(asked, best.asset.duration_s)
    segment = best.segment
    return Hit(
        rank=1,
        score=1.0,
        similarity=1.0,
        path=best.path,
        modality=best.asset.modality,
        asset_id=best.asset.id,
        segment_id=best.segment_id,
        matched_modality=segment.modality,
        start_s=start_s,
        stop_s=stop_s,
        text=segment.text,
        page=asked.page,
        language=segment.language,
        box=segment.box,
        address=str(Address(own, asked.asset_id, start_s, stop_s, asked.page)),
    )


def address_of(catalog: Catalog, file: Media) -> Media:
    """Return the address of a file beyond this machine, which is asked with unread; others as they
    are. Raises UsageError where the collection does not have it."""
    if not isinstance(file, str | Path) or not is_remote(path := path_of(file)):
        return file
    asset_id = catalog.locations.asset_at(path)
    if asset_id is None:
        raise UsageError(f"{path} is not in the collection: index it, or ask with a copy of it")
    return str(Address(collection_name(catalog.changes.identity()), asset_id))


def _end_of(asked: Address, duration_s: float | None) -> float:
    """Return where a moment ends that has a start. Raises UsageError for one behind the end."""
    start_s = asked.start_s or 0.0
    if duration_s is None and asked.stop_s is None:
        raise UsageError(f"{asked} has no end. Write both times, such as #t=12.5,19")
    end_s = duration_s if duration_s is not None else asked.stop_s
    assert end_s is not None
    if start_s >= end_s:
        raise UsageError(f"{asked} begins behind the end: the file is {end_s:.1f} s long")
    return end_s if asked.stop_s is None else min(asked.stop_s, end_s)


def _fit(asked: Address, record: SegmentRecord) -> tuple[bool, bool, float]:
    """Return how well a segment fits an address: the page, then its own kind, then the times."""
    segment = record.segment
    on_page = asked.page is not None and segment.page == asked.page
    overlap = 0.0
    if asked.start_s is not None and segment.start_s is not None and segment.stop_s is not None:
        stop_s = segment.stop_s if asked.stop_s is None else asked.stop_s
        shared = min(stop_s, segment.stop_s) - max(asked.start_s, segment.start_s)
        joined = max(stop_s, segment.stop_s) - min(asked.start_s, segment.start_s)
        overlap = max(0.0, shared) / joined if joined > 0 else 0.0
    is_own = segment.modality is record.asset.modality and segment.origin is None
    is_own = is_own and (overlap > 0 or asked.start_s is None)
    return on_page, is_own, overlap


def find_stored_file(
    catalog: Catalog, asset_id: int, first: Path | None = None, *, follow_links: bool
) -> StoredFile:
    """Return a file that has the content of an asset now; try the path `first` before others.

    Raises MediaError (stage "open") if no file can be read, ContentChangedError where it has other
    content.
    """
    problem = MediaError("the file cannot be reached; connect its drive", stage="open")
    asset = catalog.assets.get(asset_id)
    if asset is None:
        raise problem
    roots = {root.id: str(root.path) for root in catalog.locations.roots()}
    locations = catalog.locations.of_assets([asset_id])[asset_id]
    for location in sorted(locations, key=lambda found: found.path != first):
        if (key := item_id(location.path)) is not None:
            problem = MediaError(f'the item "{key}" has no file', stage="open")
            continue
        stored = StoredFile(
            str(location.path),
            roots[location.root_id],
            asset.content_hash,
            location.size_bytes,
            location.modified_ns,
            location.inode,
            follow_links,
        )
        try:
            stored.open().close()
        except MediaError as error:
            problem = error
        else:
            return stored
    raise problem


def draw_item(catalog: Catalog, decoder: DecodePool, hit: Hit, px: int) -> tuple[bytes, str]:
    """Draw an item from what is kept of it, as `draw_hit` does. Raises MediaError."""
    content = catalog.items.content(hit.asset_id)
    if content is None or hit.modality is Modality.TEXT:
        raise MediaError(f'nothing is kept of the item "{hit.id}" to draw', stage="open")
    with written(content[1]) as file:
        return draw_hit(decoder, file, hit, px)


def draw_hit(decoder: DecodePool, file: StoredFile | Path, hit: Hit, px: int) -> tuple[bytes, str]:
    """Draw a hit: its image or page, the frame of its moment, or the spectrogram of its sound.

    Returns the picture and its content type. Raises MediaError.
    """
    if hit.modality is Modality.AUDIO:
        return decoder.image(file, px, start_s=hit.start_s, stop_s=hit.stop_s, audio=True)
    moment = None
    if hit.start_s is not None and hit.stop_s is not None:
        moment = (hit.start_s + hit.stop_s) / 2
    page = hit.page if hit.matched_modality is Modality.IMAGE else None
    return decoder.image(file, px, start_s=moment, page=page)

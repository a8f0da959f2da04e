"""Find the file of a hit that still has the content that was indexed, and draw it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from seehear.errors import MediaError
from seehear.media.in_memory import written
from seehear.media.stored_file import StoredFile
from seehear.types import Hit, Modality, item_id

if TYPE_CHECKING:
    from seehear.media.workers.pool import DecodePool
    from seehear.stores import Catalog


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

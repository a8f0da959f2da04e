"""Turn requests into queries of the collection, and hits into answers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seehear.address import moment_fragment
from seehear.cancellation import check_current
from seehear.errors import UsageError
from seehear.limits import ServiceLimits
from seehear.query_builder import build_query, text_part
from seehear.search import language_notes
from seehear.serialize import taken_text
from seehear.server.folder_labels import FolderLabels, printable
from seehear.server.mount_path import full_address
from seehear.server.schemas import Part, Place, SearchRequest
from seehear.server.schemas_browse import BrowsedOut
from seehear.types import Asset, Hit, Modality, Query, QueryPart, shown_name

if TYPE_CHECKING:
    from seehear.search.interpretation import FoundFilter, Interpretation
    from seehear.server.served_collection import BrowsedAsset, ServedCollection

_OF_ASSET = ("width_px", "height_px", "duration_s")
_OF_DETAILS = ("city", "country", "camera", "people")
_SNIPPET_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Upload:
    """Hold a file that came with a request, in a temporary folder."""

    path: Path
    name: str
    field: str
    """Name of the form's field: "file", "image", "audio", "video", "say" or "without_file"."""

    @property
    def expected(self) -> Modality | None:
        return Modality(self.field) if self.field in set(Modality) else None

    @property
    def exclude(self) -> bool:
        return self.field == "without_file"

    @property
    def is_said(self) -> bool:
        """Whether the words that are said in it are asked with, in place of how it sounds."""
        return self.field == "say"


def translate_request(
    request: SearchRequest,
    uploads: Sequence[Upload],
    load: Callable[..., QueryPart],
    folder_labels: FolderLabels,
    limits: ServiceLimits,
) -> Query:
    """Return the query that a request asks for; `load` makes parts of uploads.

    Raises UsageError, before anything is loaded where possible, and whatever `load` raises.
    """
    named = [part.upload for part in request.parts if part.upload is not None]
    for part in request.parts:
        if (part.text is None) == (part.upload is None):
            raise UsageError("give each of `parts` either `text` or `upload`")
    for number in named:
        if number >= len(uploads):
            raise UsageError(
                f"no file number {number} in this request; `upload` counts files from 0"
            )
        if named.count(number) > 1:
            raise UsageError(f"`parts` names file number {number} more than once")
    others = [upload for number, upload in enumerate(uploads) if number not in named]
    return build_query(
        load,
        text=request.text,
        files=[upload for upload in others if not upload.exclude],
        weights=request.weights,
        parts=(
            _part(part, uploads, load)
            for part in request.parts
            if part.text is None or part.text.strip()
        ),
        without=request.without,
        without_files=[upload for upload in others if upload.exclude],
        k=request.k,
        modalities=request.modalities or None,
        under=folder_labels.resolve(request.under) if request.under else None,
        where=request.where,
        min_score=request.min_score,
        mode=request.mode,
        moments=request.moments,
        diverse=request.diverse,
        show_duplicates=request.show_duplicates,
        like=request.like,
        unlike=request.unlike,
        explain=request.explain,
        typing=request.typing,
        limits=limits,
    )


def _part(part: Part, uploads: Sequence[Upload], load: Callable[..., QueryPart]) -> QueryPart:
    if part.upload is not None:
        return load(uploads[part.upload], weight=part.weight, exclude=part.exclude)
    return text_part(part.text or "", weight=part.weight, exclude=part.exclude)


def answer_search(
    library: ServedCollection,
    folder_labels: FolderLabels,
    wish: SearchRequest,
    uploads: Sequence[Upload],
    load: Callable[..., QueryPart],
    limits: ServiceLimits,
    heard: Sequence[str],
) -> str:
    """Return a `SearchAnswer` as JSON; `load` makes parts of uploads, and may add to `heard`.

    Raises as `translate_request` and `ServedCollection.ask`.
    """
    started = time.perf_counter()
    reading = read_filters(library, wish)
    if reading is not None and reading.where:
        where = f"({wish.where}) and ({reading.where})" if wish.where else reading.where
        # Words that are filters alone are searched for only if there is nothing else to search for.
        others = wish.like or wish.parts or any(not upload.exclude for upload in uploads)
        text = reading.rest or (None if others else reading.text)
        wish = wish.model_copy(update={"text": text, "where": where})
    query = translate_request(wish, uploads, load, folder_labels, limits)
    hits = library.ask(query)
    check_current()
    model = library.model()
    notes = language_notes(query, model)
    if reading is not None and not wish.typing:
        notes = [*notes, *reading.notes]
    answer = {
        "hits": hits_out(hits, library, folder_labels),
        "stands_out": any(not hit.weak for hit in hits),
        "heard": heard,
        "notes": notes,
        "interpretation": None if reading is None else asdict(reading),
        "model": model.name,
        "took_ms": round(1000 * (time.perf_counter() - started), 2),
    }
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def read_filters(library: ServedCollection, wish: SearchRequest) -> Interpretation | None:
    """Return how the words of a request are read; None if it wants them as they are written."""
    texts = [wish.text] if isinstance(wish.text, str) else wish.text or []
    if len(texts) != 1 or (wish.as_written is True and not wish.take):
        return None
    reading = library.interpret(texts[0])

    def is_taken(found: FoundFilter) -> bool:
        if wish.take is True or _names(wish.take, found):
            return True
        return found in reading.taken and not (
            wish.as_written is True or _names(wish.as_written, found)
        )

    return reading.accept(filter(is_taken, (*reading.taken, *reading.offered)))


def _names(words: bool | list[str], found: FoundFilter) -> bool:
    return not isinstance(words, bool) and found.words in words


def hits_out(
    hits: Sequence[Hit], library: ServedCollection, folder_labels: FolderLabels
) -> list[dict[str, Any]]:
    """Return hits without paths, with what a page needs to show them: the fields of `HitOut`."""
    assets = library.assets_by_id([hit.asset_id for hit in hits])
    return [_hit_out(hit, assets.get(hit.asset_id), folder_labels) for hit in hits]


def _hit_out(hit: Hit, asset: Asset | None, folder_labels: FolderLabels) -> dict[str, Any]:
    facts = hit.to_dict()
    del facts["path"]
    for name in ("snippet", "text"):
        facts[name] = None if facts[name] is None else printable(facts[name])
    facts["duplicates"] = [
        location_out(path, folder_labels).model_dump() for path in hit.duplicates
    ]
    for explanation in facts["why"]:
        explanation["part"] = printable(explanation["part"])
    unknown: dict[str, Any] = dict.fromkeys((*_OF_ASSET, *_OF_DETAILS, "taken_at"))
    content = unknown if asset is None else _facts_of(asset)
    return (
        facts
        | content
        | {
            "name": printable(shown_name(hit.path)),
            "folder": folder_labels.folder_of(hit.path),
            "thumbnail": thumbnail_address(
                hit.asset_id,
                hit.modality,
                hit.start_s,
                hit.stop_s,
                hit.page if hit.matched_modality is Modality.IMAGE else None,
            ),
            "media": full_address(f"/v1/assets/{hit.asset_id}/media"),
            "moment_url": moment_url(hit),
        }
    )


def moment_url(hit: Hit) -> str:
    """Return the address of a hit's moment on the page."""
    fragment = moment_fragment(hit.start_s, hit.stop_s, hit.page)
    return full_address(f"/moment/{hit.asset_id}{fragment}")


def _facts_of(asset: Asset) -> dict[str, Any]:
    """Return what is shown of a file's content."""
    told = {name: asset.details.get(name) for name in _OF_DETAILS}
    sizes = {name: getattr(asset, name) for name in _OF_ASSET}
    return sizes | told | {"taken_at": taken_text(asset)}


def browsed_out(records: Sequence[BrowsedAsset], folder_labels: FolderLabels) -> list[BrowsedOut]:
    """Return assets without paths, with what a page needs to show them."""
    return [_browsed_out(one, folder_labels) for one in records]


def _browsed_out(found: BrowsedAsset, folder_labels: FolderLabels) -> BrowsedOut:
    asset, segment = found.asset, found.segment
    text = segment.text if segment is not None else None
    page = 1 if asset.format == "pdf" else None
    return BrowsedOut(
        **_facts_of(asset),
        asset_id=asset.id,
        segment_id=found.segment_id,
        modality=asset.modality,
        format=asset.format,
        name=printable(shown_name(found.path)),
        folder=folder_labels.folder_of(found.path),
        snippet=printable(text[:_SNIPPET_CHARACTERS]) if text else None,
        thumbnail=thumbnail_address(
            asset.id,
            asset.modality,
            segment.start_s if segment is not None else None,
            segment.stop_s if segment is not None else None,
            page,
        ),
        media=full_address(f"/v1/assets/{asset.id}/media"),
    )


def location_out(path: Path, folder_labels: FolderLabels, *, online: bool = True) -> Place:
    name = printable(shown_name(path))
    return Place(name=name, folder=folder_labels.folder_of(path), online=online)


def thumbnail_address(
    asset_id: int,
    modality: Modality,
    start_s: float | None,
    stop_s: float | None,
    page: int | None = None,
) -> str | None:
    """Return the address of a hit's picture: its page, the frame of its moment, a spectrogram."""
    address = full_address(f"/v1/assets/{asset_id}/thumbnail")
    if page is not None:
        return f"{address}?page={page}"
    if modality is Modality.TEXT:
        return None
    if start_s is None or stop_s is None:
        return address
    if modality in {Modality.VIDEO, Modality.IMAGE}:
        return f"{address}?start_s={(start_s + stop_s) / 2:.2f}"
    return f"{address}?start_s={start_s:.2f}&stop_s={stop_s:.2f}"

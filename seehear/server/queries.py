"""From a request to a query of the library, and from its hits to an answer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seehear.errors import UsageError
from seehear.server.folder_labels import FolderLabels, printable
from seehear.server.limits import ServiceLimits
from seehear.server.schemas import HitOut, MomentOut, Place, SearchRequest, TermOut
from seehear.types import Asset, Hit, Modality, Query, QueryPart, Sample

if TYPE_CHECKING:
    from seehear.server.served_collection import ServedCollection

SNIPPET_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that came with a request, lying in a temporary place."""

    path: Path
    name: str
    field: str
    """Name of the form's field: "file", "image", "audio", "video" or "without_file"."""

    @property
    def expected(self) -> Modality | None:
        return Modality(self.field) if self.field in set(Modality) else None


def check_request(request: SearchRequest, uploads: int, limits: ServiceLimits) -> None:
    """Raise UsageError for a query beyond the limits or without any part."""
    texts = [*_listed(request.text), *_listed(request.without)]
    texts += [part.text for part in request.parts if part.text is not None]
    if request.k > limits.k:
        raise UsageError(f"k must be at most {limits.k}, not {request.k}")
    if len(texts) + uploads > limits.parts:
        raise UsageError(f"a query may have at most {limits.parts} parts")
    if any(len(text) > limits.text_characters for text in texts):
        raise UsageError(f"each text may have at most {limits.text_characters} characters")
    for part in request.parts:
        if (part.text is None) == (part.upload is None):
            raise UsageError("give each of `parts` either `text` or `upload`")
        if part.upload is not None and part.upload >= uploads:
            raise UsageError(
                f"no file number {part.upload} in this request; `upload` counts files from 0"
            )
    wanted = [text for text in _listed(request.text) if text.strip()]
    wanted += [p.text for p in request.parts if p.text and p.text.strip() and not p.exclude]
    if not wanted and not uploads and not request.like:
        raise UsageError("the query is empty; give a text, a file, or hits in `like`")


def build_query(
    request: SearchRequest,
    uploads: Sequence[tuple[Upload, tuple[Sample, ...]]],
    folder_labels: FolderLabels,
) -> Query:
    """The query of the library that a request asks for."""
    parts = [QueryPart((text,), label=text) for text in _spoken(request.text)]
    named = {part.upload: part for part in request.parts if part.upload is not None}
    for location, (upload, samples) in enumerate(uploads):
        wish = named.get(location)
        parts.append(
            QueryPart(
                samples,
                weight=wish.weight if wish else 1.0,
                exclude=wish.exclude if wish else upload.field == "without_file",
                label=upload.name,
            )
        )
    parts += [
        QueryPart((part.text,), part.weight, part.exclude, label=part.text)
        for part in request.parts
        if part.text is not None and part.text.strip()
    ]
    parts += [QueryPart((text,), exclude=True, label=text) for text in _spoken(request.without)]
    return Query(
        parts=tuple(parts),
        k=request.k,
        modalities=frozenset(request.modalities) if request.modalities else None,
        under=folder_labels.resolve(request.under) if request.under else None,
        min_score=request.min_score,
        where=request.where,
        mode=request.mode,
        moments=request.moments,
        diverse=request.diverse,
        show_duplicates=request.show_duplicates,
        like=tuple(request.like),
        unlike=tuple(request.unlike),
        explain=request.explain,
    )


def hits_out(
    hits: Sequence[Hit], library: ServedCollection, folder_labels: FolderLabels
) -> list[HitOut]:
    """Hits without the machine's paths, with what a page needs to show them."""
    assets = library.assets_of(hits)
    return [_hit_out(hit, assets, folder_labels) for hit in hits]


def _hit_out(hit: Hit, assets: Mapping[int, Asset], folder_labels: FolderLabels) -> HitOut:
    asset = assets.get(hit.asset_id)
    return HitOut(
        rank=hit.rank,
        score=round(hit.score, 4),
        similarity=None if math.isnan(hit.similarity) else round(hit.similarity, 4),
        weak=hit.weak,
        asset_id=hit.asset_id,
        segment_id=hit.segment_id,
        modality=hit.modality,
        matched=hit.matched_modality,
        start_s=hit.start_s,
        stop_s=hit.stop_s,
        snippet=_snippet(hit.snippet),
        name=printable(hit.path.name),
        folder=folder_labels.folder_of(hit.path),
        moments=[
            MomentOut(
                start_s=moment.start_s,
                stop_s=moment.stop_s,
                score=round(moment.score, 4),
                segment_id=moment.segment_id,
                matched=moment.matched,
            )
            for moment in hit.moments
        ],
        duplicates=[location_out(path, folder_labels) for path in hit.duplicates],
        why=[
            TermOut(
                part=term.part,
                weight=term.weight,
                exclude=term.exclude,
                score=round(term.score, 4),
                route=term.route,
                space=term.space,
                similarity=term.similarity,
                expected=term.expected,
                spread=term.spread,
                crowd=round(term.support_bonus, 4),
                words=term.words,
                words_score=round(term.words_score, 4),
            )
            for term in hit.why
        ],
        width_px=asset.width_px if asset else None,
        height_px=asset.height_px if asset else None,
        duration_s=asset.duration_s if asset else None,
        taken_at=asset.taken_at.isoformat() if asset and asset.taken_at else None,
        thumbnail=thumbnail_address(hit.asset_id, hit.modality, hit.start_s, hit.stop_s),
        media=f"/v1/assets/{hit.asset_id}/media",
    )


def location_out(path: Path, folder_labels: FolderLabels, *, online: bool = True) -> Place:
    return Place(name=printable(path.name), folder=folder_labels.folder_of(path), online=online)


def thumbnail_address(
    asset_id: int, modality: Modality, start_s: float | None, stop_s: float | None
) -> str | None:
    """Where the picture of a hit is drawn: its moment's frame, or its sound's spectrogram."""
    if modality is Modality.TEXT:
        return None
    address = f"/v1/assets/{asset_id}/thumbnail"
    if modality is Modality.IMAGE or start_s is None or stop_s is None:
        return address
    if modality is Modality.VIDEO:
        return f"{address}?start_s={(start_s + stop_s) / 2:.2f}"
    return f"{address}?start_s={start_s:.2f}&stop_s={stop_s:.2f}"


def _listed(text: str | list[str] | None) -> list[str]:
    if text is None:
        return []
    return [text] if isinstance(text, str) else text


def _spoken(text: str | list[str] | None) -> list[str]:
    return [words for words in _listed(text) if words.strip()]


def _snippet(text: str | None) -> str | None:
    if text is None:
        return None
    text = printable(text)
    return text if len(text) <= SNIPPET_CHARACTERS else text[:SNIPPET_CHARACTERS] + "…"

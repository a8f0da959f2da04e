"""Turn a hit into words for language models and into plain values for metadata."""

from __future__ import annotations

from typing import Any

from seehear.types import Hit, Modality

_NOUNS = {
    Modality.IMAGE: "Photo",
    Modality.AUDIO: "Sound",
    Modality.VIDEO: "Video",
    Modality.TEXT: "Text",
}


def described(hit: Hit) -> str:
    """Return the passage that matched, or the name and moment of other media."""
    if hit.snippet:
        return hit.snippet
    moment = f", from {hit.moment[0]:.1f} s to {hit.moment[1]:.1f} s" if hit.moment else ""
    return f"{_NOUNS[hit.modality]}: {hit.path.name}{moment}"


def metadata_of(hit: Hit) -> dict[str, Any]:
    """Return the fields of a hit as JSON values; times only if the hit has them."""
    metadata: dict[str, Any] = {
        "path": str(hit.path),
        "modality": str(hit.modality),
        "matched": str(hit.matched_modality),
        "rank": hit.rank,
        "score": hit.score,
        "similarity": hit.similarity,
        "weak": hit.weak,
        "asset_id": hit.asset_id,
        "segment_id": hit.segment_id,
    }
    if hit.moment:
        metadata |= {"start_s": hit.moment[0], "stop_s": hit.moment[1]}
    return metadata

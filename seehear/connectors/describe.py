"""A hit in words and in plain values, as language models and vector-store metadata want it."""

from __future__ import annotations

from typing import Any

from seehear.types import Hit, Modality

_NOUNS = {
    Modality.IMAGE: "Picture",
    Modality.AUDIO: "Sound",
    Modality.VIDEO: "Video",
    Modality.TEXT: "Text",
}


def described(hit: Hit) -> str:
    """The passage that matched; for other media what the file is, and when in it."""
    if hit.snippet:
        return hit.snippet
    moment = f", from {hit.moment[0]:.1f} s to {hit.moment[1]:.1f} s" if hit.moment else ""
    return f"{_NOUNS[hit.modality]}: {hit.path.name}{moment}"


def metadata_of(hit: Hit) -> dict[str, Any]:
    """Everything about a hit that JSON can carry; times only where there are any."""
    metadata: dict[str, Any] = {
        "path": str(hit.path),
        "modality": str(hit.modality),
        "matched": str(hit.matched),
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

"""Turn a hit into words for language models and into plain values for metadata."""

from __future__ import annotations

from typing import Any

from seehear.types import Hit, Modality, shown_name

_NOUNS = {
    Modality.IMAGE: "Photo",
    Modality.AUDIO: "Sound",
    Modality.VIDEO: "Video",
    Modality.TEXT: "Text",
}


_METADATA = (
    *("path", "modality", "matched", "by", "rank", "score", "similarity", "weak"),
    *("asset_id", "segment_id", "start_s", "stop_s", "page", "language"),
)


def described(hit: Hit) -> str:
    """Return the whole passage that matched, or the name and moment of other media."""
    if hit.text:
        return hit.text
    moment = f", from {hit.moment[0]:.1f} s to {hit.moment[1]:.1f} s" if hit.moment else ""
    return f"{_NOUNS[hit.modality]}: {shown_name(hit.path)}{moment}"


def metadata_of(hit: Hit) -> dict[str, Any]:
    """Return the flat fields of a hit as JSON values, without those that it does not have."""
    facts = hit.to_dict() | {"by": ", ".join(hit.by) or None}
    return {name: facts[name] for name in _METADATA if facts[name] is not None}

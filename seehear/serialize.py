"""Turn hits, assets and reports into plain values that JSON can write: one name for each fact.

The command line prints them whole; the service, the assistants' tools and the retrievers take from
them what they show. Scores and cosines are rounded to four digits, seconds of a run to three.
Paths are as Python spells them: a name that is not UTF-8 keeps its bytes as surrogate escapes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seehear.indexers import IndexReport
    from seehear.types import Asset, Hit, Moment, PartExplanation

DIGITS = 4


def hit_to_dict(hit: Hit) -> dict[str, Any]:
    """Return the documented fields of a hit, as `search --json` prints them."""
    return {
        "rank": hit.rank,
        "score": _rounded(hit.score),
        "similarity": _rounded(hit.similarity),
        "path": str(hit.path),
        "modality": str(hit.modality),
        "matched": str(hit.matched_modality),
        "start_s": hit.start_s,
        "stop_s": hit.stop_s,
        "snippet": hit.snippet,
        "weak": hit.weak,
        "asset_id": hit.asset_id,
        "segment_id": hit.segment_id,
        "moments": [_moment_to_dict(moment) for moment in hit.moments],
        "duplicates": [str(path) for path in hit.duplicates],
        "why": [_explanation_to_dict(explanation) for explanation in hit.why],
    }


def asset_to_dict(asset: Asset) -> dict[str, Any]:
    """Return what is known of a file's content; None for what it does not have."""
    return {
        "asset_id": asset.id,
        "modality": str(asset.modality),
        "format": asset.format,
        "size_bytes": asset.size_bytes,
        "width_px": asset.width_px,
        "height_px": asset.height_px,
        "duration_s": asset.duration_s,
        "taken_at": asset.taken_at.isoformat() if asset.taken_at else None,
    }


def report_to_dict(report: IndexReport) -> dict[str, Any]:
    """Return the documented fields of an index run, as `index --json` prints them."""
    return {
        "added": report.added,
        "updated": report.updated,
        "moved": report.moved,
        "removed": report.removed,
        "unchanged": report.unchanged,
        "skipped": report.skipped,
        "unsupported": dict(report.unsupported),
        "failed": report.failed,
        "offline": [str(root.path) for root in report.offline],
        "interrupted": report.interrupted,
        "seconds": round(report.seconds, 3),
        "failures": [
            {"path": str(failure.path), "stage": failure.stage, "reason": failure.reason}
            for failure in report.failures
        ],
    }


def _moment_to_dict(moment: Moment) -> dict[str, Any]:
    return {
        "start_s": moment.start_s,
        "stop_s": moment.stop_s,
        "score": _rounded(moment.score),
        "segment_id": moment.segment_id,
        "matched": str(moment.matched),
    }


def _explanation_to_dict(explanation: PartExplanation) -> dict[str, Any]:
    return {
        "part": explanation.part,
        "weight": explanation.weight,
        "exclude": explanation.exclude,
        "score": _rounded(explanation.score),
        "route": explanation.route,
        "space": explanation.space,
        "similarity": _rounded(explanation.similarity),
        "expected": _rounded(explanation.expected),
        "spread": _rounded(explanation.spread),
        "crowd": _rounded(explanation.support_bonus),
        "words": explanation.words,
        "words_score": _rounded(explanation.words_score),
    }


def _rounded(value: float | None) -> float | None:
    """Return the number to four digits, or None if it is missing, NaN or infinite."""
    return round(value, DIGITS) if value is not None and math.isfinite(value) else None

"""Turn assets and reports into plain values that JSON can write: one name for each fact.

A hit writes itself: `Hit.to_dict`. The command line prints both whole; the service, the assistants'
tools and the retrievers take from them what they show. Paths are as Python spells them: a name that
is not UTF-8 keeps its bytes as surrogate escapes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seehear.indexers import FailedFile, IndexReport, ReadReport
    from seehear.types import Asset


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
        "taken_at": taken_text(asset),
        "details": dict(asset.details),
    }


def taken_text(asset: Asset) -> str | None:
    """Return when a file was taken as ISO 8601, as far as it is known: "2024-06" for a month."""
    if asset.taken_at is None:
        return None
    year, week, _ = asset.taken_at.isocalendar()
    day = asset.taken_at.date().isoformat()
    known = {"year": day[:4], "month": day[:7], "week": f"{year}-W{week:02}", "day": day}
    return known.get(str(asset.details.get("date_precision"))) or asset.taken_at.isoformat()


def report_to_dict(report: IndexReport) -> dict[str, Any]:
    """Return the documented fields of an index run, as `index --json` prints them."""
    return {
        "added": report.added,
        "updated": report.updated,
        "moved": report.moved,
        "removed": report.removed,
        "unchanged": report.unchanged,
        "partial": report.partial,
        "without_content": report.without_content,
        "skipped": report.skipped,
        "unsupported": dict(report.unsupported),
        "failed": report.failed,
        "offline": [str(root.path) for root in report.offline],
        "notes": list(report.notes),
        "interrupted": report.interrupted,
        "seconds": round(report.seconds, 3),
        "read": None if report.read is None else read_to_dict(report.read),
        "failures": _failures(report.failures),
    }


def read_to_dict(report: ReadReport) -> dict[str, Any]:
    """Return what readers did in a run, by the name of the reader."""
    return {
        "readers": {
            name: asdict(one) | {"heard_s": round(one.heard_s, 1)}
            for name, one in report.readers.items()
        },
        "failures": _failures(report.failures),
        "faults": list(report.faults),
        "left_s": round(report.left_s, 1),
        "out_of_time": report.out_of_time,
    }


def _failures(failures: Iterable[FailedFile]) -> list[dict[str, str]]:
    return [{"path": str(one.path), "stage": one.stage, "reason": one.reason} for one in failures]

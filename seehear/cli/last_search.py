"""What the last search of a collection asked and found, so that `--like 2` can refine it.

Kept in the user's state folder, not in the collection: searching changes nothing there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seehear.errors import UsageError
from seehear.files import write_whole

if TYPE_CHECKING:
    from seehear.types import Hit


def remember(collection: Path, asked: dict[str, Any], hits: Sequence[Hit]) -> None:
    """Keep a search and the segments of its hits by rank, if the disk lets us."""
    note = {"asked": asked, "segments": {str(hit.rank): hit.segment_id for hit in hits}}
    with suppress(OSError):
        write_whole(_file(collection), [json.dumps(note).encode()])


def recall(collection: Path) -> tuple[dict[str, Any], dict[int, int]]:
    """Return the last search and its segments by rank. Raises UsageError before the first one."""
    try:
        note = json.loads(_file(collection).read_text(encoding="utf-8"))
        return dict(note["asked"]), {int(rank): int(id_) for rank, id_ in note["segments"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UsageError("No search to refine yet. Search for something first") from None


def segments_at(ranks: Sequence[int], found: dict[int, int]) -> list[int]:
    """Return the segments of hits by rank. Raises UsageError for a rank without a hit."""
    if missing := [rank for rank in ranks if rank not in found]:
        raise UsageError(f"The last search had {len(found)} hits, and none with rank {missing[0]}")
    return [found[rank] for rank in ranks]


def _file(collection: Path) -> Path:
    import platformdirs

    name = hashlib.blake2b(str(collection.absolute()).encode(), digest_size=8).hexdigest()
    folder = Path(platformdirs.user_state_dir("seehear", appauthor=False))
    return folder / f"last-search-{name}.json"

"""Give files that an earlier version indexed the fingerprints that tell copies.

They are decoded once more and not encoded. What was done is kept when the run is stopped, and the
next run does the rest.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from seehear import media
from seehear.config import Settings
from seehear.errors import MediaError
from seehear.indexers.decode import is_lasting
from seehear.indexers.progress import ProgressTracker, Stage
from seehear.indexers.roots import Target
from seehear.indexers.stages import StopEvent
from seehear.indexers.survey import Survey
from seehear.media.fingerprints import NOTHING, VERSION
from seehear.media.stored_file import is_beneath
from seehear.stores import Catalog
from seehear.types import SampleSpec

AT_ONCE = 500
"""Assets looked up at a time."""
COMMIT_S = 1.0


@dataclass(frozen=True, slots=True)
class _Task:
    path: Path
    asset_id: int
    root: str | None
    size_bytes: int


def needs_fingerprint(catalog: Catalog, content_hash: str) -> bool:
    """Tell whether a content is new, or has no fingerprint of this version."""
    asset = catalog.assets.find(content_hash)
    if asset is None:
        return True
    known = catalog.assets.fingerprints([asset.id]).get(asset.id, b"")
    return known[:1] != bytes([VERSION])


def mark_unchanged(
    catalog: Catalog,
    settings: Settings,
    targets: Sequence[Target],
    survey: Survey,
    tally: ProgressTracker,
    stop: StopEvent,
) -> None:
    """Make the fingerprints that files below the targets lack, in a stage of its own.

    A file that changed or cannot be opened now is left to a later run; one that cannot be decoded
    gets a fingerprint that says nothing.
    """
    missing = catalog.assets.without_fingerprint(VERSION, survey.root_ids)
    if not missing:
        return
    roots = {root.id: str(root.path) for root in catalog.locations.roots()}
    tops = [str(target.top) for target in targets]
    tasks: list[_Task] = []
    for start in range(0, len(missing), AT_ONCE):
        found = catalog.locations.of_assets(missing[start : start + AT_ONCE])
        for asset_id, locations in found.items():
            here = [
                one
                for one in locations
                if any(is_beneath(str(one.path), top) for top in tops) and one.path.is_file()
            ]
            if here:
                root = None if settings.follow_links else roots[here[0].root_id]
                tasks.append(_Task(here[0].path, asset_id, root, here[0].size_bytes))
    if not tasks:
        return
    tally.begin(Stage.MARK, len(tasks), sum(task.size_bytes for task in tasks))
    hashes = {
        asset.content_hash
        for start in range(0, len(tasks), AT_ONCE)
        for asset in catalog.assets.get_many(
            [task.asset_id for task in tasks[start : start + AT_ONCE]]
        ).values()
    }
    files = media.decode_all(
        tasks,
        SampleSpec(),
        settings,
        wanted=hashes.__contains__,
        samples=False,
        root_of=lambda task: cast(_Task, task).root,
        stop=stop,
    )
    made: dict[int, bytes] = {}
    since = time.monotonic()
    with closing(files):
        for file in files:
            task = cast(_Task, file.task)
            tally.working_on(task.path)
            with suppress(KeyError):
                made[task.asset_id] = _fingerprint(file)
            if stop.is_set():
                made.pop(task.asset_id, None)  # the file may not have been read to its end
                break
            tally.done(task.size_bytes)
            tally.report()
            if time.monotonic() - since >= COMMIT_S:
                _commit(catalog, made)
                made, since = {}, time.monotonic()
    _commit(catalog, made)


def _fingerprint(file: media.DecodedFile) -> bytes:
    """Return the fingerprint of a file. Raises KeyError where a later run must look again."""
    try:
        for _ in file:
            pass
    except MediaError as error:
        if file.changed or not is_lasting(error):
            raise KeyError(file.path) from None
        return NOTHING
    if not file.fingerprint:
        raise KeyError(file.path)
    return file.fingerprint


def _commit(catalog: Catalog, made: dict[int, bytes]) -> None:
    if made:
        with catalog.batch() as batch:
            batch.put_fingerprints(made)

"""Take up what lies beside photos and films (XMP, Takeout's JSON) when it has changed since.

Dates, captions, people and places follow; nothing is encoded again. A description that is new,
changed or gone is found by the scan, like any file. It is taken up before its own file is written
to the catalog, so that a run that is killed is repeated by the next one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import cast

from seehear import media
from seehear.config import Settings
from seehear.errors import MediaError
from seehear.indexers.stages import StopEvent
from seehear.media.sidecars import SUFFIXES, sidecar_names
from seehear.stores import Catalog, Location, ScanTable
from seehear.types import Asset, MediaInfo, Modality, SampleSpec

AT_ONCE = 256
"""Assets that are read in one go and written in one transaction."""


@dataclass(frozen=True, slots=True)
class _Task:
    path: Path
    asset_id: int
    root: str | None


def assets_beside(catalog: Catalog, table: ScanTable, cured: Iterable[str]) -> set[int]:
    """Return the assets beside which a description is new, changed or gone.

    `cured` are the paths of files that were not indexed, and are gone now.
    """
    folders: dict[str, set[str]] = {}
    for path in chain(table.altered_paths(), cured):
        if path.lower().endswith(SUFFIXES):
            folder, name = os.path.split(path)
            folders.setdefault(folder, set()).add(name)
    return {
        location.asset_id
        for folder, names in folders.items()
        for location in catalog.locations.in_folder(Path(folder))
        if not names.isdisjoint(sidecar_names(location.path.name))
    }


def describe_again(
    catalog: Catalog, settings: Settings, asset_ids: Iterable[int], stop: StopEvent
) -> int:
    """Read again what photos, films and sounds say about themselves; return how many changed.

    Reads those that have a description beside them, or had one. A file that cannot be read now, or
    has changed, keeps what is known of it.
    """
    roots = {root.id: str(root.path) for root in catalog.locations.roots()}
    ids, changed = sorted(asset_ids), 0
    for start in range(0, len(ids), AT_ONCE):
        chunk = ids[start : start + AT_ONCE]
        assets = catalog.assets.get_many(chunk)
        tasks = []
        for asset_id, locations in catalog.locations.of_assets(chunk).items():
            location = _described_location(assets.get(asset_id), locations)
            if location is not None:
                root = None if settings.follow_links else roots[location.root_id]
                tasks.append(_Task(location.path, asset_id, root))
        found = _read(tasks, {asset.content_hash for asset in assets.values()}, settings, stop)
        if found:
            with catalog.batch() as batch:
                changed += sum(batch.put_details(id_, info) for id_, info in found.items())
        if stop.is_set():
            break
    return changed


def _described_location(asset: Asset | None, locations: Iterable[Location]) -> Location | None:
    """Choose the file of an asset that is read: the first one with a description beside it.

    None for an asset that never had one.
    """
    if asset is None or asset.modality is Modality.TEXT:
        return None
    here = [one for one in locations if one.path.is_file()]
    for one in here:
        if any((one.path.parent / name).exists() for name in sidecar_names(one.path.name)):
            return one
    return here[0] if here and "described_by" in asset.details else None


def _read(
    tasks: list[_Task], hashes: set[str], settings: Settings, stop: StopEvent
) -> dict[int, MediaInfo]:
    if not tasks:
        return {}
    files = media.decode_all(
        tasks,
        SampleSpec(),
        settings,
        wanted=hashes.__contains__,
        to_mark=lambda digest: False,
        samples=False,
        root_of=lambda task: cast(_Task, task).root,
        stop=stop,
    )
    found: dict[int, MediaInfo] = {}
    with closing(files):
        for file in files:
            with suppress(MediaError):
                for _ in file:
                    pass
                if file.info is not None and not file.changed:
                    found[cast(_Task, file.task).asset_id] = file.info
    return found

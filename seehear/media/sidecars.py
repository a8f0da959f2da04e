"""Read what lies beside a photo or film and describes it: XMP files, and Google Takeout's JSON.

    IMG.jpg      IMG.xmp, IMG.jpg.xmp
                 IMG.jpg.json, IMG.jpg.supplemental-metadata.json, cut to 46 characters and ".json"
    IMG(1).jpg   IMG.jpg(1).json, IMG.jpg.supplemental-metadata(1).json

An XMP file is what a person wrote in a photo program: it counts more than the file itself.
Takeout's JSON counts less: it fills in what the file lacks.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from seehear.errors import MediaError
from seehear.media.coordinates import coordinates
from seehear.media.dates import DIGITIZED, Dated, unix_date
from seehear.media.details import Details, join_words, put
from seehear.media.source import open_regular
from seehear.media.stored_file import open_beneath
from seehear.media.xmp import read_xmp
from seehear.sources import is_remote

SUFFIXES = (".xmp", ".json")
MOST_BYTES = 4 << 20
"""Of one file: one that describes a thousand strokes of a brush has 1 MiB."""

_TAKEOUT_CHARACTERS = 46
_NUMBER = re.compile(r"(.*)(\(\d{1,6}\))")


def with_sidecars(
    path: str, root: str | None, dates: list[Dated], details: Details
) -> tuple[list[Dated], Details]:
    """Return a file's dates and details together with those of the files beside it.

    No link may lead out of `root`. A file that cannot be read or is broken is left out.
    """
    if is_remote(path):
        return dates, details
    folder, name = Path(path).parent, Path(path).name
    people, read = [details.get("people")], []
    for beside in _xmp_names(name):
        if (data := _read(folder / beside, root)) is not None:
            found_dates, found = read_xmp(data)
            dates = [*((tier, "sidecar", made) for tier, _, made in found_dates), *dates]
            people.append(found.get("people"))
            details = details | found
            if found_dates or found:
                read.append(beside)
    for beside in _takeout_names(name):
        if (data := _read(folder / beside, root)) is not None:
            found_dates, found = read_takeout(data)
            dates = [*dates, *found_dates]
            people.append(found.get("people"))
            details = found | details
            if found_dates or found:
                read.append(beside)
            break
    put(details, "described_by", join_words(read))
    put(details, "people", join_words(name for names in people for name in _split(names)))
    return dates, details


def sidecar_names(name: str) -> list[str]:
    """Return the names of the files that may lie beside a file of that name and describe it."""
    return [*_xmp_names(name), *_takeout_names(name)]


def read_takeout(data: bytes) -> tuple[list[Dated], Details]:
    """Read a description by Google Photos; nothing from any other JSON."""
    details: Details = {}
    try:
        about = json.loads(data)
    except (ValueError, RecursionError):
        return [], details
    taken = about.get("photoTakenTime") if isinstance(about, dict) else None
    if not isinstance(taken, dict):
        return [], details
    put(details, "caption", about.get("description"))
    people = about.get("people")
    names = people if isinstance(people, list) else []
    put(details, "people", join_words(one.get("name") for one in names if isinstance(one, dict)))
    for key in ("geoData", "geoDataExif"):
        if found := _takeout_coordinates(about.get(key)):
            details |= found
            break
    made = None
    with suppress(ValueError, TypeError, OverflowError):
        made = unix_date(float(taken.get("timestamp", 0)))
    return ([(DIGITIZED, "sidecar", made)] if made else []), details


def _takeout_coordinates(value: Any) -> Details:
    if not isinstance(value, Mapping):
        return {}
    try:
        altitude = float(value.get("altitude") or 0.0)
        return coordinates(float(value["latitude"]), float(value["longitude"]), altitude or None)
    except (KeyError, ValueError, TypeError, OverflowError):
        return {}


def _xmp_names(name: str) -> Iterator[str]:
    for base in (os.path.splitext(name)[0], name):  # noqa: PTH122 - a name, with any bytes
        yield from (f"{base}.xmp", f"{base}.XMP")


def _takeout_names(name: str) -> Iterator[str]:
    stem, suffix = os.path.splitext(name)  # noqa: PTH122
    titles = [(name, "")]
    if found := _NUMBER.fullmatch(stem):
        titles.insert(0, (found[1] + suffix, found[2]))
    if stem.endswith("-edited"):
        titles.append((stem.removesuffix("-edited") + suffix, ""))
    for title, number in titles:
        for base in (title, f"{title}.supplemental-metadata"):
            yield f"{base[:_TAKEOUT_CHARACTERS]}{number}.json"


def _read(path: Path, root: str | None) -> bytes | None:
    """Return the content of a file beside another one, or None."""
    with suppress(MediaError, OSError):
        if not path.is_file():
            return None
        with open_regular(path) if root is None else open_beneath(str(path), root) as file:
            data = file.read(MOST_BYTES + 1)
        return data if len(data) <= MOST_BYTES else None
    return None


def _split(names: object) -> list[str]:
    return str(names).split("; ") if names else []

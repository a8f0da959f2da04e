"""The names under which people know a format, beside the one that the catalog keeps."""

from __future__ import annotations

from seehear.stores.catalog.filters import And, Compare, Field, Filter, Op, Or
from seehear.types import Modality

_ALIASES = {
    "jpeg": "jpg jpe jfif",
    "tiff": "tif",
    "heic": "heif hif",
    "jp2": "jpeg2000 j2k jpx jpf j2c",
    "pnm": "pbm pgm ppm pam pfm",
    "png": "apng",
    "bmp": "dib",
    "mp4": "m4v m4a m4b",
    "mpeg": "mpg vob",
    "mov": "qt quicktime",
    "mkv": "matroska mka",
    "webm": "weba",
    "3gp": "3g2",
    "ts": "mts m2ts",
    "asf": "wmv wma",
    "ogg": "ogv oga",
    "wav": "wave bwf rf64",
    "aiff": "aif aifc",
    "au": "snd",
    "ac3": "eac3",
    "md": "markdown mdown",
    "html": "htm xhtml",
    "txt": "text plain rst",
}
_GROUPS = {
    name: (format_, *aliases.split())
    for format_, aliases in _ALIASES.items()
    for name in (format_, *aliases.split())
}
# Containers of both: the name says which of the two is meant.
_ONLY = {
    **dict.fromkeys(("m4a", "m4b", "mka", "weba", "wma", "oga"), Modality.AUDIO),
    **dict.fromkeys(("m4v", "wmv", "ogv"), Modality.VIDEO),
}


def names_of(format_: str) -> tuple[str, ...]:
    """Return every name of a format, the one that the catalog keeps first."""
    return _GROUPS.get(format_, (format_,))


def format_filter(name: str) -> Filter:
    """Return the filter for files of a format, whichever of its names is given: jpg, jpeg."""
    name = name.lower().lstrip(".")
    # What was asked for stands first: a message about the filter names that one.
    names = dict.fromkeys((name, *_GROUPS.get(name, ())))
    same: Filter = Or(tuple(Compare(Field.FORMAT, Op.EQ, one) for one in names))
    if len(names) == 1:
        same = Compare(Field.FORMAT, Op.EQ, name)
    if (kind := _ONLY.get(name)) is not None:
        return And((same, Compare(Field.MODALITY, Op.EQ, kind.value)))
    return same

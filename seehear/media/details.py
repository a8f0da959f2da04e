"""Clean the texts that files have about themselves, and put them into details."""

from __future__ import annotations

import re
from collections.abc import Iterable

Details = dict[str, str | int | float]

MOST_CHARACTERS = 4_000
"""Of one caption or list of keywords: more than a person writes, less than a program dumps."""

_CAMERA_CAPTION = re.compile(
    r"(?:[\w. ]{0,40} )?digital (?:still )?camera|(?:sony|minolta|konica minolta) dsc"
    r"|samsung(?: camera pictures)?|exif[-_ ]?jpeg(?:[-_ ]picture)?|dcim\\.*|<(?:digimax|kenox).*>"
    r"|(?:oz)?(?:nor|edf)\w*|cof\w*|dav\w*|sdr\w*|mde|rptnb\w*|default",
    re.IGNORECASE,
)
"""What cameras write as a caption by themselves, into every picture."""


def clean_words(value: object) -> str:
    """Return a text in one line, without control characters; "" for what is no text."""
    if isinstance(value, bytes):
        value = _decoded(value)
    if not isinstance(value, str):
        return ""
    text = "".join(" " if ord(char) < 32 else char for char in value.replace("\x00", " "))
    return " ".join(text.encode("utf-8", "ignore").decode().split())[:MOST_CHARACTERS]


def join_words(values: Iterable[object]) -> str:
    """Join different texts to a list such as "sea; boat"."""
    return "; ".join(dict.fromkeys(text for value in values if (text := clean_words(value))))


def put(details: Details, name: str, value: object) -> None:
    """Put a text into details, unless it is empty or a caption of the camera's own."""
    text = clean_words(value)
    if text and not (name == "caption" and _CAMERA_CAPTION.fullmatch(text)):
        details[name] = text


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")

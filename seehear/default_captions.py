"""Know the captions that cameras and programs write by themselves: nobody means them."""

from __future__ import annotations

import re

_MAKERS = """
agfa|aiptek|benq|canon|casio|concord|epson|fuji ?film|general imaging|hp|jenoptik|jvc|kodak|konica
konica minolta|kyocera|leica|medion|minolta|nikon|olympus|panasonic|pentax|polaroid|praktica|premier
ricoh|rollei|samsung|samsung techwin|sanyo|sigma|sony|toshiba|traveler|vivitar|yashica
"""
_WRITTEN = re.compile(
    rf"""
    (?:(?:{"|".join(_MAKERS.split(chr(10))[1:-1])})\s+)? digital\s+(?:still\s+)?camera (?:\s+image)?
    | (?:{"|".join(_MAKERS.split(chr(10))[1:-1])})
    | (?:sony\s+)? dsc (?:\s+digital\s+camera)? | dcim | dcf\s*\d?.? \d? | digital\s+image
    | exif[_ ]+jpeg (?:[_ ]+(?:picture|image|\d)(?:[_ ]+[\w.]+)?)? | jpe?g (?:\s+(?:image|picture))?
    | <\s* (?:digimax|kenox|samsung|vluu|nv\d)\b [^<>]{{0,80}} >
    | (?:cof|nor|oznor|ozedf|edf|dav|ptr|sdr|hdr|rhdr|hdrpl|shdr|mde|btf|btr|bty|fpt|rbt|cuva|_cuva)
    | created\s+(?:with|by)\s+(?:the\s+)?gimp | file\s+written\s+by\s+adobe\s+photoshop .{{0,20}}
    | lead\s+technologies\s+inc .{{0,20}} | creator:\s+gd-jpeg .{{0,80}} | (?:ascii|unicode)
    | optimized\s+by\s+jpegmini .{{0,40}} | default | untitled | camera | picture | image | photo
    """,
    re.IGNORECASE | re.VERBOSE,
)


def is_default_caption(text: str) -> bool:
    """Tell whether a title or caption is one that a camera or a program writes by itself.

    Examples are OLYMPUS DIGITAL CAMERA, SONY DSC, <Digimax i5, Samsung #1> and Exif_JPEG_PICTURE.
    """
    return len(text) <= 200 and _WRITTEN.fullmatch(text.strip(" \t\r\n\0.")) is not None

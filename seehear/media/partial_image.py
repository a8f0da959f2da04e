"""Decode images whose end is missing, or whose marks and sums are wrong, as viewers show them."""

from __future__ import annotations

import math
from typing import Any, BinaryIO, cast

import numpy as np
from PIL import Image, ImageFile

from seehear.errors import BrokenMediaError
from seehear.media import image, truncation
from seehear.media.mute_logs import mute
from seehear.media.sniff import SniffedFormat
from seehear.media.source import size_of
from seehear.types import ImageSample

LEAST_MISSING, MOST_MISSING = 0.01, 0.75
"""Shares of an image that is read in part: nobody sees that a hundredth is missing, and less than
a quarter says too little about it."""
_GREY = 128


def load(file: BinaryIO, kind: SniffedFormat, min_px: int) -> tuple[ImageSample, str]:
    """Decode as `image.load` does, or the part that is there of an image whose end is missing.

    Also return what is missing, in words; "" for a whole image. Raises MediaError where less than
    a quarter is there.
    """
    try:
        return image.load(file, kind, min_px), ""
    except BrokenMediaError as error:
        reason = error
    colours = image.colours_of(file, kind)
    filled, lacks = truncation.filled_up(file, kind)
    with image.opened_image(filled, kind) as opened, mute(), image.as_media_errors("decode"):
        turn, profile = image.orientation_of(opened, kind), opened.info.get("icc_profile")
        interlaced = _is_interlaced(opened, kind)
        if min_px and kind.decoder == "JPEG":
            opened.draft(None, (min_px, min_px))
        try:
            opened.load()
        except Exception:  # of any kind, where the data ends: what was decoded before is there
            opened.tile, lacks = [], lacks or 1
        share = 0.0 if interlaced else _missing_share(opened, kind, lacks / size_of(filled))
        part = _coarse(opened) if lacks and interlaced else _without_end(opened, kind, share)
        if part is None:
            raise reason from None
        shown = image.finished(part, min_px, turn=turn, profile=profile, colours=colours)
        sample = ImageSample(shown)
    if share:
        return sample, f"cut off: the last {100 * share:.0f} % of the picture is missing"
    # Each scan of a progressive JPEG, as each pass of an interlaced image, refines the whole.
    coarse = opened.info.get("progressive") or (lacks and interlaced)
    return sample, "cut off: fine detail of the picture may be missing" if coarse else ""


def _is_interlaced(opened: ImageFile.ImageFile, kind: SniffedFormat) -> bool:
    if kind.decoder == "GIF":
        return bool(cast(tuple[int, bool, int], opened.tile[0].args)[1])
    return bool(opened.info.get("interlace"))


def _missing_share(opened: Image.Image, kind: SniffedFormat, lacks: float) -> float:
    """Return the share of rows that were not decoded, which decoders leave in one colour.

    JPEG decoders leave grey. Codecs of video make something up: take the share of bytes instead.
    """
    if kind.decoder in {"WEBP", "HEIF", "AVIF"}:
        return lacks
    if not lacks and kind.decoder != "JPEG":
        return 0.0
    rows: np.ndarray[Any, Any] = np.asarray(opened)
    rows = rows.reshape(*rows.shape[:2], -1)[:: 1 if kind.decoder == "BMP" else -1]
    if kind.decoder == "JPEG" and abs(int(rows[0, 0, 0]) - _GREY) > 2:
        return 0.0
    empty = (rows == rows[0, 0]).all(axis=(1, 2))
    share = 1.0 if empty.all() else float(np.argmin(empty) / len(rows))
    return share if share >= LEAST_MISSING else 0.0


def _without_end(opened: Image.Image, kind: SniffedFormat, share: float) -> Image.Image | None:
    """Cut off the last share of the rows; None where most of them are missing."""
    if share > MOST_MISSING:
        return None
    height = max(1, math.ceil(opened.height * (1 - share)))
    top = opened.height - height if kind.decoder == "BMP" else 0  # stored from the bottom up
    return opened.crop((0, top, opened.width, top + height)) if share else opened


def _coarse(opened: Image.Image) -> Image.Image | None:
    """Return the pixels of the passes that are complete; None where the first one is not."""
    given, shown = np.asarray(opened), np.asarray(image.displayable(opened))
    for step in (2, 4, 8):
        if given[::step, ::step][-1].any():
            return Image.fromarray(np.ascontiguousarray(shown[::step, ::step]))
    return None

"""Take the pictures of one image file that differ: frames of an animation, pages, tiles.

    an animation (GIF, WebP, APNG, AVIF)     its frames that differ, each with its time
    pages (TIFF), several images (HEIC)      those that differ
    a panorama, a tall screenshot            the whole, and square tiles along its long side

An ordinary photo gives one picture, as `image.load` decodes it.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seehear.media import image
from seehear.media.limits import LIMITS
from seehear.media.sniff import SniffedFormat
from seehear.types import ImageSample, Modality, Segment

MOST_IMAGES = 32
"""Pictures of one file; of more, every second one is kept until so few are left."""
FRAME_DIFFERENCE = 28.0
"""Mean absolute difference of two thumbnails, of 255, from which on two frames of an animation
differ: as for cuts in videos."""
PAGE_DIFFERENCE = 2.0
"""The same for pages: two pages of print look alike at the size of a thumbnail."""
PLAIN = 2.0
"""Standard deviation of a thumbnail, of 255, below which a picture is one plain colour. A file
with other pictures is not found by its plain ones."""
ELONGATED = 2.5
"""Ratio of the sides from which on an image is cut into tiles, too: in the square that a model
looks at, its things would be squeezed beyond recognition."""
TILE_STEP = 0.75
"""Most of a tile's side between two tiles, so that they overlap."""
MOST_TILES = 16
_NO_DELAY_S = 0.1
"""What browsers take for a frame that states no duration."""

_TIMED = frozenset({"GIF", "WEBP", "PNG", "AVIF"})
SEVERAL = _TIMED | {"TIFF", "HEIF"}
"""Decoders of formats that may hold several pictures."""
_SUBFILE_TYPE, _REDUCED_OR_MASK = 254, 0b101


def images(file: BinaryIO, kind: SniffedFormat, px: int) -> Iterator[tuple[Segment, ImageSample]]:
    """Yield the pictures of a file that Pillow reads. Raises MediaError.

    The shorter side of each is scaled down to `px`; a damaged frame after the first ends the file.
    """
    if kind.decoder not in SEVERAL:
        yield from with_tiles(image.load(file, kind, px))
        return
    chosen = _distinct(file, kind, px)
    if len(chosen) == 1:
        yield from with_tiles(chosen[0][1])
    else:
        yield from chosen


def with_tiles(whole: ImageSample) -> Iterator[tuple[Segment, ImageSample]]:
    """Yield an image; then, of a much elongated one, overlapping square tiles that are not plain.

    Tiles stand in the order of the image, as segments without times.
    """
    yield Segment(Modality.IMAGE), whole
    height, width = whole.pixels.shape[:2]
    side = min(height, width)
    if max(height, width) < ELONGATED * side or side < 2:
        return
    count = min(MOST_TILES, math.ceil((max(height, width) / side - 1) / TILE_STEP) + 1)
    for start in np.linspace(0, max(height, width) - side, count).round().astype(int).tolist():
        rows = slice(start, start + side) if height > width else slice(None)
        columns = slice(None) if height > width else slice(start, start + side)
        tile = whole.pixels[rows, columns]
        if not is_plain(image.thumb_of(tile)):
            yield Segment(Modality.IMAGE), ImageSample(np.ascontiguousarray(tile))


def image_at(file: BinaryIO, kind: SniffedFormat, px: int, time_s: float | None) -> ImageSample:
    """Return the frame that an animation shows at a time; without one, the first that says more
    than a plain colour.

    A time past the end gives the last frame. Raises MediaError.
    """
    shown = None
    with closing(_frames(file, kind, px)) as frames:
        for _, stop_s, pixels, _ in frames:
            telling = time_s is not None or not is_plain(image.thumb_of(pixels))
            if shown is None or telling:
                shown = pixels
            if telling and (time_s is None or stop_s > time_s):
                break
    assert shown is not None  # a file without any frame raises an error
    return ImageSample(shown)


def page_at(file: BinaryIO, kind: SniffedFormat, px: int, page: int) -> ImageSample:
    """Return one of several pages or images, numbered from 1. Raises MediaError."""
    with image.decoding(file, kind) as (opened, finish):
        if page > 1 or kind.decoder == "HEIF":
            opened.seek(page - 1)
            image.check_size(*opened.size)
        return ImageSample(finish(px))


def is_plain(thumb: NDArray[np.float32]) -> bool:
    """Tell whether a thumbnail, float32 (h, w, 3), is of one plain colour."""
    return float(thumb.std(axis=(0, 1)).max()) < PLAIN


def differ(one: NDArray[np.float32], other: NDArray[np.float32], least: float) -> bool:
    """Tell whether two thumbnails differ by `least` on average, or in their shape."""
    return one.shape != other.shape or float(np.abs(one - other).mean()) >= least


class NewPages:
    """Tell which pages of a document are new: neither plain nor like an earlier one."""

    def __init__(self) -> None:
        self._thumbs: list[NDArray[np.float32]] = []

    def is_new(self, pixels: NDArray[np.uint8]) -> bool:
        thumb = image.thumb_of(pixels)
        if is_plain(thumb) or not all(differ(thumb, one, PAGE_DIFFERENCE) for one in self._thumbs):
            return False
        self._thumbs.append(thumb)
        return True


def _distinct(file: BinaryIO, kind: SniffedFormat, px: int) -> list[tuple[Segment, ImageSample]]:
    timed = kind.decoder in _TIMED
    least = FRAME_DIFFERENCE if timed else PAGE_DIFFERENCE
    chosen: list[tuple[float, NDArray[np.float32], NDArray[np.uint8], int]] = []
    end = 0.0
    for start_s, stop_s, pixels, page in _frames(file, kind, px):
        end = stop_s
        thumb = image.thumb_of(pixels)
        if all(differ(thumb, other, least) for _, other, *_ in chosen):
            chosen.append((start_s, thumb, pixels, page))
        if len(chosen) >= 2 * MOST_IMAGES:
            chosen = chosen[::2]
    ends = [start for start, *_ in chosen[1:]] + [end]
    telling = [at for at, (_, thumb, *_) in enumerate(chosen) if not is_plain(thumb)] or [0]
    while len(telling) > MOST_IMAGES:
        telling = telling[::2]
    return [
        (
            Segment(Modality.IMAGE, round(chosen[at][0], 3), round(ends[at], 3))
            if timed
            else Segment(Modality.IMAGE, page=chosen[at][3]),
            ImageSample(chosen[at][2]),
        )
        for at in telling
    ]


def _frames(
    file: BinaryIO, kind: SniffedFormat, px: int
) -> Generator[tuple[float, float, NDArray[np.uint8], int]]:
    """Yield (start in seconds, stop, pixels (h, w, 3), number from 1) of each frame or page.

    Upright and scaled. Raises MediaError where the first one cannot be decoded.
    """
    with image.decoding(file, kind) as (opened, finish):
        several = kind.decoder in SEVERAL
        clock, seen = 0.0, 0
        first = opened.tell()
        order = [first, *(number for number in range(LIMITS.image_frames) if number != first)]
        for count, number in enumerate(order if several else [first]):
            try:
                if count:
                    opened.seek(number)
                    image.check_size(*opened.size)
                if count and _is_beside(opened):
                    continue
                pixels = finish(px)
            except Exception:  # of any kind: what comes before is still readable
                if count == 0:
                    raise
                return
            delay_s = float(opened.info.get("duration") or 0) / 1000 or _NO_DELAY_S
            yield clock, clock + delay_s, pixels, number + 1
            clock += delay_s
            seen += opened.size[0] * opened.size[1]
            if seen > LIMITS.animation_pixels:
                return


def _is_beside(opened: Image.Image) -> bool:
    """Tell whether a page of a TIFF is a smaller copy of another one, or a mask."""
    tags = getattr(opened, "tag_v2", None)
    return tags is not None and bool(int(tags.get(_SUBFILE_TYPE, 0)) & _REDUCED_OR_MASK)

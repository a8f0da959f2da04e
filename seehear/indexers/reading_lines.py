"""Take the samples of one file to a reader, and its lines to their place in the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from seehear import media
from seehear.readers import Reader, audio_blocks
from seehear.types import AudioSample, ImageSample, Line, Reading, Segment


def audio_of(file: media.DecodedFile) -> Iterator[tuple[float, AudioSample]]:
    """Yield the sound of a file in the blocks that a reader hears. Raises MediaError."""
    return audio_blocks(
        (segment.start_s or 0.0, sample.waveform)
        for segment, sample in file
        if isinstance(sample, AudioSample)
    )


def lines_of(reader: Reader, file: media.DecodedFile) -> Reading:
    """Return the lines of all pictures of a file, each with its time, page and place.

    Raises MediaError, and as `Reader.see`.
    """
    lines: list[Line] = []
    shown: dict[str, int] = {}
    """Where the lines of the shot before stand in `lines`, by their text."""
    for segment, sample in file:
        if not isinstance(sample, ImageSample):
            continue
        before, shown = shown, {}
        for line in reader.see(sample).lines:
            placed = _placed(line, segment)
            at = before.get(line.text)
            if at is not None and placed.start_s is not None:
                if lines[at].stop_s == placed.start_s:  # what stays on the screen is one line
                    lines[at] = replace(lines[at], stop_s=placed.stop_s)
                    shown[line.text] = at
                    continue
            elif segment.box is not None and any(_is_same(placed, one) for one in lines):
                continue
            shown[line.text] = len(lines)
            lines.append(placed)
    return Reading(tuple(lines))


def _placed(line: Line, image: Segment) -> Line:
    """Return a line with the time and the page of its picture, its box within the whole."""
    box = line.box
    if box is not None and image.box is not None:
        left, top, right, bottom = image.box
        across, down = right - left, bottom - top
        box = (
            left + across * box[0], top + down * box[1],
            left + across * box[2], top + down * box[3],
        )  # fmt: skip
    return replace(line, box=box, start_s=image.start_s, stop_s=image.stop_s, page=image.page)


def _is_same(line: Line, other: Line) -> bool:
    """Tell whether two lines of overlapping tiles stand in one place: the centre of each."""
    if line.box is None or other.box is None:
        return False
    (left, top, right, bottom), there = line.box, other.box
    return there[0] <= (left + right) / 2 <= there[2] and there[1] <= (top + bottom) / 2 <= there[3]

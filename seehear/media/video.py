"""Cut videos into shots: sample frames by time and join neighbours that look alike.

    sampled frames   | a | a | a | b | b | c |
    shots            [     1     )[   2  )[3 )     half-open, they cover the whole video

Short videos are decoded from end to end. Longer ones are sampled at key frames, which are reached
by seeking; where two key frames are further apart than the samples, the frames between are decoded.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from av.sidedata.sidedata import Type as SideDataType
from numpy.typing import NDArray

from seehear.errors import BrokenMediaError, MediaLimitError
from seehear.media import container as containers
from seehear.media.audio import spread_evenly
from seehear.media.fingerprints import Fingerprinter
from seehear.media.hdr import Colours, to_sdr
from seehear.media.image import THUMB_PX, thumb_of
from seehear.media.limits import LIMITS
from seehear.media.timeline import ROUNDING_S, Timeline, period_of
from seehear.types import ImageSample, Modality, SampleSpec, Segment, VideoSample

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

Pixels = NDArray[np.uint8]

SPACING_S = ((30.0, 0.5), (300.0, 1.0), (7200.0, 2.0))
"""(videos up to this long, seconds between samples). A cut is found to the frame where the frames
between two samples are decoded, and to the sample in a longer video that is read by seeking."""
SEEK_FROM_S = 2.0
"""From this spacing on, key frames are used as samples: encoders put one at most cuts."""
SHOT_SAMPLES = 20
"""Most samples in one shot. A longer still scene becomes several hits, so that a small event in
it is not lost in the average."""
SHOT_FRAMES = 6
"""Frames of a shot that are encoded, spread over the shot; they look alike."""
CUT_DIFFERENCE = 28.0
"""Mean absolute difference of two 16-pixel thumbnails, of 255, from which on two frames belong to
different shots. Noise and small motion stay below 10, a pan is around 20, cuts are above 40."""
DRIFT_DIFFERENCE = 45.0
"""The same between a frame and the first one of its shot, so that a slow fade is cut, too."""
MOST_ELONGATED = 32
SHORTEST_S = 0.001
LATE_S = 0.1
"""A video whose first frame comes later than this, behind the start of its sound, begins there."""
MOST_COMPARED = 1_000
"""Frames between two samples among which a cut is looked for; films have up to 120."""


@dataclass(frozen=True, slots=True)
class SampledFrame:
    """A frame at its time, upright and scaled; uint8 (height, width, 3).

    `changed_s` is the time of the frame that, since the last sample, differs most from the one
    before it: the cut, where this sample shows another scene.
    """

    time_s: float
    pixels: Pixels
    changed_s: float


def spacing(duration_s: float | None) -> float:
    """Return the seconds between two sampled frames: at most LIMITS.video_frames in all."""
    if duration_s is None:
        return 1.0
    for most, step in SPACING_S:
        if duration_s <= most:
            return step
    return duration_s / LIMITS.video_frames


def check_size(width_px: int, height_px: int) -> None:
    """Raise BrokenMediaError for frames without pixels, MediaLimitError for too many pixels."""
    if width_px < 1 or height_px < 1:
        raise BrokenMediaError("corrupt: the video has frames without pixels", stage="probe")
    if width_px * height_px > LIMITS.video_pixels:
        raise MediaLimitError(
            f"frames of {width_px:,} x {height_px:,} pixels; the limit is "
            f"{LIMITS.video_pixels // 1_000_000} megapixels",
            stage="probe",
        )


def shots(
    container: InputContainer,
    stream: VideoStream,
    timeline: Timeline,
    spec: SampleSpec,
    damage: containers.DecodeErrors | None = None,
    made: Fingerprinter | None = None,
    *,
    step_s: float | None = None,
) -> Iterator[tuple[Segment, VideoSample]]:
    """Yield the shots of a video in order of time. Raises MediaError."""
    step = step_s or spacing(timeline.video_s or timeline.duration_s)
    aspect = aspect_of(stream)
    reader = FrameReader(
        container, stream, timeline, lambda frame: scaled(frame, spec.image_px, aspect), damage
    )
    held: list[SampledFrame] = []
    first = last = None
    start = 0.0
    for frame in itertools.islice(reader.sampled(step), LIMITS.video_frames):
        if made is not None:
            made.frame(frame.time_s, frame.pixels)
        thumb = thumb_of(frame.pixels)
        if held and (
            len(held) >= SHOT_SAMPLES
            or _differ(thumb, last, CUT_DIFFERENCE)
            or _differ(thumb, first, DRIFT_DIFFERENCE)
        ):
            cut = max(start + SHORTEST_S, frame.changed_s)
            yield _shot(held, start, cut)
            held, start = [], cut
        if not held:
            first = thumb
        if last is None and reader.first_s > LATE_S:
            start = reader.first_s
        last = thumb
        held.append(frame)
    if held:
        yield _shot(held, start, max(reader.end_s, start + SHORTEST_S))


def _shot(held: list[SampledFrame], start: float, stop: float) -> tuple[Segment, VideoSample]:
    chosen = spread_evenly(held, SHOT_FRAMES)
    segment = Segment(Modality.VIDEO, round(start, 3), round(stop, 3))
    return segment, VideoSample(tuple(ImageSample(frame.pixels) for frame in chosen))


def _differ(one: NDArray[np.float32], other: NDArray[np.float32] | None, least: float) -> bool:
    if other is None or one.shape != other.shape:
        return True
    return float(np.abs(one - other).mean()) >= least


class FrameReader:
    """Read frames of a video by time. `shape` turns a decoded frame into pixels."""

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        timeline: Timeline,
        shape: Callable[[Any], Pixels],
        damage: containers.DecodeErrors | None = None,
    ) -> None:
        self._container, self._stream = container, stream
        self._timeline, self._shape = timeline, shape
        self._damage = damage or containers.DecodeErrors()
        self._period = period_of(stream)
        self.first_s, self._last_s = math.inf, 0.0
        containers.share_cores(stream)

    @property
    def end_s(self) -> float:
        """Where the last frame ends: as stated, or where it is shown as long as others."""
        stated = self._timeline.video_s or self._timeline.duration_s
        return max(stated or self._last_s + self._period, self._last_s)

    def sampled(self, step_s: float) -> Iterator[SampledFrame]:
        """Yield one frame for each `step_s` seconds. Raises MediaError for a broken file."""
        duration_s = self._timeline.video_s or self._timeline.duration_s
        if step_s >= SEEK_FROM_S and duration_s is not None:
            yield from self._by_key_frames(step_s, duration_s)
        else:
            yield from self._by_decoding(step_s, duration_s)

    def at(self, time_s: float) -> Pixels:
        """Return the frame shown at a time: the last one at or before it.

        That is the first frame for a time before it. Raises BrokenMediaError where no frame can be
        decoded.
        """
        shown = None
        for frame, at in self._frames(min(time_s, self._timeline.duration_s or time_s)):
            if shown is not None and at > time_s + ROUNDING_S:
                break
            shown = frame
        if shown is None:
            raise BrokenMediaError("corrupt: no frame can be decoded")
        return self._shape(shown)

    def _by_decoding(self, step_s: float, duration_s: float | None) -> Iterator[SampledFrame]:
        # What is shown in the middle of each step; a video shorter than that has its first frame.
        target = min(step_s, duration_s or step_s) / 2
        shown: tuple[Any, float] | None = None
        changes = _Changes()
        for frame, at in self._frames():
            if shown is not None and at > target:
                yield self._sample(shown, changes)
                target = max(target + step_s, at)
            shown = frame, at
            changes.add(frame, at)
            if at > LIMITS.video_duration_s:
                raise MediaLimitError(
                    f"longer than {LIMITS.video_duration_s / 3600:.0f} hours of video"
                )
        # The rest is covered by the sample before it where it is shorter than half a step.
        if shown is not None and self.end_s >= target - step_s / 2:
            yield self._sample(shown, changes)
        self._damage.raise_if_too_many()

    def _by_key_frames(self, step_s: float, duration_s: float) -> Iterator[SampledFrame]:
        """Yield key frames at most a step apart, and decoded frames between others."""
        reached, target = -1.0, step_s / 2
        frames: Iterator[tuple[Any, float]] = iter(())
        seeking = True
        changes = _Changes()
        while target < duration_s:
            if seeking:
                frames = self._frames(target, late_s=step_s)
            found = next(frames, None)
            if found is not None and seeking and found[1] <= reached + ROUNDING_S:
                # The key frame is before the last sample: the group of pictures is longer than a
                # step. Decode on from here, and do not seek again before the next key frame.
                seeking = False
            while (
                found is not None
                and not seeking
                and found[1] < target - min(self._period, step_s) / 2
            ):
                if found[1] > reached:
                    changes.add(*found)
                found = next(frames, None)
                seeking = found is not None and bool(found[0].key_frame)
            if found is None:
                break
            reached = found[1]
            changes.add(*found)
            yield self._sample(found, changes)
            target = max(target + step_s, reached + step_s / 2)
        if self._damage.good == 0:
            self._damage.raise_if_too_many()

    def _sample(self, found: tuple[Any, float], changes: _Changes) -> SampledFrame:
        frame, at = found
        return SampledFrame(max(0.0, at), self._shape(frame), max(0.0, changes.taken()))

    def _frames(
        self, from_s: float = 0.0, late_s: float = ROUNDING_S
    ) -> Iterator[tuple[Any, float]]:
        """Yield decoded frames from a time on, with their times."""
        frames = self._timeline.frames_from(
            self._container, self._stream, self._damage, from_s, late_s
        )
        for frame, at in frames:
            self.first_s, self._last_s = min(self.first_s, at), max(self._last_s, at)
            yield frame, at


class _Changes:
    """Find the frame that differs most from the one before it, among frames added one by one."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, NDArray[np.uint8]]] = deque(maxlen=MOST_COMPARED)

    def add(self, frame: Any, time_s: float) -> None:
        """Add the next frame in order of time."""
        self._seen.append((time_s, _points(frame)))

    def taken(self) -> float:
        """Return the time of the greatest change, and forget all frames but the last one."""
        last = self._seen[-1]
        greatest, changed_s = -1.0, last[0]
        for (_, before), (time_s, after) in itertools.pairwise(self._seen):
            if before.shape == after.shape:
                change = float(np.abs(before.astype(np.int16) - after).mean())
                if change > greatest:
                    greatest, changed_s = change, time_s
        self._seen.clear()
        self._seen.append(last)
        return changed_s


def _points(frame: Any) -> NDArray[np.uint8]:
    """Return some points of a frame's planes as they are stored: enough to tell a cut."""
    depth = _depth(frame.format.name)
    points = []
    for plane in frame.planes if depth else ():
        if plane.line_size <= 0:  # stored bottom up, which PyAV cannot show as a buffer
            continue
        rows = np.frombuffer(plane, dtype=np.uint8).reshape(plane.height, -1)
        if depth > 8:
            rows = rows.view(np.uint16)
        down, across = max(1, plane.height // THUMB_PX), max(1, plane.width // THUMB_PX)
        some = rows[::down, : plane.width : across]
        points.append((some >> depth - 8).astype(np.uint8).ravel() if depth > 8 else some.ravel())
    return np.concatenate(points) if points else np.zeros(1, dtype=np.uint8)


@functools.cache
def _depth(name: str) -> int:
    """Return the bits of a component of a pixel format; 0 for formats of floats and the like."""
    depth = max(part.bits for part in av.VideoFormat(name).components)
    return depth if 8 <= depth <= 16 else 0


def aspect_of(stream: VideoStream) -> float:
    """Return the width of a pixel over its height; 1 where it is not stated or absurd."""
    aspect = float(stream.sample_aspect_ratio or 1)
    return aspect if 0.1 < aspect < 10 else 1.0


def size_probe(aspect: float) -> Callable[[Any], Pixels]:
    """Make a function that returns an array of a frame's shown size, without its pixels."""

    def stand_in(frame: Any) -> Pixels:
        check_size(frame.width, frame.height)
        seen = (max(1, round(frame.width * aspect)), frame.height)
        if display_axes(frame)[0]:
            seen = seen[::-1]
        return np.broadcast_to(np.zeros(3, dtype=np.uint8), (seen[1], seen[0], 3))

    return stand_in


def scaled(frame: Any, px: int, aspect: float = 1.0) -> Pixels:
    """Return a frame as RGB, upright, with square pixels: uint8 (height, width, 3).

    The shorter side has at most `px` pixels (0 keeps the size). Raises MediaError.
    """
    width, height = frame.width, frame.height
    check_size(width, height)
    shown = width * aspect
    scale = min(1.0, px / min(shown, height)) if px else 1.0
    most = MOST_ELONGATED * px if px else LIMITS.video_pixels
    size = (
        max(1, min(most, round(shown * scale))),
        max(1, min(most, round(height * scale))),
    )
    # A video that does not state its colours: BT.709 for high definition, else BT.601, as usual.
    custom = "ITU709" if frame.colorspace == 2 and height >= 720 else None
    colours = Colours(frame.color_trc, frame.color_primaries)
    if colours.is_hdr:
        custom = "BT2020" if frame.colorspace == 2 else None
    # Scaling to planes takes half as long. The pixels are the same where the width is odd: for an
    # even one FFmpeg halves the colours of packed pixels.
    planes = scale < 1 and size[0] % 2 == 1
    form = "rgb48le" if colours.is_hdr else "gbrp" if planes else "rgb24"
    rgb = frame.reformat(*size, format=form, src_colorspace=custom, interpolation="BICUBIC")
    pixels: Pixels = to_sdr(rgb.to_ndarray(), colours) if colours.is_hdr else rgb.to_ndarray()
    swapped, flip_x, flip_y = display_axes(frame)
    if swapped:
        pixels = pixels.transpose(1, 0, 2)
    return np.ascontiguousarray(pixels[:: -1 if flip_y else 1, :: -1 if flip_x else 1])


def display_axes(frame: Any) -> tuple[bool, bool, bool]:
    """Return what shows a frame upright: swap rows and columns, then flip x, then flip y.

    From its display matrix (a b u, c d v, x y w), which shows the pixel (x, y) at
    (a x + c y, b x + d y). Angles between quarter turns are rounded.
    """
    matrix = frame.side_data.get(SideDataType.DISPLAYMATRIX)
    if matrix is None:
        return False, False, False
    a, b, _, c, d = np.frombuffer(bytes(matrix), dtype=np.int32)[:5].tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return False, a < 0, d < 0
    return True, c < 0, b < 0

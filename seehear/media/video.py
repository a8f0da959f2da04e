"""Cut videos into shots: sample frames by time and join neighbours that look alike.

    sampled frames   | a | a | a | b | b | c |
    shots            [     1     )[   2  )[3 )     half-open, they cover the whole video

Short videos are decoded from end to end. Longer ones are sampled at key frames, which are reached
by seeking; where two key frames are further apart than the samples, the frames between are decoded.
"""

from __future__ import annotations

import itertools
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
from seehear.media.hdr import Colours, to_sdr
from seehear.media.image import thumb_of
from seehear.media.limits import LIMITS
from seehear.types import ImageSample, Modality, SampleSpec, Segment, VideoSample

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

Pixels = NDArray[np.uint8]

SPACING_S = ((30.0, 0.5), (300.0, 1.0), (7200.0, 2.0))
"""(videos up to this long, seconds between samples): the time of a moment is exact to half a second
in a short video, to two seconds in a feature film."""
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


@dataclass(frozen=True, slots=True)
class SampledFrame:
    """A frame at its time, upright and scaled; uint8 (height, width, 3)."""

    time_s: float
    pixels: Pixels


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
    container: InputContainer, stream: VideoStream, spec: SampleSpec, *, step_s: float | None = None
) -> Iterator[tuple[Segment, VideoSample]]:
    """Yield the shots of a video in order of time. Raises MediaError."""
    duration = video_duration(container, stream)
    step = step_s or spacing(duration)
    aspect = aspect_of(stream)
    reader = FrameReader(container, stream, lambda frame: scaled(frame, spec.image_px, aspect))
    frames = itertools.islice(reader.sampled(step, duration), LIMITS.video_frames)
    held: list[SampledFrame] = []
    first = last = None
    start = 0.0
    for frame in frames:
        thumb = thumb_of(frame.pixels)
        if held and (
            len(held) >= SHOT_SAMPLES
            or _differ(thumb, last, CUT_DIFFERENCE)
            or _differ(thumb, first, DRIFT_DIFFERENCE)
        ):
            cut = max(start + step / 10, (held[-1].time_s + frame.time_s) / 2)
            yield _shot(held, start, cut)
            held, start = [], cut
        if not held:
            first = thumb
        last = thumb
        held.append(frame)
    if held:
        end = max(duration or 0.0, held[-1].time_s + (0.0 if duration else step), start + step / 10)
        yield _shot(held, start, end)


def _shot(held: list[SampledFrame], start: float, stop: float) -> tuple[Segment, VideoSample]:
    chosen = spread_evenly(held, SHOT_FRAMES)
    segment = Segment(Modality.VIDEO, round(start, 3), round(stop, 3))
    return segment, VideoSample(tuple(ImageSample(frame.pixels) for frame in chosen))


def _differ(one: NDArray[np.float32], other: NDArray[np.float32] | None, least: float) -> bool:
    if other is None or one.shape != other.shape:
        return True
    return float(np.abs(one - other).mean()) >= least


def video_duration(container: InputContainer, stream: VideoStream) -> float | None:
    """Return the duration of the video track in seconds, or None where it is not stated."""
    return containers.duration_of(container, stream)


class FrameReader:
    """Read frames of a video by time. `shape` turns a decoded frame into pixels."""

    def __init__(
        self, container: InputContainer, stream: VideoStream, shape: Callable[[Any], Pixels]
    ) -> None:
        self._container, self._stream, self._shape = container, stream, shape
        self._damage = containers.DecodeErrors()
        self._origin = containers.start_of(container)
        self._period = 1 / float(stream.average_rate) if stream.average_rate else 1 / 25
        self._count = 0
        containers.share_cores(stream)

    def sampled(self, step_s: float, duration_s: float | None) -> Iterator[SampledFrame]:
        """Yield one frame for each `step_s` seconds. Raises MediaError for a broken file."""
        if step_s >= SEEK_FROM_S and duration_s is not None:
            yield from self._by_key_frames(step_s, duration_s)
        else:
            yield from self._by_decoding(step_s, duration_s)

    def at(self, time_s: float, duration_s: float | None) -> Pixels:
        """Return the frame shown at a time; the last one for a time beyond the end.

        Raises BrokenMediaError where no frame can be decoded.
        """
        if duration_s is not None:
            time_s = min(time_s, max(0.0, duration_s - self._period))
        if time_s > 0:
            self._seek(time_s)
        shown = None
        for frame, at in self._frames():
            if shown is not None and at > time_s + self._period / 2:
                break
            shown = frame
        if shown is None and time_s > 0:
            # Some containers cannot seek near their end: decode from the start instead.
            self._seek(0.0)
            for frame, at in self._frames():
                shown = frame
                if at >= time_s:
                    break
        if shown is None:
            raise BrokenMediaError("corrupt: no frame can be decoded")
        return self._shape(shown)

    def _by_decoding(self, step_s: float, duration_s: float | None) -> Iterator[SampledFrame]:
        # In the middle of each step; a video shorter than one step still gives its first frame.
        target = min(step_s, duration_s or step_s) / 2
        last, last_at, taken = None, 0.0, False
        for frame, at in self._frames():
            last, last_at, taken = frame, at, False
            if at + self._period / 2 >= target:
                yield SampledFrame(max(0.0, at), self._shape(frame))
                taken = True
                target = max(target + step_s, at + step_s / 2)
                if at > LIMITS.video_duration_s:
                    raise MediaLimitError(
                        f"longer than {LIMITS.video_duration_s / 3600:.0f} hours of video"
                    )
        if last is not None and not taken and last_at + self._period < target - step_s / 2:
            pass  # the rest is shorter than half a step: the sample before it covers it
        elif last is not None and not taken:
            yield SampledFrame(max(0.0, last_at), self._shape(last))
        stated = duration_s if containers.states_duration(self._container) else None
        self._damage.raise_if_too_many(last_at + self._period, stated)

    def _by_key_frames(self, step_s: float, duration_s: float) -> Iterator[SampledFrame]:
        """Yield key frames at most a step apart, and decoded frames between others."""
        reached, target = -1.0, step_s / 2
        frames: Iterator[tuple[Any, float]] = iter(())
        seeking = True
        while target < duration_s:
            if seeking:
                self._seek(target)
                frames = self._frames()
            found = next(frames, None)
            if found is not None and seeking and found[1] <= reached + self._period / 2:
                # The key frame is before the last sample: the group of pictures is longer than a
                # step. Decode on from here, and do not seek again before the next key frame.
                seeking = False
            while found is not None and not seeking and found[1] < target - self._period / 2:
                found = next(frames, None)
                seeking = found is not None and bool(found[0].key_frame)
            if found is None:
                break
            frame, reached = found
            yield SampledFrame(max(0.0, reached), self._shape(frame))
            target = max(target + step_s, reached + step_s / 2)
        if self._damage.good == 0:
            self._damage.raise_if_too_many(0.0, None)
        if reached < 0.5 * duration_s - step_s and containers.states_duration(self._container):
            raise BrokenMediaError(
                f"truncated: it ends after {max(0.0, reached):.1f} of {duration_s:.1f} seconds"
            )

    def _seek(self, time_s: float) -> None:
        self._container.seek(int((time_s + self._origin) * av.time_base), backward=True)

    def _frames(self) -> Iterator[tuple[Any, float]]:
        """Yield decoded frames from the current position, with their times."""
        for packet in self._container.demux(self._stream):
            for frame in self._damage.decode(packet):
                at = frame.time
                if at is None:
                    at = self._origin + self._count * self._period
                self._count += 1
                yield frame, float(at) - self._origin


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
    form = "rgb48le" if colours.is_hdr else "rgb24"
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

"""Read the tracks of a film or a sound, and what a second track of a kind adds to the first.

    cats, first camera     [ garden ][ sofa        ][ window ]
    cats, second camera    [ garden ][ kitchen     ][ window ]     only the kitchen is added

A container may hold several tracks of a kind: two cameras, another language, a commentary, the same
sound in another codec. The first one is what a player chooses. One more of each kind is read, and
given as far as it differs from the first one at the same time. The others are only counted.
Thumbnails, players and queries by a file take the first track.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seehear.errors import BrokenMediaError, MediaError, UnsupportedMediaError
from seehear.media import audio, video
from seehear.media import container as containers
from seehear.media.downmix import at_full_scale
from seehear.media.fingerprints import Fingerprinter
from seehear.media.image import thumb_of
from seehear.media.image_frames import differ
from seehear.media.media_info import TRACK_COUNTS, OpenFile, timeline_of
from seehear.media.timeline import of_track
from seehear.types import (
    AudioSample,
    ImageSample,
    Modality,
    Sample,
    SampleSpec,
    Segment,
    VideoSample,
)

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.stream import Stream

SCENE_DIFFERENCE = 15.0
"""Mean absolute difference of two thumbnails, of 255, from which on they show different scenes. The
same film in another size or codec stays below 10."""
NEAR_S = 1.0
"""Two tracks of one film may sample a scene this far apart."""
FRAME_S = 0.25
BANDS = 16
BANDS_HZ = np.geomspace(100.0, 3800.0, BANDS + 1)
RANGE_DB = 40.0
"""Bands that are weaker than the loudest one of a window by this do not count."""
FRAME_DIFFERENCE_DB = 5.0
"""Mean difference of two frames from which on they sound different. Codecs at low bit rates stay
below 4.2; rain and coins, the most alike of eleven sounds, have 5.4."""
MOST_DIFFERENT = 0.1
"""Share of different frames above which a window sounds different: one word in ten seconds."""
FLOOR_DB = -120
NAMES = {Modality.VIDEO: "film", Modality.AUDIO: "sound"}


def samples(
    item: OpenFile, spec: SampleSpec, made: Fingerprinter | None
) -> Iterator[tuple[Segment, Sample]]:
    """Yield the shots of a probed film, then its windows of sound. Raises MediaError.

    What a second track adds follows the first one. `made` is shown the first tracks.
    """
    assert item.info is not None
    if item.info.modality is Modality.VIDEO:
        yield from _tracks(item, Modality.VIDEO, spec, made)
    yield from _tracks(item, Modality.AUDIO, spec, made)
    if item.has_words:
        yield from _words_inside(item)


def _words_inside(item: OpenFile) -> Iterator[tuple[Segment, Sample]]:
    """Yield the lyrics and subtitles inside a film or a sound.

    The file is searched without those that cannot be read.
    """
    from seehear.media import lyrics, subtitle_tracks

    with suppress(MediaError), _opened(item) as container:
        yield from lyrics.passages(item.file, container)
        yield from subtitle_tracks.passages(container, timeline_of(item))


def _tracks(
    item: OpenFile, kind: Modality, spec: SampleSpec, made: Fingerprinter | None
) -> Iterator[tuple[Segment, Sample]]:
    """Yield the segments of the first track of a kind, and what a second one adds."""
    info, clock = item.info, timeline_of(item)
    assert info is not None
    read: Any = video.shots if kind is Modality.VIDEO else audio.track_windows
    streams_of: Any = (
        containers.video_streams if kind is Modality.VIDEO else containers.audio_streams
    )
    before = _Shown() if kind is Modality.VIDEO else _Heard()
    several = TRACK_COUNTS[kind] in info.details
    for number in range(2 if several else 1):
        damage = containers.DecodeErrors()
        # Opened again: each track is read from the start, and decoders keep their state.
        with _opened(item) as container:
            streams: Sequence[Stream] = streams_of(container)
            if number >= len(streams):
                if info.modality is kind and not number:
                    raise BrokenMediaError(f"corrupt: its {NAMES[kind]} cannot be decoded")
                return
            stream = streams[number]
            end = of_track(clock, container, stream) if number else clock
            pairs = read(container, stream, end, spec, damage, None if number else made)
            try:
                for segment, sample in pairs:
                    if number and before.has(segment, sample):
                        continue
                    if several and not number:
                        before.add(segment, sample)
                    yield segment, sample
            except BrokenMediaError:
                if number and containers.stream_has_data(container, stream):
                    info.mark_partial(f"its second {NAMES[kind]} track cannot be decoded")
                elif info.modality is kind or containers.stream_has_data(container, stream):
                    raise
        if (told := damage.told()) and "partial" not in info.details:
            info.mark_partial(told)


class _Shown:
    """The scenes of a film track: thumbnails of the frames of its shots."""

    def __init__(self) -> None:
        self._shots: list[tuple[float, float, list[NDArray[np.uint8]]]] = []

    def add(self, segment: Segment, sample: Sample) -> None:
        thumbs = [thumb.astype(np.uint8) for thumb in _thumbs(sample)]
        self._shots.append((segment.start_s or 0.0, segment.stop_s or 0.0, thumbs))

    def has(self, segment: Segment, sample: Sample) -> bool:
        """Tell whether each frame of a shot looks like one that was shown at that time."""
        start, stop = (segment.start_s or 0.0) - NEAR_S, (segment.stop_s or 0.0) + NEAR_S
        shown = [
            thumb.astype(np.float32)
            for begin, end, thumbs in self._shots
            if begin < stop and start < end
            for thumb in thumbs
        ]
        return all(
            not all(differ(thumb, one, SCENE_DIFFERENCE) for one in shown)
            for thumb in _thumbs(sample)
        )


def _thumbs(sample: Sample) -> list[NDArray[np.float32]]:
    assert isinstance(sample, VideoSample)
    return [thumb_of(frame.pixels) for frame in sample.frames]


class _Heard:
    """The sound of a track: levels of its bands in dB, int8 (n, bands), four times a second."""

    def __init__(self) -> None:
        self._levels = np.full((0, BANDS), FLOOR_DB, dtype=np.int8)

    def add(self, segment: Segment, sample: Sample) -> None:
        first, levels = _levels(segment, sample)
        if (last := first + len(levels)) > len(self._levels):
            more = np.full((last, BANDS), FLOOR_DB, dtype=np.int8)
            self._levels = np.concatenate([self._levels, more])
        self._levels[first:last] = levels

    def has(self, segment: Segment, sample: Sample) -> bool:
        """Tell whether a window sounds like what was heard at that time."""
        first, levels = _levels(segment, sample)
        heard = self._levels[first : first + len(levels)]
        return len(heard) == len(levels) > 0 and audio_agrees(heard, levels)


def _levels(segment: Segment, sample: Sample) -> tuple[int, NDArray[np.int8]]:
    """Return the levels of a window's frames, and the number of the first one on the clock."""
    assert isinstance(sample, AudioSample)
    rate = sample.sample_rate_hz
    size, start = round(FRAME_S * rate), round((segment.start_s or 0.0) * rate)
    wave = sample.waveform[-start % size :]
    frames = wave[: len(wave) // size * size].reshape(-1, size) * np.hanning(size)
    powers = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    edges = np.searchsorted(np.fft.rfftfreq(size, 1 / rate), BANDS_HZ)
    sums = np.add.reduceat(powers, edges[:-1], axis=1)
    levels = np.rint(10 * np.log10(np.maximum(sums, 1e-12)))
    return -(-start // size), np.clip(levels, FLOOR_DB, 127).astype(np.int8)


def audio_agrees(one: NDArray[np.int8], other: NDArray[np.int8]) -> bool:
    """Tell whether levels of bands in dB, int8 (n, bands), are of one sound, at any volume."""
    a, b = one.astype(np.float32), other.astype(np.float32)
    heard = (a > a.max() - RANGE_DB) & (b > b.max() - RANGE_DB)
    if a.max() <= FLOOR_DB or not heard.any():
        return False
    b += np.median((a - b)[heard])
    floor = max(a.max(), b.max()) - RANGE_DB
    apart = np.abs(np.maximum(a, floor) - np.maximum(b, floor))
    counted = np.maximum(1, (np.maximum(a, b) > floor).sum(axis=1))
    return float((apart.sum(axis=1) / counted >= FRAME_DIFFERENCE_DB).mean()) <= MOST_DIFFERENT


def query_samples(item: OpenFile, spec: SampleSpec, most: int) -> list[Sample]:
    """Return at most `most` samples of each kind, spread over the first tracks."""
    timeline = timeline_of(item)
    found: list[Sample] = []
    spans: list[Segment] = []
    if item.info is not None and item.info.modality is Modality.VIDEO:
        with _opened(item) as container:
            movie = containers.video_stream(container)
            if movie is not None:
                least = video.spacing(timeline.duration_s)
                step = max(least, (timeline.duration_s or 0.0) / (4 * most))
                shots = list(video.shots(container, movie, timeline, spec, step_s=step))
                spans = [span for span, _ in shots]
                found.extend(audio.spread_evenly([shot for _, shot in shots], most))
    with _opened(item) as container:
        track = containers.audio_stream(container)
        if track is not None:
            found.extend(audio.spread_windows(container, track, timeline, spec, most, spans))
    return found


def frame_at(item: OpenFile, time_s: float, px: int) -> ImageSample:
    """Return the frame that the first film track shows at a time. Raises MediaError."""
    timeline = timeline_of(item)
    with _opened(item) as container:
        movie = containers.video_stream(container)
        if movie is None:
            raise UnsupportedMediaError("a sound has no image")
        aspect = video.aspect_of(movie)
        reader = video.FrameReader(
            container, movie, timeline, lambda frame: video.scaled(frame, px, aspect)
        )
        return ImageSample(reader.at(max(0.0, time_s)))


def load_audio(item: OpenFile, rate: int, start_s: float, most_s: float) -> AudioSample:
    """Return the sound of the first track from `start_s` on. Raises MediaError."""
    timeline = timeline_of(item)
    with _opened(item) as container:
        track = containers.audio_stream(container)
        if track is None:
            raise BrokenMediaError("it has no sound")
        blocks = audio.waveform_blocks(
            container, track, timeline, rate, start_s=start_s, most_s=most_s
        )
        waveform = audio.joined(blocks, round(start_s * rate))
        return AudioSample(at_full_scale(waveform), rate)


@contextmanager
def _opened(item: OpenFile) -> Iterator[InputContainer]:
    with containers.opened_container(item.file, item.kind, "decode") as container:
        yield container

"""Cut one file for a reader: its sound without gaps, or its pictures as large as print needs.

speech      the sound track in pieces that follow one another, silence and all
writing     pictures of at most `IMAGE_PX`, one frame of each shot, pages that have no text
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from seehear.media.limits import LIMITS
from seehear.media.media_info import OpenFile, timeline_of
from seehear.media.sniff import Decoder
from seehear.types import AudioSample, ImageSample, Modality, Origin, SampleSpec, Segment

IMAGE_PX = 2_000
"""Longer side of a picture that is read; letters of 20 pixels on a photograph stay readable."""
FRAME_PX = 1_080
"""Shorter side of a frame of a film that is read."""
PIECE_S = 30.0
"""Length of a piece of sound."""
MOST_TILES = 32
"""Tiles of a picture much longer than wide, such as a long screenshot: each is read by itself."""


ImagesOf = Callable[[OpenFile, int], Iterator[tuple[Segment, ImageSample]]]
"""`decode.images_of`: the pictures of an image file."""


def samples_for(
    item: OpenFile, spec: SampleSpec, images_of: ImagesOf
) -> Iterator[tuple[Segment, AudioSample | ImageSample]]:
    """Yield what the reader of `spec` takes of a file that is open and probed. Raises MediaError.

    A tile has its place in the picture as `box`.
    """
    assert item.info is not None
    if spec.reader == Origin.SPEECH:
        if item.kind.reader is Decoder.FFMPEG:
            yield from _audio(item, spec.sample_rate_hz)
    elif item.info.modality is Modality.IMAGE:
        yield from _images(item, images_of)
    elif item.info.modality is Modality.VIDEO:
        yield from _frames(item, spec)
    elif item.kind.reader is Decoder.PDF:
        from seehear.media import pdf

        # Pages are drawn by their shorter side: a page of A4 then has 2,000 pixels down.
        for page, sample in pdf.images_of(item.file, round(IMAGE_PX / math.sqrt(2))):
            yield Segment(Modality.IMAGE, page=page), _bounded(sample)


def _audio(item: OpenFile, rate: int) -> Iterator[tuple[Segment, AudioSample]]:
    from seehear.media import audio
    from seehear.media import container as containers
    from seehear.media.downmix import at_full_scale

    timeline = timeline_of(item)
    with containers.opened_container(item.file, item.kind, "decode") as container:
        track = containers.audio_stream(container)
        if track is None:
            return
        blocks = audio.waveform_blocks(container, track, timeline, rate)
        for position, block in audio.joined_to(round(PIECE_S * rate), blocks):
            start_s = max(0, position) / rate
            segment = Segment(Modality.AUDIO, start_s, start_s + len(block) / rate)
            yield segment, AudioSample(at_full_scale(block), rate)


def _images(item: OpenFile, images_of: ImagesOf) -> Iterator[tuple[Segment, ImageSample]]:
    from seehear.media.image_frames import ELONGATED

    for segment, sample in images_of(item, IMAGE_PX):
        height, width = sample.pixels.shape[:2]
        if max(height, width) < ELONGATED * min(height, width):
            yield segment, _bounded(sample)
            continue
        yield from _tiles(sample)
        return  # what follows are smaller tiles of the same picture


def _tiles(whole: ImageSample) -> Iterator[tuple[Segment, ImageSample]]:
    from seehear.media.image_frames import TILE_STEP

    height, width = whole.pixels.shape[:2]
    side, longer = min(height, width), max(height, width)
    count = min(MOST_TILES, math.ceil((longer / side - 1) / TILE_STEP) + 1)
    for start in np.linspace(0, longer - side, count).round().astype(int).tolist():
        first, last = start / longer, (start + side) / longer
        if height > width:
            tile, box = whole.pixels[start : start + side], (0.0, first, 1.0, last)
        else:
            tile, box = whole.pixels[:, start : start + side], (first, 0.0, last, 1.0)
        yield Segment(Modality.IMAGE, box=box), _bounded(ImageSample(np.ascontiguousarray(tile)))


def _frames(item: OpenFile, spec: SampleSpec) -> Iterator[tuple[Segment, ImageSample]]:
    """Yield the frame in the middle of each shot."""
    from seehear.media import container as containers
    from seehear.media import video

    timeline = timeline_of(item)
    with containers.opened_container(item.file, item.kind, "decode") as container:
        movie = containers.video_stream(container)
        if movie is None:
            return
        for count, (segment, shot) in enumerate(video.shots(container, movie, timeline, spec)):
            if count >= LIMITS.segments:
                return
            frame = shot.frames[len(shot.frames) // 2]
            yield Segment(Modality.IMAGE, segment.start_s, segment.stop_s), _bounded(frame)


def _bounded(sample: ImageSample) -> ImageSample:
    from seehear.media import image

    if max(sample.pixels.shape[:2]) <= IMAGE_PX:
        return sample
    return ImageSample(image.resized(sample.pixels, IMAGE_PX))

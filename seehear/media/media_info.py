"""Probe a file by kind: read its headers and return a MediaInfo."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, BinaryIO

from seehear.default_captions import is_default_caption
from seehear.errors import BrokenMediaError
from seehear.media import metadata
from seehear.media.coordinates import point_of
from seehear.media.dates import BY_NAME, Dated, choose_date, name_date
from seehear.media.details import MOST_CHARACTERS, Details
from seehear.media.sidecars import with_sidecars
from seehear.media.sniff import Decoder, SniffedFormat
from seehear.media.source import size_of
from seehear.types import MediaInfo, Modality

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.stream import VideoStream

    from seehear.media.timeline import Timeline

TIFF = SniffedFormat("tiff", Decoder.PILLOW, "TIFF")
_AUDIO_NAMES = {"mov": "m4a", "mp4": "m4a", "3gp": "m4a", "mkv": "mka", "asf": "wma"}
_VIDEO_NAMES = {"asf": "wmv", "ogg": "ogv"}

TRACK_COUNTS = {Modality.VIDEO: "video_tracks", Modality.AUDIO: "sound_tracks"}
"""The details that say how many tracks of a kind a file has, where it has more than one."""


@dataclass(slots=True)
class OpenFile:
    """A source that was opened and recognised; `info` is set once it was probed.

    `info.details["partial"]` says what is missing of a file that is read in part.
    """

    file: BinaryIO
    kind: SniffedFormat
    missing_bytes: int = 0
    """How many bytes the file lacks by its own headers."""
    info: MediaInfo | None = None
    has_words: bool = True
    """Whether a film or a sound may hold lyrics or subtitles; known once it was probed."""
    timeline: Timeline | None = None
    """The clock of a film or a sound, set once it was measured."""
    path: str = ""
    """Where it lies, for what its name tells; empty for bytes."""
    root: str | None = None
    """The folder that no link to a file beside it may leave; None allows every link."""


@contextmanager
def told_as_truncated(item: OpenFile) -> Iterator[None]:
    """Give a truncated file that cannot be read this reason, not what its decoder stumbled over."""
    try:
        yield
    except BrokenMediaError as error:
        if not item.missing_bytes:
            raise
        whole = size_of(item.file) + item.missing_bytes
        raise BrokenMediaError(
            f"truncated: {item.missing_bytes:,} of {whole:,} bytes are missing", stage=error.stage
        ) from None


def probe_open(item: OpenFile) -> MediaInfo:
    """Probe an open file: set and return its MediaInfo. Raises MediaError."""
    with told_as_truncated(item):
        item.info = _PROBES[item.kind.reader](item)
    item.file.seek(0)
    return item.info


def _probe_image(item: OpenFile) -> MediaInfo:
    from seehear.media import image

    image.check_frames(item.file, item.kind)
    with image.opened_image(item.file, item.kind, partly=True) as opened_image:
        dates, details = metadata.of_image(opened_image)
        width, height = opened_image.size
        if image.orientation_of(opened_image, item.kind) >= 5:
            width, height = height, width
    details["orientation"] = metadata.orientation(width, height)
    return _info(item, Modality.IMAGE, details, dates, width, height)


def _probe_raw(item: OpenFile) -> MediaInfo:
    from seehear.media import raw

    try:
        with raw.opened_raw(item.file) as opened_raw:
            width, height = raw.size_px(opened_raw)
            dates, details = raw.details_of(item.file, opened_raw)
    except raw.NotRawError:
        item.file.seek(0)
        if item.file.read(4) not in (b"II*\x00", b"MM\x00*"):
            raise BrokenMediaError("corrupt: LibRaw cannot read it", stage="probe") from None
        item.file.seek(0)
        item.kind = TIFF  # a TIFF with some tags of a RAW file
        return _probe_image(item)
    details["orientation"] = metadata.orientation(width, height)
    return _info(item, Modality.IMAGE, details, dates, width, height)


def _probe_container(item: OpenFile) -> MediaInfo:
    from seehear.media import container as containers
    from seehear.media import lyrics, subtitle_tracks, timeline, video

    with containers.opened_container(item.file, item.kind, "probe") as container:
        movies, tracks = containers.video_streams(container), containers.audio_streams(container)
        movie, track = next(iter(movies), None), next(iter(tracks), None)
        dates, details = metadata.of_tags(container.metadata, is_video=movie is not None)
        item.has_words = lyrics.has_words(item.file, container) or bool(
            subtitle_tracks.choose_tracks(container.streams.subtitles)
        )
        for kind, found in ((Modality.VIDEO, movies), (Modality.AUDIO, tracks)):
            if len(found) > 1:
                details[TRACK_COUNTS[kind]] = len(found)
        if track is not None:
            details["sample_rate_hz"] = int(track.codec_context.sample_rate or 0)
            details["channels"] = track.codec_context.channels
        name = item.kind.format
        if movie is None:
            if track is None:
                raise BrokenMediaError("corrupt: it has neither sound nor video", stage="probe")
            details["codec"] = track.codec_context.codec.canonical_name
            clock = _measure(item, container, None, track, details)
            # Ogg stores its tags on the stream.
            stream_dates, stream_details = metadata.of_tags(track.metadata)
            dates, details = [*dates, *stream_dates], {**stream_details, **details}
            name = _audio_name(name, str(details["codec"]))
            return _info(
                item, Modality.AUDIO, details, dates, duration_s=clock.duration_s, name=name
            )
        context = movie.codec_context
        details["codec"] = context.codec.canonical_name
        if movie.average_rate:
            details["frame_rate"] = round(float(movie.average_rate), 3)
        video.check_size(context.width, context.height)
        shape = video.size_probe(video.aspect_of(movie))
        reader = video.FrameReader(container, movie, timeline.Timeline(0.0, None), shape)
        height, width = reader.at(0.0).shape[:2]
        clock = _measure(item, container, movie, track, details)
        details["orientation"] = metadata.orientation(width, height)
        name = _VIDEO_NAMES.get(name, name)
        return _info(
            item, Modality.VIDEO, details, dates, width, height, clock.duration_s, name=name
        )


def timeline_of(item: OpenFile) -> Timeline:
    """Return the clock of a film or a sound; measure it if that was not done. Raises MediaError."""
    if item.timeline is None:
        from seehear.media import container as containers

        with containers.opened_container(item.file, item.kind, "probe") as container:
            streams = containers.video_stream(container), containers.audio_stream(container)
            return _measure(item, container, *streams, {})
    return item.timeline


def _measure(
    item: OpenFile,
    container: InputContainer,
    movie: VideoStream | None,
    track: AudioStream | None,
    details: Details,
) -> Timeline:
    from seehear.media import timeline

    clock = timeline.measure(item.file, container, movie, track)
    item.timeline = timeline.cut_off(clock, container, item.missing_bytes, details)
    return item.timeline


def _audio_name(name: str, codec: str) -> str:
    if name == "ogg":
        return {"opus": "opus", "flac": "ogg"}.get(codec, "ogg")
    return _AUDIO_NAMES.get(name, name)


def _probe_pdf(item: OpenFile) -> MediaInfo:
    from seehear.media import pdf

    with pdf.opened_pdf(item.file) as reader:
        dates, details = pdf.details_of(reader)
    return _info(item, Modality.TEXT, details, dates)


def _probe_svg(item: OpenFile) -> MediaInfo:
    from seehear.media import svg

    drawing = svg.read(item.file)
    size = drawing.width_px, drawing.height_px
    return _info(item, Modality.IMAGE, drawing.details, [], *size)


def _probe_document(item: OpenFile) -> MediaInfo:
    from seehear.media import documents

    with documents.opened_document(item.file, "probe") as document:
        assert document is not None  # `recognise` has checked it
        dates, details = documents.details_of(document)
    return _info(item, Modality.TEXT, details, dates)


def _probe_text(item: OpenFile) -> MediaInfo:
    from seehear.media import text

    details: Details = {}
    name = item.kind.format
    if name == "eml":
        from seehear.media import mail

        dates, details = mail.details_of(item.file.read(mail.HEADER_BYTES))
        return _info(item, Modality.TEXT, details, dates)
    if name in {"md", "html"}:
        start = text.read_text(item.file)
        title = text.front_matter_title(start) if name == "md" else text.from_html(start)[1]
        if title:
            details["title"] = title[:MOST_CHARACTERS]
    return _info(item, Modality.TEXT, details, [])


def _info(
    item: OpenFile,
    modality: Modality,
    details: Details,
    dates: list[Dated],
    width_px: int | None = None,
    height_px: int | None = None,
    duration_s: float | None = None,
    *,
    name: str = "",
) -> MediaInfo:
    """Return the info of a file; `name` is that of its format, where it is not as recognised."""
    file_name = PurePath(item.path).name
    if modality is not Modality.TEXT and item.path:
        dates, details = with_sidecars(item.path, item.root, dates, details)
        if (named := name_date(file_name)) is not None:
            dates = [*dates, (BY_NAME, "name", named)]
    taken, found = choose_date(dates, point_of(details), file_name, duration_s or 0.0)
    seconds = None if duration_s is None else round(duration_s, 3)
    for field in ("title", "caption"):
        if is_default_caption(str(details.get(field, ""))):
            del details[field]
    return MediaInfo(
        modality, name or item.kind.format, width_px, height_px, seconds, taken, details | found
    )


_PROBES: dict[Decoder, Callable[[OpenFile], MediaInfo]] = {
    Decoder.RAW: _probe_raw,
    Decoder.PILLOW: _probe_image,
    Decoder.FFMPEG: _probe_container,
    Decoder.SVG: _probe_svg,
    Decoder.PDF: _probe_pdf,
    Decoder.ARCHIVE: _probe_document,
    Decoder.TEXT: _probe_text,
}

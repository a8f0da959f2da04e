"""Open audio and video containers through FFmpeg (PyAV), with the demuxer chosen here.

FFmpeg gets the file as bytes, never by name: it would interpret patterns and protocols in a name.
The demuxer is chosen by the first bytes of the file.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import av
import av.error
from av.codec.context import ThreadType

from seehear.errors import BrokenMediaError, MediaError
from seehear.media.limits import LIMITS, out_of_memory
from seehear.media.mute_logs import silence_ffmpeg
from seehear.media.sniff import SniffedFormat
from seehear.media.source import head_of

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream

_Track = TypeVar("_Track", bound="Stream")

BUFFER_BYTES = 256 << 10
"""Bytes per read: eight times PyAV's default, since each read crosses from C to Python."""
THREADS = 2
"""Per decoder. Files are decoded in parallel, so more threads would only compete for the cores."""
BAD_SHARE, WORST_SHARE = 0.1, 0.5
"""Shares of packets that cannot be decoded. Fewer than the first are skipped, as players do; up to
the second the file is read in part; with more it counts as corrupt."""

_DTS = re.compile(rb"\x7f\xfe\x80\x01|\xfe\x7f\x01\x80|\x1f\xff\xe8\x00|\xff\x1f\x00\xe8")
"""How a block of DTS begins, which some WAV files hold in place of the samples that they state."""
_DTS_WITHIN = 160 << 10
"""Where FFmpeg looks for it: in the first 32 packets, and the headers before them."""

_DEMUXERS = (
    "wav,w64,avi,flac,ogg,aiff,caf,asf,amr,ape,wv,tta,au,mpc8,mpc,dsf,matroska,webm,flv,mxf,mpeg,"
    "mpegvideo,ac3,eac3,dts,mov,mpegts,mp3,aac"
)


@contextmanager
def opened_container(file: BinaryIO, kind: SniffedFormat, stage: str) -> Iterator[InputContainer]:
    """Open the container and read its streams.

    Raises MediaError: of the stage "probe" while it is opened, of `stage` from then on.
    """
    silence_ffmpeg()
    file.seek(0)
    options = {"max_streams": str(LIMITS.streams), "max_pixels": str(LIMITS.video_pixels)}
    if not kind.decoder:
        options["format_whitelist"] = _DEMUXERS
    elif kind.decoder == "wav" and _DTS.search(head_of(file, _DTS_WITHIN)) is None:
        # FFmpeg looks whether samples are not rather DTS, through the probes of all its formats:
        # that takes as long as resampling half a minute.
        options["max_probe_packets"] = "1"
    with as_media_errors("probe"):
        container = av.open(
            _Seekable(file),
            mode="r",
            format=kind.decoder or None,
            options=options,
            metadata_errors="replace",
            buffer_size=BUFFER_BYTES,
        )
    with as_media_errors(stage), closing(container):
        yield container


def audio_stream(container: InputContainer) -> AudioStream | None:
    """Return the track that a player would choose: the default one, else the first, else None."""
    return next(iter(audio_streams(container)), None)


def video_stream(container: InputContainer) -> VideoStream | None:
    """Return the video track that a player would choose, or None."""
    return next(iter(video_streams(container)), None)


def audio_streams(container: InputContainer) -> list[AudioStream]:
    """Return all sound tracks: what a player chooses first, then other languages than that."""
    return _by_choice([s for s in container.streams.audio if _decodable(s)])


def video_streams(container: InputContainer) -> list[VideoStream]:
    """Return all video tracks, likewise. The cover image of a song does not count."""
    return _by_choice(
        [
            s
            for s in container.streams.video
            if _decodable(s) and not _is(s, "attached_pic") and not _is(s, "timed_thumbnails")
        ]
    )


def _by_choice(streams: list[_Track]) -> list[_Track]:
    if not streams:
        return []
    first = next((s for s in streams if _is(s, "default")), streams[0])
    others = [s for s in streams if s is not first]
    spoken = {"", "und", _language(first)}
    return [first, *sorted(others, key=lambda s: _language(s) in spoken)]


def share_cores(stream: AudioStream | VideoStream) -> None:
    """Decode a stream on THREADS threads; no effect once decoding has begun."""
    context = stream.codec_context
    if not context.is_open:
        context.thread_count = THREADS
        context.thread_type = ThreadType.AUTO


def stream_has_data(container: InputContainer, stream: Stream) -> bool:
    """Tell whether a track has any packet; cameras write empty sound tracks with the sound off."""
    container.seek(0)
    return any(packet.size for packet in container.demux(stream))


class DecodeErrors:
    """Count the packets that cannot be decoded, and raise an error when there are too many."""

    def __init__(self) -> None:
        self.good = 0
        self.bad = 0

    def packets(self, container: InputContainer, stream: Stream) -> Iterator[Packet[Any]]:
        """Yield the packets of a stream up to the end, or to data that is none, as players do."""
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except (av.error.MemoryError, MemoryError):
                raise
            except av.error.FFmpegError:
                if self.good == 0:
                    raise
                packet = av.Packet()  # an empty one: the decoder gives what it holds back
                packet.stream = stream
                yield packet
                return
            if packet is None:
                return
            yield packet

    def decode(self, packet: Packet[Any]) -> list[Any]:
        """Return the frames of a packet, or an empty list for a damaged packet.

        A packet without content, which FFmpeg refuses, shows the frame before it once more
        (Theora). Raises BrokenMediaError after 100 damaged packets without a good one.
        """
        if packet.size == 0 and (packet.pts is not None or packet.dts is not None):
            return []
        try:
            frames = list(packet.decode())
        except av.error.EOFError:
            return []
        except (av.error.MemoryError, MemoryError):
            raise
        except av.error.FFmpegError as error:
            self.bad += 1
            if self.good == 0 and self.bad >= 100:
                raise BrokenMediaError(
                    f"corrupt: nothing can be decoded ({_words(error)})"
                ) from None
            return []
        self.good += bool(frames)
        return frames

    def raise_if_too_many(self) -> None:
        """Raise BrokenMediaError if too many packets are damaged."""
        if self.good == 0:
            raise BrokenMediaError("corrupt: nothing can be decoded")
        if self.bad > WORST_SHARE * (self.good + self.bad):
            raise BrokenMediaError(f"corrupt: {self.told()}")

    def told(self) -> str:
        """Return what is missing, in words; "" for as little as players skip."""
        total = self.good + self.bad
        some = self.bad > BAD_SHARE * total
        return f"{self.bad:,} of {total:,} packets cannot be decoded" if some else ""


class _Seekable:
    """What FFmpeg reads. A wrong size leads it to no place at all: tell it, and raise nothing."""

    def __init__(self, file: BinaryIO) -> None:
        self.read, self.tell, self._file = file.read, file.tell, file

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return self._file.seek(offset, whence)
        except ValueError:
            return -1
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return -1


@contextmanager
def as_media_errors(stage: str) -> Iterator[None]:
    """Turn what PyAV raises for bad content into MediaErrors.

    That is FFmpeg's own errors, and Python's built-in ones for absurd values.
    """
    try:
        yield
    except MediaError:
        raise
    except (MemoryError, av.error.MemoryError):
        raise out_of_memory(stage) from None
    except (av.error.DecoderNotFoundError, av.error.PatchWelcomeError) as error:
        raise BrokenMediaError(f"no decoder for it ({_words(error)})", stage=stage) from None
    except av.error.FFmpegError as error:
        raise BrokenMediaError(f"corrupt: {_words(error)}", stage=stage) from None
    except (
        ValueError,
        ArithmeticError,
        LookupError,
        TypeError,
        AttributeError,
        RuntimeError,
    ) as error:
        text = " ".join(str(error).split())[:120]
        raise BrokenMediaError(f"corrupt: it cannot be decoded ({text})", stage=stage) from None


def _words(error: av.error.FFmpegError) -> str:
    return (error.strerror or str(error)).lower()


def _is(stream: Stream, flag: str) -> bool:
    return bool(stream.disposition & type(stream.disposition)[flag])


def _language(stream: Stream) -> str:
    return stream.metadata.get("language", "")


def _decodable(stream: Stream) -> bool:
    return stream.codec_context is not None

"""State the limits under which media is decoded, in one place, each with its reason.

A file beyond a limit raises MediaLimitError before it costs more than a second. A file that is only
long (a feature film, a book) is read up to the limit and no further where the field says "read".
"""

from __future__ import annotations

from dataclasses import dataclass

from seehear.errors import MediaLimitError


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one file: sizes in bytes, times in seconds, images in pixels."""

    image_bytes: int = 1 << 30
    """The largest images of real cameras (medium format RAW, scanned TIFF) stay below 0.5 GiB."""
    image_pixels: int = 300_000_000
    """A phone's 200-megapixel mode and stitched panoramas pass. At 3 bytes per pixel a decoded
    image stays below 0.9 GiB, so a decode worker can hold it twice (source and scaled)."""
    image_frames: int = 10_000
    """A GIF with more frames than this is made to harm viewers, and counting them costs time."""
    animation_pixels: int = 500_000_000
    """Pixels of all frames that are read of one animation, or of all pages of one TIFF: 2,000
    frames of 500 x 500, which take about ten seconds; the rest is left out."""
    metadata_bytes: int = 16 << 20
    """EXIF, XMP, ICC and text chunks of one image. Real ones are below 1 MiB; compressed chunks
    may grow a thousandfold."""
    audio_duration_s: float = 24 * 3600.0
    """A day of field recording. A header that claims more is wrong or not meant for one entry."""
    least_sample_rate_hz: int = 1_000
    """Telephones have 8,000. A stated rate of one sample per second would be resampled to the
    thousands that encoders need: a file of 200 KB would become 27 hours."""
    video_bytes: int = 1 << 40
    """Size alone costs nothing, since frames are reached by seeking; beyond a tebibyte it is a
    disk image rather than a video."""
    video_duration_s: float = 24 * 3600.0
    """A day of a security camera: at most 2,880 shots with the spacing of long videos."""
    video_pixels: int = 70_000_000
    """8192 x 8192: the largest frame of any level of H.264, HEVC and AV1."""
    video_frames: int = 3_600
    """Frames sampled from one video: every two seconds of a feature film, every 24 of a day."""
    streams: int = 64
    """Tracks of one container; a feature film with every dubbing and subtitle has about 40."""
    text_bytes: int = 64 << 20
    """Thirty times the longest novel. Longer text files are logs and dumps."""
    text_characters: int = 4_000_000
    """Text that is read from one file, about 700,000 words; the rest is left out."""
    document_bytes: int = 256 << 20
    """A packed document (docx, epub, ...), as a file and unpacked. Only its text is unpacked, which
    stays below 16 MiB for the longest books; zip grows a thousandfold."""
    document_entries: int = 20_000
    """Files in a packed document. An e-book with an image on every page has some thousand."""
    svg_bytes: int = 32 << 20
    """A drawing, unpacked. Maps of a country reach 20 MiB."""
    svg_elements: int = 200_000
    """Elements of a drawing, repeated ones counted as often as they are drawn: ten lines of ten
    repetitions each are ten thousand million elements."""
    pdf_bytes: int = 1 << 30
    """Scanned books reach several hundred MiB."""
    pdf_pages: int = 10_000
    """More pages than any book has. The count comes from the page tree, which may be wrong."""
    pdf_stream_bytes: int = 32 << 20
    """One decompressed content stream. Flate grows a thousandfold and filters may be nested, so
    a page of 100 KiB can claim 100 GiB; the pages of ordinary files are below 10 MiB."""
    pdf_time_s: float = 60.0
    """Text extraction of one PDF; later pages are left out, so that one file cannot block a run.
    As much again for drawing pages without text."""
    pdf_images: int = 32
    """Pages without text that are drawn; a scanned book is found by some of its pages."""
    subtitle_cues: int = 100_000
    """Thirty times a feature film."""
    segments: int = 20_000
    """Segments of one asset: a day of sound at a hop of five seconds has 17,280."""


LIMITS = Limits()


def out_of_memory(stage: str = "decode") -> MediaLimitError:
    """Return the error for a file that takes more memory than a worker may have."""
    return MediaLimitError("decoding takes more memory than a file may have", stage=stage)

"""Read the text of PDF files, and draw their pages that have none.

Text is read page by page through pypdf, under its own limits and ours. pypdf could give the images
within a scanned page, but not a page of several ones, of JBIG2 or of lines: PDFium draws them all.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

from seehear.errors import BrokenMediaError, MediaError, MediaLimitError
from seehear.media.dates import ORIGINAL, Dated, datetime_date
from seehear.media.details import Details
from seehear.media.limits import LIMITS, out_of_memory
from seehear.media.mute_logs import mute, silence_pypdf
from seehear.media.source import size_of

if TYPE_CHECKING:
    from pypdf import PdfReader
    from pypdfium2 import PdfDocument, PdfPage

    from seehear.types import ImageSample

LEAST_CHARACTERS = 20
"""A page with fewer, such as a scan with a number printed on it, is drawn."""
_PDFIUM = threading.Lock()
"""PDFium is not made for threads."""
_DRAWN_PIXELS = 16_000_000


@contextmanager
def opened_pdf(file: BinaryIO) -> Iterator[PdfReader]:
    """Open the document and read its page tree. Raises MediaError, also for an encrypted one."""
    import pypdf
    from pypdf.errors import PdfReadError

    silence_pypdf()
    if size_of(file) > LIMITS.pdf_bytes:
        raise MediaLimitError(f"a PDF beyond {LIMITS.pdf_bytes >> 30} GiB", stage="probe")
    file.seek(0)
    with limited("probe"):
        try:
            reader = pypdf.PdfReader(file, strict=False)
        except PdfReadError:  # cut off within its last line, or without it
            file.seek(0)
            reader = pypdf.PdfReader(io.BytesIO(file.read() + b"\n%%EOF\n"), strict=False)
        # Many documents are locked against printing alone, and open with an empty password.
        if reader.is_encrypted and not reader.decrypt(""):
            raise BrokenMediaError("encrypted: it opens with a password only", stage="probe")
        pages = len(reader.pages)
    if pages > LIMITS.pdf_pages:
        raise MediaLimitError(f"{pages:,} pages; the limit is {LIMITS.pdf_pages:,}", stage="probe")
    yield reader


def text_of(reader: PdfReader) -> Iterator[str]:
    """Yield the text of each page in turn, up to one of the limits. Raises MediaError."""
    deadline = time.monotonic() + LIMITS.pdf_time_s
    characters = 0
    for number in range(len(reader.pages)):
        with limited("decode"):
            page = reader.pages[number]
            text = page.extract_text()
            if not text:
                # pypdf does not decompress a page without fonts: a bomb would look blank.
                page.get_contents()
        characters += len(text)
        yield text
        if characters > LIMITS.text_characters or time.monotonic() > deadline:
            return


def images_of(file: BinaryIO, px: int) -> list[tuple[int, ImageSample]]:
    """Draw the pages that have next to no text: return their numbers, from 1, with the pictures.

    The shorter side of each has at most `px` pixels. Of more pages than LIMITS.pdf_images, as
    many are spread over the document. Blank pages, copies of earlier ones and what PDFium cannot
    draw are left out.
    """
    import pypdfium2

    from seehear.media.image_frames import NewPages

    deadline = time.monotonic() + LIMITS.pdf_time_s
    found = []
    pages = NewPages()
    file.seek(0)
    with _PDFIUM, suppress(pypdfium2.PdfiumError), closing(pypdfium2.PdfDocument(file)) as document:
        numbers = [at for at in range(len(document)) if _has_no_text(document, at, deadline)]
        step = max(1.0, len(numbers) / LIMITS.pdf_images)
        for turn in range(min(len(numbers), LIMITS.pdf_images)):
            if time.monotonic() > deadline:
                break
            number = numbers[int(turn * step)]
            with suppress(pypdfium2.PdfiumError), closing(document[number]) as page:
                drawn = _drawn(page, px)
                if pages.is_new(drawn.pixels):
                    found.append((number + 1, drawn))
    return found


def page_image(file: BinaryIO, page: int, px: int) -> ImageSample:
    """Draw a page, numbered from 1; its shorter side has at most `px` pixels. Raises MediaError."""
    import pypdfium2

    file.seek(0)
    try:
        with _PDFIUM, closing(pypdfium2.PdfDocument(file)) as document:
            if not 1 <= page <= len(document):
                raise BrokenMediaError(f"it has no page {page}")
            with closing(document[page - 1]) as found:
                return _drawn(found, px)
    except pypdfium2.PdfiumError as error:
        raise BrokenMediaError(f"corrupt: the page cannot be drawn ({error})") from None


def _has_no_text(document: PdfDocument, number: int, deadline: float) -> bool:
    import pypdfium2

    with suppress(pypdfium2.PdfiumError):
        if time.monotonic() < deadline:
            with closing(document[number]) as page, closing(page.get_textpage()) as text:
                shown = text.get_text_range(0, min(text.count_chars(), 50 * LEAST_CHARACTERS))
                return len("".join(shown.split())) < LEAST_CHARACTERS
    return False


def _drawn(page: PdfPage, px: int) -> ImageSample:
    from PIL import Image

    from seehear.media import image
    from seehear.types import ImageSample

    width, height = page.get_size()
    # Twice as large as wanted, and scaled down: PDFium smooths large scans little.
    scale = min(2 * px / max(1.0, min(width, height)), (_DRAWN_PIXELS / (width * height)) ** 0.5)
    pixels = page.render(scale=scale, rev_byteorder=True, may_draw_forms=False).to_numpy()
    return ImageSample(image.finished(Image.fromarray(pixels[:, :, :3]), px))


def details_of(reader: PdfReader) -> tuple[list[Dated], Details]:
    """Return the dates and the details: pages, and title, author and keywords where stated."""
    details: Details = {"pages": len(reader.pages)}
    try:
        with limited("probe"):
            info = reader.metadata
        if info is None:
            return [], details
        for name, value in (
            ("title", info.title), ("artist", info.author), ("caption", info.subject),
            ("keywords", info.get("/Keywords")),
        ):  # fmt: skip
            if isinstance(value, str) and value.strip():
                details[name] = " ".join(value.split())[:4_000]
        made = info.creation_date and datetime_date(info.creation_date)
    except Exception:  # optional data, which may be broken in any way
        made = None
    return [(ORIGINAL, "document", made)] if made else [], details


@contextmanager
def limited(stage: str) -> Iterator[None]:
    """Run pypdf under our limits, silent, with its errors as MediaErrors."""
    import pypdf

    most = LIMITS.pdf_stream_bytes
    with (
        mute(),
        as_media_errors(stage),
        pypdf.apply_configuration(
            maximum_declared_stream_length=most,
            zlib_maximum_output_length=most,
            lzw_maximum_output_length=most,
            run_length_maximum_output_length=most,
            brotli_maximum_output_length=most,
            array_based_stream_maximum_output_length=most,
            stream_decoding_work_maximum_length=2 * most,
            jbig2dec_binary=None,  # pypdf reads no images, and no program is started
            disable_legacy_handling=True,
        ),
    ):
        yield


@contextmanager
def as_media_errors(stage: str) -> Iterator[None]:
    """Turn what pypdf raises for bad content into MediaErrors: its own errors and Python's."""
    from pypdf.errors import DependencyError, FileNotDecryptedError, LimitReachedError

    try:
        yield
    except MediaError:
        raise
    except LimitReachedError as error:
        words = " ".join(str(error).split())[:160]
        raise MediaLimitError(
            f"a PDF that unfolds beyond the limits: {words}", stage=stage
        ) from None
    except MemoryError:
        raise out_of_memory(stage) from None
    except (DependencyError, FileNotDecryptedError):
        raise BrokenMediaError("encrypted: it opens with a password only", stage=stage) from None
    except Exception as error:
        words = " ".join(str(error).split())[:120]
        raise BrokenMediaError(f"corrupt: the PDF cannot be read ({words})", stage=stage) from None

"""Read the text of PDF files, page by page, through pypdf under its own limits and ours."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from seehear.errors import BrokenMediaError, MediaError, MediaLimitError
from seehear.media.dates import ORIGINAL, Dated, datetime_date
from seehear.media.details import Details
from seehear.media.limits import LIMITS
from seehear.media.mute_logs import mute, silence_pypdf
from seehear.media.source import size_of

if TYPE_CHECKING:
    from pypdf import PdfReader


@contextmanager
def opened_pdf(file: BinaryIO) -> Iterator[PdfReader]:
    """Open the document and read its page tree. Raises MediaError, also for an encrypted one."""
    import pypdf

    silence_pypdf()
    if size_of(file) > LIMITS.pdf_bytes:
        raise MediaLimitError(f"a PDF beyond {LIMITS.pdf_bytes >> 30} GiB", stage="probe")
    file.seek(0)
    with limited("probe"):
        reader = pypdf.PdfReader(file, strict=False)
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
            jbig2dec_binary=None,  # images are not read, and no program is started
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
        raise MediaLimitError(
            "decoding takes more memory than a file may have", stage=stage
        ) from None
    except (DependencyError, FileNotDecryptedError):
        raise BrokenMediaError("encrypted: it opens with a password only", stage=stage) from None
    except Exception as error:
        words = " ".join(str(error).split())[:120]
        raise BrokenMediaError(f"corrupt: the PDF cannot be read ({words})", stage=stage) from None

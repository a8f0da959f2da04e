"""Read one e-mail: its headers and its message. Attachments are not opened."""

from __future__ import annotations

from email import message_from_bytes
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import parsedate_to_datetime
from typing import Any, cast

from seehear.errors import BrokenMediaError
from seehear.media import text
from seehear.media.dates import ORIGINAL, Dated, datetime_date
from seehear.media.details import MOST_CHARACTERS, Details
from seehear.media.limits import LIMITS

_SHOWN = ("Subject", "From", "To", "Cc")
HEADER_BYTES = 1 << 20
MOST_PARTS = 100
"""Parts that contain parts, such as forwarded messages. Each line is compared with the end of all
the parts around it."""


class _ShortHeaders(EmailPolicy):
    """Cut headers before they are parsed, which takes the square of their length."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        return name, value[:MOST_CHARACTERS]


_POLICY = _ShortHeaders()


def details_of(data: bytes) -> tuple[list[Dated], Details]:
    """Return the date in the sender's zone, and subject as title and sender as artist.

    From the headers alone.
    Raises BrokenMediaError.
    """
    message = _parsed(data[:HEADER_BYTES])
    details: Details = {}
    for name, field in (("title", "Subject"), ("artist", "From")):
        if words := _header(message, field):
            details[name] = words
    try:
        made = datetime_date(parsedate_to_datetime(_header(message, "Date")))
    except (ValueError, TypeError, IndexError):
        return [], details
    return [(ORIGINAL, "document", made)] if made else [], details


def words_of(data: bytes) -> str:
    """Return the headers that people read and the message, in its plain form where it has one.

    Raises BrokenMediaError.
    """
    message = _parsed(data)
    heads = [f"{name}: {words}" for name in _SHOWN if (words := _header(message, name))]
    if not heads and not message.keys():
        raise BrokenMediaError("corrupt: an e-mail without headers")
    return "\n\n".join([*heads, _body(message)])[: LIMITS.text_characters]


def _body(message: EmailMessage) -> str:
    try:
        part = message.get_body(preferencelist=("plain", "html"))
        if part is None:
            return ""
        payload = part.get_payload(decode=True)
        if not isinstance(payload, bytes):
            return ""
        words = _decoded(payload[: 4 * LIMITS.text_characters], part.get_content_charset())
        return text.from_html(words)[0] if part.get_content_type() == "text/html" else words
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        words = " ".join(str(error).split())[:120]
        raise BrokenMediaError(f"corrupt: the e-mail cannot be read ({words})") from None
    except RecursionError:
        raise BrokenMediaError("corrupt: the parts of the e-mail are nested without end") from None


def _decoded(payload: bytes, charset: str | None) -> str:
    if charset is not None:
        try:
            return payload.decode(charset)
        except (LookupError, ValueError):
            pass  # the message states a wrong charset
    return text.decode(payload)


def _parsed(data: bytes) -> EmailMessage:
    if data.count(b"boundary=") + data.count(b"BOUNDARY=") > MOST_PARTS:
        raise BrokenMediaError(f"corrupt: parts are nested in more than {MOST_PARTS} parts")
    try:
        return cast(EmailMessage, message_from_bytes(data, policy=cast(Any, _POLICY)))
    except RecursionError:
        raise BrokenMediaError("corrupt: the parts of the e-mail are nested without end") from None
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        words = " ".join(str(error).split())[:120]
        raise BrokenMediaError(f"corrupt: the e-mail cannot be read ({words})") from None


def _header(message: EmailMessage, name: str) -> str:
    try:
        value = str(message.get(name, ""))
    except Exception:  # headers may be broken in any way; the message is still readable
        return ""
    return " ".join(value.encode("utf-8", "replace").decode().split())[:MOST_CHARACTERS]

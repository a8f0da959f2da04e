"""Send files, with the content type of the format that was recognised, never that of the name.

What a browser can show is shown; everything else is a download. Nothing is ever sent as HTML, SVG
or script: a text is plain text, whatever it holds.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from anyio import CancelScope
from starlette.responses import FileResponse

from seehear.server.request_queue import client_left

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

_TYPES = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "apng": "image/png",
    "webp": "image/webp",
    "gif": "image/gif",
    "bmp": "image/bmp",
    "avif": "image/avif",
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "vorbis": "audio/ogg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "m4a": "audio/mp4",
    "mp4": "video/mp4",
    "mov": "video/mp4",
    "webm": "video/webm",
    "matroska": "video/webm",
    "mkv": "video/webm",
    "ogv": "video/ogg",
    "pdf": "application/pdf",
}
_TEXT = frozenset({"text", "txt", "plain", "markdown", "md", "html", "rst", "srt", "vtt"})

DOWNLOAD = "application/octet-stream"


def content_type_of(media_format: str) -> str:
    """Return the type to send a file as; DOWNLOAD for one that browsers do not show."""
    if media_format in _TEXT:
        return "text/plain; charset=utf-8"
    return _TYPES.get(media_format, DOWNLOAD)


class MediaResponse(FileResponse):
    """Send a file, and stop when the client has gone: uvicorn would have all of it read."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        leaving = asyncio.ensure_future(client_left(receive))
        # A scope, not Task.cancel: that would leave a thread at work on the file, or lose a file
        # that a thread has just opened.
        with CancelScope() as transfer:
            leaving.add_done_callback(lambda _: transfer.cancel())
            try:
                await super().__call__(scope, receive, send)
            finally:
                leaving.cancel()

"""The content type of a file by what seehear recognised it as, never by its name.

What a browser can show is shown; everything else is a download. Nothing is ever sent as HTML, SVG
or script: a text is plain text, whatever it holds.
"""

from __future__ import annotations

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
    """The type under which a file is sent; DOWNLOAD for one that browsers do not show."""
    if media_format in _TEXT:
        return "text/plain; charset=utf-8"
    return _TYPES.get(media_format, DOWNLOAD)

"""Turn errors into answers: a status, a code for programs, and a sentence without paths.

    {"error": {"code": "broken_media", "message": "...", "type": "invalid_request_error"}}

The shape is that of OpenAI's API, so that its clients show the message as it is meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from seehear import errors
from seehear.errors import SeehearError
from seehear.sources import SourceError


@dataclass(slots=True)
class ServiceError(Exception):
    """Refuse a request: the service itself raises it."""

    status: int
    code: str
    message: str
    retry_after_s: int | None = None

    def __str__(self) -> str:
        return self.message


_STATUS: tuple[tuple[type[SeehearError], int, str], ...] = (
    # From special to general: the first that fits answers.
    (errors.UnsupportedMediaError, 415, "unsupported_media"),
    (errors.MediaLimitError, 413, "media_too_large"),
    (errors.BrokenMediaError, 422, "broken_media"),
    (errors.ContentChangedError, 409, "changed"),
    (SourceError, 503, "offline"),
    (errors.MediaError, 422, "unreadable_media"),
    (errors.UsageError, 422, "bad_query"),
    (errors.EnvironmentFaultError, 503, "environment"),
    (errors.CollectionLockedError, 409, "collection_locked"),
    (errors.StorageFullError, 507, "storage_full"),
    (errors.ModelError, 503, "model_unavailable"),
    (errors.StoreError, 503, "collection_unavailable"),
)

_RETRY_AFTER_S = 2

_PATH = re.compile(r"""(?<!seehear:)(?<![\w/])(?:~|[A-Za-z]:)?[/\\][^\s'",;:()]+""")


def problem_of(error: SeehearError, private: Iterable[str] = ()) -> ServiceError:
    """Return the answer to an error that seehear raised on purpose.

    `private` are texts that must not leave the service (the collection's folder, the roots, the
    place of a temporary file); anything else that looks like an absolute path goes as well.
    """
    status, code = 500, "internal"
    for kind, its_status, its_code in _STATUS:
        if isinstance(error, kind):
            status, code = its_status, its_code
            break
    retry_after_s = _RETRY_AFTER_S if code == "collection_unavailable" else None
    return ServiceError(status, code, without_paths(str(error), private), retry_after_s)


def without_paths(message: str, private: Iterable[str] = ()) -> str:
    """Return a message as one line, with an ellipsis for each absolute path."""
    for text in sorted((text for text in private if len(text) > 1), key=len, reverse=True):
        message = message.replace(text, "…")
    message = _PATH.sub("…", message)
    return " ".join(message.split())[:500]


def as_json(problem: ServiceError) -> dict[str, object]:
    """Return the body of the answer."""
    kind = "invalid_request_error" if problem.status < 500 else "server_error"
    return {"error": {"code": problem.code, "message": problem.message, "type": kind}}

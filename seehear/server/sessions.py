"""Keep the page signed in: cookies stand for the token until they expire or sign out."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import secrets
import threading
import time
from pathlib import Path

from seehear.files import write_whole

log = logging.getLogger("seehear.server")

COOKIE = "seehear_session"
MOST_SIGNED_OUT = 1000
"""Sign-outs to remember; one more ends every session that there is."""


class Sessions:
    """Issue and check the cookies of one token. Safe to use from several threads.

    A cookie is "<id>.<milliseconds of its issue>.<HMAC of both under the token>": it is good after
    a restart of the service, and ends with the token. The ids that signed out are kept in `file`,
    so that they stay signed out; without one, until the service ends.
    """

    def __init__(self, token: str, lasts_s: float, file: Path | None = None) -> None:
        self._token = token.encode()
        self._lasts_ms = 1000 * lasts_s
        self._file = file
        self._lock = threading.Lock()
        self._ended: dict[str, int] = {}
        self._ended_until = -1
        """Every cookie that was issued up to here has ended, in milliseconds."""
        self._load()

    def knows(self, token: str) -> bool:
        """Return whether this is the token; compare in constant time."""
        return hmac.compare_digest(_digest(token), _digest(self._token.decode()))

    def issue(self) -> str:
        """Return a new cookie."""
        # After a bad clock or a sign-out of all, a new cookie must still be later than those.
        issued = max(_now_ms(), self._ended_until + 1)
        session = f"{secrets.token_hex(16)}.{issued}"
        return f"{session}.{self._sign(session)}"

    def accepts(self, cookie: str) -> bool:
        """Return whether a cookie was issued here, has not expired and is not signed out."""
        return self._session_of(cookie) is not None

    def end(self, cookie: str) -> None:
        """Sign out: never accept the cookie again. Do nothing for one that is not accepted."""
        found = self._session_of(cookie)
        if found is None:
            return
        with self._lock:
            self._ended[found[0]] = found[1]
            oldest = _now_ms() - self._lasts_ms
            self._ended = {id_: issued for id_, issued in self._ended.items() if issued > oldest}
            if len(self._ended) > MOST_SIGNED_OUT:
                self._ended_until, self._ended = _now_ms(), {}
            self._save()

    def _session_of(self, cookie: str) -> tuple[str, int] | None:
        """Return the id and the time of issue of a good cookie, else None."""
        session, _, signature = cookie.rpartition(".")
        # Compared before anything else is looked at: only our own cookies get any further.
        if not hmac.compare_digest(_digest(signature), _digest(self._sign(session))):
            return None
        id_, _, text = session.partition(".")
        issued = int(text)
        if id_ in self._ended or issued <= max(self._ended_until, _now_ms() - self._lasts_ms):
            return None
        return id_, issued

    def _sign(self, session: str) -> str:
        message = f"seehear session {session}".encode("utf-8", "replace")
        return hmac.new(self._token, message, hashlib.sha256).hexdigest()

    def _load(self) -> None:
        if self._file is None:
            return
        try:
            kept = json.loads(self._file.read_bytes())
            self._ended = {str(id_): int(issued) for id_, issued in kept["ended"].items()}
            self._ended_until = int(kept["ended_until"])
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            # Nobody knows who had signed out.
            log.warning("cannot read %s: everybody must sign in again", self._file)
            self._ended_until = _now_ms()

    def _save(self) -> None:
        if self._file is None:
            return
        kept = {"ended": self._ended, "ended_until": self._ended_until}
        try:
            write_whole(self._file, [json.dumps(kept).encode()])
        except OSError as error:
            log.warning(
                "cannot write %s (%s): who signed out is forgotten when the service ends",
                self._file,
                error.strerror,
            )


def _now_ms() -> int:
    return int(1000 * time.time())


def _digest(text: str) -> bytes:
    # Equal lengths, so that not even the length of the token can be measured.
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()

"""Keep the page signed in: cookies stand for the token until they expire or sign out."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import secrets
import threading
import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seehear.files import write_whole

if TYPE_CHECKING:
    from seehear.stores.catalog.sign_outs import SignOuts

log = logging.getLogger("seehear.server")

COOKIE = "seehear_session"
visible_folder: ContextVar[Path | None] = ContextVar("visible_folder", default=None)
"""The folder that the request under way may see, with what is below it; None for all."""
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
        self.lasts_s = lasts_s
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
            oldest = _now_ms() - 1000 * self.lasts_s
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
        if id_ in self._ended or issued <= max(self._ended_until, _now_ms() - 1000 * self.lasts_s):
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


class AccessTokens:
    """The tokens of a service: one that sees all, and those that see one folder each.

    A cookie stands for the token that it was issued for. `sessions` are by folder, None for all.
    `shared` are the sign-outs of all services of a database: a cookie that signed out at one is
    refused by all. Raises StoreError where that database fails.
    """

    def __init__(
        self, sessions: Mapping[Path | None, Sessions], shared: SignOuts | None = None
    ) -> None:
        self._sessions = dict(sessions)
        self._shared = shared

    @property
    def asks_database(self) -> bool:
        """Whether a cookie is checked by a database, for which an event loop must not wait."""
        return self._shared is not None

    def grant_of_token(self, token: str) -> Grant | None:
        """Return what a token may see; None for a token that is not known."""
        found = [
            Grant(folder) for folder, one in self._sessions.items() if one.knows(token)
        ]  # all are compared: how long it takes tells nothing
        return found[0] if found else None

    def grant_of_cookie(self, cookie: str) -> Grant | None:
        """Return what a cookie may see; None for a cookie that is not good."""
        found = [Grant(folder) for folder, one in self._sessions.items() if one.accepts(cookie)]
        if found and self._shared is not None and self._shared.has(_id_of(cookie)):
            return None
        return found[0] if found else None

    def issue(self, grant: Grant) -> str:
        """Return a new cookie for what may be seen."""
        return self._sessions[grant.folder].issue()

    def end(self, cookie: str) -> None:
        """Sign out: never accept the cookie again."""
        for one in self._sessions.values():
            if self._shared is not None and one.accepts(cookie):
                self._shared.add(_id_of(cookie), one.lasts_s)
            one.end(cookie)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token lets see: a folder and what is below it; None for all."""

    folder: Path | None


def _id_of(cookie: str) -> str:
    return cookie.partition(".")[0]


def _now_ms() -> int:
    return int(1000 * time.time())


def _digest(text: str) -> bytes:
    # Equal lengths, so that not even the length of the token can be measured.
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()

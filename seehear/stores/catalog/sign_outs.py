"""Keep who signed out of the page where every service of a database sees it."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import BigInteger, cast, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from seehear.stores.catalog.database import connect, schema_version, store_errors
from seehear.stores.catalog.schema import sign_outs

_SINCE = "0012"
"""The schema that has the table."""


class SignOuts:
    """The sessions of a PostgreSQL database that were ended. Safe to use from several threads.

    Nothing is connected before it is asked. Raises StoreError where the database fails.
    """

    def __init__(self, url: str) -> None:
        self._engine = connect(Path(), url, read_only=False)
        self._has_table = False

    def has(self, session: str) -> bool:
        """Return whether a session was ended."""
        if not self._is_made():  # no service has been ready yet: nobody can have signed out
            return False
        query = select(sign_outs.c.session).where(sign_outs.c.session == session)
        with store_errors("check the session"), self._engine.connect() as connection:
            return connection.execute(query).first() is not None

    def add(self, session: str, lasts_s: float) -> None:
        """End a session that would end by itself within `lasts_s`; forget those that have."""
        # By the clock of the database, so that one wrong clock among the services forgets nothing.
        now_ms = cast(1000 * func.extract("epoch", func.clock_timestamp()), BigInteger)
        row = {"session": session, "ended_ms": now_ms}
        with store_errors("sign out"), self._engine.begin() as connection:
            old = sign_outs.c.ended_ms < now_ms - 1000 * lasts_s
            connection.execute(delete(sign_outs).where(old))
            connection.execute(insert(sign_outs).values(row).on_conflict_do_nothing())

    def _is_made(self) -> bool:
        self._has_table = self._has_table or (schema_version(self._engine) or "") >= _SINCE
        return self._has_table

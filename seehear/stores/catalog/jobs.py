"""Keep index jobs where every service of a catalog sees them, and say which service runs which.

A job that runs is held by one service, which counts up `beat` while it is alive. Who sees the same
beat for as long as the lease lasts, by a clock of its own that never jumps, takes the job: no times
of two machines are compared. Each take has a higher `attempt`, and what an earlier holder says is
refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Engine, Row, delete, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from seehear.stores.catalog.database import store_errors
from seehear.stores.catalog.schema import jobs

FORMAT = 1
"""Of what `request` and `told` hold; who does not know one leaves the job to others."""
RUNNING = "running"
KEPT = 20
"""Finished jobs whose reports can still be read."""


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job as it was at one instant."""

    id: str
    request: Mapping[str, Any]
    """What to do: for the service that runs it."""
    told: Mapping[str, Any]
    """What clients are shown."""
    state: str = RUNNING
    holder: str | None = None
    """The service that runs it; None if none does, and any may take it."""
    attempt: int = 1
    beat: int = 0
    deaths: int = 0
    """How often its holder went silent."""
    stopping: bool = False
    """A client wants it to stop."""
    format: int = FORMAT

    @property
    def connection_name(self) -> str:
        """The name of the connections that write for this attempt, in PostgreSQL."""
        return f"seehear job {self.id} attempt {self.attempt}"


class JobTable:
    """The jobs of one catalog. Raises StoreError, as every part of it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.shared = engine.dialect.name != "sqlite"
        """Whether services on several machines may see them."""

    def newest(self) -> list[JobRecord]:
        """Return the jobs that are known, newest first."""
        return self._read(select(jobs).order_by(jobs.c.number.desc()).limit(KEPT))

    def get(self, job_id: str) -> JobRecord | None:
        """Return a job, or None if it is unknown or forgotten."""
        return next(iter(self._read(select(jobs).where(jobs.c.id == job_id))), None)

    def running(self) -> JobRecord | None:
        """Return the job that runs, or shall run; there is one at most."""
        return next(iter(self._read(select(jobs).where(jobs.c.state == RUNNING))), None)

    def add(self, job: JobRecord) -> bool:
        """Add a job that runs. Return False, and add nothing, if another one does."""
        row = {name: getattr(job, name) for name in JobRecord.__slots__}
        kept = select(jobs.c.number).order_by(jobs.c.number.desc()).limit(KEPT)
        with store_errors("start a job"), suppress(IntegrityError), self._engine.begin() as to:
            to.execute(insert(jobs).values(row))
            to.execute(delete(jobs).where(jobs.c.number.not_in(kept)))
            return True
        return False

    def take(self, seen: JobRecord, holder: str, *, died: bool = False) -> JobRecord | None:
        """Become the holder of a job, as it was seen; None if something happened to it since."""
        unchanged = _is_held(seen) & (jobs.c.beat == seen.beat)
        taken: dict[str, Any] = {"holder": holder, "attempt": seen.attempt + 1}
        taken |= {"deaths": seen.deaths + died, "beat": seen.beat + 1}
        return self.get(seen.id) if self._change(unchanged, taken) else None

    def renew(self, held: JobRecord, told: Mapping[str, Any]) -> JobRecord | None:
        """Say that the holder is alive, and how far it is; None if it is the holder no more."""
        more = {"beat": jobs.c.beat + 1, "told": told}
        return self.get(held.id) if self._change(_is_held(held), more) else None

    def finish(self, held: JobRecord, state: str, told: Mapping[str, Any]) -> bool:
        """End a job. Return False, and change nothing, if it is held by another or has ended."""
        return self._change(_is_held(held), {"state": state, "holder": None, "told": told})

    def hand_over(self, held: JobRecord, told: Mapping[str, Any]) -> bool:
        """Let any service take a job. Return False as `finish`."""
        return self._change(_is_held(held), {"holder": None, "told": told})

    def ask_to_stop(self, job_id: str) -> None:
        """Tell the holder of a job to stop it; do nothing for one that has ended."""
        runs = (jobs.c.id == job_id) & (jobs.c.state == RUNNING)
        self._change(runs & jobs.c.holder.is_(None), {"state": "stopped"})
        self._change(runs, {"stopping": True})

    def end_connections(self, of: JobRecord) -> None:
        """End what an earlier holder has open, so that its locks do not outlive its lease."""
        if not self.shared:
            return
        ended = text(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = :name AND datname = current_database()"
        )
        with store_errors("take over a job"), self._engine.begin() as connection:
            connection.execute(ended, {"name": of.connection_name})

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def _change(self, which: ColumnElement[bool], values: Mapping[str, Any]) -> bool:
        with store_errors("write down a job"), self._engine.begin() as connection:
            return bool(connection.execute(update(jobs).where(which).values(**values)).rowcount)

    def _read(self, query: Any) -> list[JobRecord]:
        with store_errors("read the jobs"), self._engine.connect() as connection:
            return [_record(row) for row in connection.execute(query)]


def _is_held(by: JobRecord) -> ColumnElement[bool]:
    return (jobs.c.id == by.id) & (jobs.c.attempt == by.attempt) & (jobs.c.state == RUNNING)


def _record(row: Row[Any]) -> JobRecord:
    return JobRecord(**{name: getattr(row, name) for name in JobRecord.__slots__})

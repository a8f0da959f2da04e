"""Run index jobs for the service: one at a time; clients follow and stop them.

JobTable are in the catalog (stores/catalog/jobs.py), so that every service of it can show and stop
what another one runs, and take over what is left by one that died:

    start ─► add ─► run ─► finish          a client asked for it
    look  ─► take ─► run ─► finish         its holder went silent, or handed it over
               renew, every tenth of a lease, with the progress; who lost the lease stops

An index run that is begun again does what is missing, and the lock of the writer (stores/catalog/
lock.py) refuses what an earlier holder still wants to write. Without a database server nobody looks
while nothing runs.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from seehear.errors import (
    CollectionLockedError,
    SeehearError,
    StoreError,
    StoreUnreachableError,
)
from seehear.serialize import report_to_dict
from seehear.server.folder_labels import printable
from seehear.server.problems import ServiceError, problem_of, without_paths
from seehear.server.schemas_service import Job, JobProgress, JobReport
from seehear.stores.catalog.jobs import FORMAT, RUNNING, JobRecord, JobTable

if TYPE_CHECKING:
    from seehear.indexers import FailedFile, IndexReport, Progress
    from seehear.server.served_collection import ServedCollection

log = logging.getLogger("seehear.server")

_FAILURES_SHOWN = 100
_MOST_DEATHS = 5
"""Services that may die of one job before it is given up: a file may be what kills them."""
_AGAIN_S = 1.0
"""Pause before a job goes on that the database or another writer has cut short."""

JobState = Literal["running", "done", "stopped", "failed"]


class _Run:
    """A job that this service runs."""

    def __init__(self, record: JobRecord) -> None:
        self.record = record
        self.job = _as_job(record)
        self.stop = threading.Event()
        self.stopping = False
        """A client wants it to stop."""
        self.lost = False
        """Another service holds it now."""
        self.renewed_at = time.monotonic()

    def ask_to_stop(self) -> None:
        self.stopping = True
        self.stop.set()

    def change(self, **fields: object) -> None:
        self.job = self.job.model_copy(update=fields)

    def told(self) -> dict[str, Any]:
        return self.job.model_dump(mode="json", exclude={"id", "state"})


class JobRunner:
    """Start index runs, each in a thread with a collection of its own.

    `table` returns the jobs of the catalog; `open_library` opens a collection whose connections
    have a name, None for none. `roots` are the folders that this service may index. `is_busy` tells
    whether it indexes another of its collections.
    """

    def __init__(
        self,
        table: Callable[[], JobTable],
        open_library: Callable[[str], ServedCollection],
        roots: Sequence[Path],
        private: Sequence[str],
        lease_s: float,
        is_busy: Callable[[], bool] = lambda: False,
    ) -> None:
        self._is_busy = is_busy
        self._table = table
        self._open_library = open_library
        self._roots = frozenset(map(str, roots))
        self._private = private
        self._lease_s = lease_s
        self._holder = secrets.token_hex(16)
        self._lock = threading.Lock()
        self._run_now: _Run | None = None
        self._threads: list[threading.Thread] = []
        self._closing = threading.Event()
        self._wake = threading.Event()
        self._seen: JobRecord | None = None
        self._seen_since = 0.0
        self._keeper = threading.Thread(target=self._keep, name="seehear-jobs", daemon=True)

    @property
    def running(self) -> bool:
        """Whether this service runs a job."""
        return self._run_now is not None

    def watch(self) -> None:
        """Look for jobs that nobody runs any more, now and from now on."""
        if self._keeper.ident is None:
            self._keeper.start()
        self._wake.set()

    def start(self, paths: Sequence[Path], labels: Sequence[str], **options: Any) -> Job:
        """Begin a run; `options` are those of `Collection.index`.

        Raises ServiceError 409 while another one runs, here or in another service, and while this
        service indexes another collection.
        """
        if self._is_busy():
            told = "another collection is being indexed; try again when that is done"
            raise ServiceError(409, "other_running", told)
        job = Job(id=secrets.token_hex(8), state="running", roots=list(labels))
        record = JobRecord(
            id=job.id,
            request={"paths": [str(path) for path in paths], "options": options},
            told=job.model_dump(mode="json", exclude={"id", "state"}),
            holder=self._holder,
        )
        with self._lock:
            if self._closing.is_set() or not self._table().add(record):
                self._wake.set()  # perhaps nobody runs it
                raise ServiceError(409, "already_running", "an index run is already in progress")
            if self._run_now is not None:  # taken by another service, which has ended it
                self._lose(self._run_now)
            self._begin(record)
        return job

    def get(self, job_id: str) -> Job:
        """Return a job as of now. Raises ServiceError 404 if it is unknown or forgotten."""
        if (here := self._running_here()) is not None and here.id == job_id:
            return here
        record = self._table().get(job_id)
        if record is None:
            raise ServiceError(404, "no_such_job", "no index run has this id")
        return _as_job(record)

    def all(self) -> list[Job]:
        """Return all jobs, newest first."""
        here = self._running_here()
        jobs = [_as_job(record) for record in self._table().newest()]
        return [here if here is not None and here.id == job.id else job for job in jobs]

    def stop(self, job_id: str) -> Job:
        """Stop a job, whichever service runs it. Raises ServiceError 404 as `get`."""
        self.get(job_id)
        run = self._run_now
        if run is not None and run.job.id == job_id:
            run.ask_to_stop()
        self._table().ask_to_stop(job_id)
        self._wake.set()
        return self.get(job_id)

    def close(self) -> None:
        """End the running job; keep what it has indexed.

        Another service goes on with it if there may be one, else it is stopped.
        """
        self._closing.set()
        self._wake.set()
        if self._keeper.is_alive():
            self._keeper.join()
        with self._lock:
            run, threads = self._run_now, list(self._threads)
        if run is not None:
            run.stop.set()
        for thread in threads:
            thread.join()

    def _running_here(self) -> Job | None:
        """Return the job that this service runs, unless it was paused so long that it may not."""
        run = self._run_now
        if run is None or time.monotonic() - run.renewed_at > self._lease_s / 2:
            return None
        return run.job

    def _keep(self) -> None:
        """Renew the lease of what runs here; look after what others run."""
        while not self._closing.is_set():
            try:
                pause_s = self._tend()
            except (StoreError, ServiceError) as error:
                self._seen = None  # who could not look does not know who was silent
                log.warning("cannot look after index jobs: %s", error)
                pause_s = self._lease_s / 4
            self._wake.wait(pause_s)
            self._wake.clear()

    def _tend(self) -> float | None:
        """Do what is due, and return the time until the next look; None for when it is woken."""
        if (run := self._run_now) is not None:
            self._renew(run)
            return self._lease_s / 10
        table = self._table()
        found = table.running()
        if found is not None:
            self._consider(found)
        return self._lease_s / 4 if table.shared or found is not None else None

    def _renew(self, run: _Run) -> None:
        """Say that this service is alive, and hear whether the job shall stop, or is lost."""
        asked_at = time.monotonic()
        now = self._table().renew(run.record, run.told())
        with self._lock:
            if run is not self._run_now:  # it has ended meanwhile
                return
            if now is None:
                self._lose(run)
                return
        run.renewed_at = asked_at
        if now.stopping:
            run.ask_to_stop()

    def _lose(self, run: _Run) -> None:
        """Stop a run that another service holds; what it still wants to write is refused."""
        log.warning("index job %s is run by another service now", run.job.id)
        run.lost = True
        run.stop.set()
        self._run_now = None

    def _consider(self, found: JobRecord) -> None:
        """Take a job of another service if that has been silent for as long as a lease lasts."""
        now = time.monotonic()
        if self._seen is None or (found.id, found.attempt, found.beat) != (
            self._seen.id,
            self._seen.attempt,
            self._seen.beat,
        ):
            self._seen, self._seen_since = found, now
        silent = now - self._seen_since >= self._lease_s
        if (found.holder is not None and not silent) or self._is_busy():
            return
        if found.format > FORMAT or not self._may_run(found):
            return  # for a service that knows how, and may
        with self._lock:
            if self._run_now is not None or self._closing.is_set():
                return
            died = found.holder is not None
            taken = self._table().take(found, self._holder, died=died)
            if taken is None:
                return
            log.warning("going on with index job %s, which its service has left", found.id)
            self._table().end_connections(found)
            if taken.stopping:
                self._table().finish(taken, "stopped", taken.told)
            elif taken.deaths >= _MOST_DEATHS:
                error = f"{taken.deaths} services died while they ran it; see their logs"
                self._table().finish(taken, "failed", {**taken.told, "error": error})
            else:
                self._begin(taken)

    def _may_run(self, record: JobRecord) -> bool:
        paths = record.request.get("paths")
        return isinstance(paths, list) and bool(paths) and self._roots.issuperset(paths)

    def _begin(self, record: JobRecord) -> None:
        run = _Run(record)
        self._run_now = run
        thread = threading.Thread(target=self._run, args=(run,), name="seehear-index")
        self._threads = [*filter(threading.Thread.is_alive, self._threads), thread]
        thread.start()
        self._wake.set()

    def _run(self, run: _Run) -> None:
        try:
            while (report := self._index(run)) is None:
                if not self._may_go_on(run):
                    return
        except SeehearError as error:
            self._finish(run, "failed", error=problem_of(error, self._private).message)
        except Exception:
            self._finish(run, "failed", error="the index run failed; see the service's log")
            raise  # to the log, by threading's own hook
        else:
            handed_over = self._closing.is_set() and not run.stopping and self._table().shared
            if not report.interrupted:
                self._finish(run, "done", report=self._report_out(report))
            elif not run.lost and handed_over:
                with suppress(StoreError):  # then it is taken over as from one that died
                    self._table().hand_over(run.record, run.told())
            else:
                self._finish(run, "stopped", report=self._report_out(report))
        finally:
            with self._lock:
                if self._run_now is run:
                    self._run_now = None

    def _index(self, run: _Run) -> IndexReport | None:
        """Index; return None where the database or another writer has cut it short."""
        request = run.record.request
        try:
            with self._open_library(run.record.connection_name) as library:
                return library.index(
                    *map(Path, request["paths"]),
                    **request["options"],
                    progress=lambda progress: run.change(progress=_progress_out(progress)),
                    stop=run.stop,
                )
        except StoreUnreachableError as error:
            log.warning("index job %s waits: %s", run.job.id, error)
        except CollectionLockedError as error:
            # What a client has just asked for is refused at once; what was taken over waits for
            # what its holder has left, and what was at work for who took the lock from it.
            if run.record.attempt == 1 and run.job.progress is None:
                raise
            log.warning("index job %s waits: %s", run.job.id, error)
        return None

    def _may_go_on(self, run: _Run) -> bool:
        """Wait until the database answers; return whether the job is still this service's."""
        while not self._closing.wait(_AGAIN_S):
            with suppress(StoreUnreachableError):
                self._renew(run)
                if run.stopping and not run.lost:
                    self._finish(run, "stopped")
                return not run.stop.is_set()
        with suppress(StoreError):
            self._table().hand_over(run.record, run.told())
        return False

    def _finish(self, run: _Run, state: JobState, **fields: object) -> None:
        """Write down how a job ended, unless another service holds it."""
        run.change(**fields)
        while not run.lost:
            # With the lock, so that a client that sees the end here or elsewhere may start another.
            with suppress(StoreUnreachableError), self._lock:
                if not self._table().finish(run.record, state, run.told()):
                    log.warning("index job %s was taken by another service", run.job.id)
                if self._run_now is run:
                    self._run_now = None
                return
            if self._closing.wait(_AGAIN_S):
                return

    def _report_out(self, report: IndexReport) -> JobReport:
        told = report_to_dict(report) | {
            "offline": [printable(root.path.name) for root in report.offline],
            "notes": [without_paths(note, self._private) for note in report.notes],
            "failures": self._failures_out(report.failures),
        }
        if report.read is not None:
            told["read"] |= {
                "failures": self._failures_out(report.read.failures),
                "faults": [without_paths(fault, self._private) for fault in report.read.faults],
            }
        return JobReport(**told)

    def _failures_out(self, failures: Sequence[FailedFile]) -> list[dict[str, str]]:
        return [
            {
                "name": printable(failure.path.name),
                "stage": failure.stage,
                "reason": without_paths(failure.reason, self._private),
            }
            for failure in failures[:_FAILURES_SHOWN]
        ]


def _as_job(record: JobRecord) -> Job:
    try:
        return Job(id=record.id, state=record.state, **record.told)  # type: ignore[arg-type]
    except (ValidationError, TypeError):
        state: JobState = "running" if record.state == RUNNING else "failed"
        error = "this index run is of a newer seehear; update this service to follow it"
        return Job(id=record.id, state=state, roots=[], error=error)


def _progress_out(progress: Progress) -> JobProgress:
    current = progress.current
    return JobProgress(
        stage=str(progress.stage),
        files_done=progress.files_done,
        files_total=progress.files_total,
        failed=progress.failed,
        files_per_s=round(progress.files_per_s, 2),
        left_s=None if progress.left_s is None else round(progress.left_s, 1),
        current=printable(current.name) if current is not None else None,
        audio_left_s=round(progress.audio_left_s, 1),
        images_left=progress.images_left,
    )

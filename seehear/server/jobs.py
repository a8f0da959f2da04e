"""Run index jobs for the service: one at a time; clients follow and stop them."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from seehear.errors import SeehearError
from seehear.serialize import report_to_dict
from seehear.server.folder_labels import printable
from seehear.server.problems import ServiceError, problem_of, without_paths
from seehear.server.schemas_service import Job, JobProgress, JobReport

if TYPE_CHECKING:
    from seehear.indexers import FailedFile, IndexReport, Progress
    from seehear.server.served_collection import ServedCollection

_KEPT = 20
"""Finished jobs whose reports can still be read."""
_FAILURES_SHOWN = 100

JobState = Literal["running", "done", "stopped", "failed"]


class IndexJob:
    """Hold the state of one run: its thread changes it, other threads read snapshots."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.id = secrets.token_hex(8)
        self.stop = threading.Event()
        self._lock = threading.Lock()
        self._job = Job(id=self.id, state="running", roots=list(labels))
        self._version = 0

    def snapshot(self) -> tuple[int, Job]:
        """Return a number that grows with every change, and the state as of now."""
        with self._lock:
            return self._version, self._job

    def change(self, **fields: object) -> None:
        with self._lock:
            self._job = self._job.model_copy(update=fields)
            self._version += 1

    @property
    def running(self) -> bool:
        return self._job.state == "running"


class JobRunner:
    """Start index runs, each in a thread with a collection of its own."""

    def __init__(
        self, open_library: Callable[[], ServedCollection], private: Sequence[str]
    ) -> None:
        self._open_library = open_library
        self._private = private
        self._jobs: OrderedDict[str, IndexJob] = OrderedDict()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        return any(job.running for job in list(self._jobs.values()))

    def start(self, paths: Sequence[Path], labels: Sequence[str], **options: Any) -> IndexJob:
        """Begin a run; `options` are those of `Collection.index`.

        Raises ServiceError 409 while another one runs.
        """
        with self._lock:
            if self.running:
                raise ServiceError(409, "already_running", "an index run is already in progress")
            job = IndexJob(labels)
            self._jobs[job.id] = job
            while len(self._jobs) > _KEPT:
                self._jobs.popitem(last=False)
            self._thread = threading.Thread(
                target=self._run, args=(job, paths, options), name="seehear-index"
            )
            self._thread.start()
        return job

    def get(self, job_id: str) -> IndexJob:
        """Return a job. Raises ServiceError 404 if it is unknown or forgotten."""
        job = self._jobs.get(job_id)
        if job is None:
            raise ServiceError(404, "no_such_job", "no index run has this id")
        return job

    def all(self) -> list[Job]:
        """Return all jobs, newest first."""
        return [job.snapshot()[1] for job in reversed(list(self._jobs.values()))]

    def close(self) -> None:
        """Stop the running job; keep what it has indexed."""
        for job in list(self._jobs.values()):
            job.stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, job: IndexJob, paths: Sequence[Path], options: Mapping[str, Any]) -> None:
        try:
            with self._open_library() as library:
                report = library.index(
                    *paths,
                    **options,
                    progress=lambda progress: job.change(progress=_progress_out(progress)),
                    stop=job.stop,
                )
            state: JobState = "stopped" if report.interrupted else "done"
            job.change(state=state, report=self._report_out(report))
        except SeehearError as error:
            job.change(state="failed", error=problem_of(error, self._private).message)
        except Exception:
            job.change(state="failed", error="the index run failed; see the service's log")
            raise  # to the log, by threading's own hook

    def _report_out(self, report: IndexReport) -> JobReport:
        told = report_to_dict(report) | {
            "offline": [printable(root.path.name) for root in report.offline],
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

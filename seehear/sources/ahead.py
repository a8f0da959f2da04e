"""Fetch several files at a time before they are decoded, so that no request is waited for alone.

    tasks ─► [ fetching, up to 32 files ] ─► task, with its content      in order
              up to 8 MiB    in memory
              up to 1 GiB    in a file of this machine that has no name and ends with the process
              larger ones    read in ranges while they are decoded

A root that cannot be reached any more, or of which nothing may be read, is left as a whole: none of
its files is at fault.
"""

from __future__ import annotations

import io
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from seehear.sources.errors import DENIED, MISSING, SourceError
from seehear.sources.paths import is_remote
from seehear.sources.remote import (
    NO_MARK,
    RemoteState,
    fetch,
    fetch_into,
    open_file,
    state_of,
)

AT_ONCE = 16
MOST_AHEAD = 32
IN_MEMORY_BYTES = 8 << 20
IN_A_FILE_BYTES = 1 << 30
MEMORY_BYTES, SCRATCH_BYTES = 128 << 20, 2 << 30
"""Of all files that are fetched and not decoded yet; one is always fetched."""
DENIALS = 3
"""So many refusals and no file that may be read: the root may be listed only."""
_WAKE_S = 0.2


@dataclass(slots=True)
class Content:
    """A file beyond this machine, open for a worker, with the state to store for it."""

    file: BinaryIO
    state: RemoteState
    let_go: Callable[[], None] = lambda: None

    def close(self) -> None:
        self.file.close()
        self.let_go()


def content_at(path: Path) -> Content | None:
    """Return the content of a file, read in ranges; None for a file of this machine.

    Raises SourceError.
    """
    if not is_remote(path):
        return None
    state = state_of(path)
    return Content(open_file(path), state)


@dataclass(slots=True)
class _Root:
    has_read: bool = False
    denied: list[tuple[Any, SourceError]] = field(default_factory=list)
    left: str | None = None
    """Why the rest of its files is left to the next run."""


class Fetcher:
    """Fetch the files of tasks ahead, and hand out each content once.

    A task has `root_id`, `path` and the state that was listed: `size_bytes`, `modified_ns`,
    `inode`, which is its mark.
    """

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._roots: dict[int, _Root] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._ready: dict[int, Content | SourceError] = {}
        self._held = {MEMORY_BYTES: 0, SCRATCH_BYTES: 0}
        """Bytes that are fetched or being fetched, in memory and in files, by their limits."""
        self._lock = threading.Lock()

    def ahead(self, tasks: Iterable[Any]) -> Iterator[Any]:
        """Yield tasks in order, those beyond this machine once their content is here.

        The tasks of a root that had to be left are left out.
        """
        waiting: deque[tuple[Any, Future[Content] | None]] = deque()
        given, more = iter(tasks), True
        while not self._stop.is_set():
            while more and len(waiting) < MOST_AHEAD and (not waiting or self._has_room()):
                task = next(given, None)
                if task is None:
                    more = False
                elif is_remote(task.path):
                    waiting.append((task, self._submit(task)))
                elif waiting:
                    waiting.append((task, None))
                else:
                    yield task  # files of this machine alone wait for nothing
            if not waiting:
                break
            task, future = waiting.popleft()
            if future is None:
                yield task
            else:
                yield from self._judged(task, future)
        for root in self._roots.values():
            if root.denied and not root.has_read and not self._stop.is_set():
                root.left = root.left or str(root.denied[0][1])

    def content(self, task: Any) -> Content | None:
        """Return the content of a task; None for a file of this machine. Raises SourceError."""
        found = self._ready.pop(id(task), None)
        if isinstance(found, SourceError):
            raise found
        return content_at(task.path) if found is None else found

    def leave(self, task: Any, error: SourceError) -> bool:
        """Leave the root of a task that could not be read; False where its file alone is meant."""
        root = self._root(task)
        if error.kind == MISSING or (error.kind == DENIED and root.has_read):
            return False
        root.left = root.left or str(error)
        return True

    @property
    def left(self) -> dict[int, str]:
        """Why roots were left, by their ids."""
        return {id_: root.left for id_, root in self._roots.items() if root.left is not None}

    def close(self) -> None:
        """Drop what nobody has asked for."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
        for found in self._ready.values():
            if isinstance(found, Content):
                found.close()

    def _root(self, task: Any) -> _Root:
        return self._roots.setdefault(task.root_id, _Root())

    def _judged(self, task: Any, future: Future[Content]) -> Iterator[Any]:
        """Yield a task whose content is here or will not come, unless its root is left."""
        root, found = self._root(task), self._result(future)
        if found is None or root.left is not None:
            if isinstance(found, Content):
                found.close()
            return
        if isinstance(found, Content):
            root.has_read = True
            held, root.denied = root.denied, []
            for denied, error in held:
                self._ready[id(denied)] = error
                yield denied
        elif found.kind == DENIED and not root.has_read:
            root.denied.append((task, found))
            if len(root.denied) >= DENIALS:
                root.left = f"its files may be listed but not read: {found}"
            return
        elif self.leave(task, found):
            return
        self._ready[id(task)] = found
        yield task

    def _result(self, future: Future[Content]) -> Content | SourceError | None:
        """Wait for a file; return None where the run is stopped."""
        while not self._stop.is_set():
            with suppress(TimeoutError):
                try:
                    return future.result(_WAKE_S)
                except SourceError as error:
                    return error
        future.cancel()
        future.add_done_callback(_close)
        return None

    def _submit(self, task: Any) -> Future[Content]:
        self._pool = self._pool or ThreadPoolExecutor(AT_ONCE, "seehear-fetch")
        limit = MEMORY_BYTES if task.size_bytes <= IN_MEMORY_BYTES else SCRATCH_BYTES
        count = 0 if task.size_bytes > IN_A_FILE_BYTES else task.size_bytes
        self._hold(limit, count)
        return self._pool.submit(self._fetched, task, lambda: self._hold(limit, -count))

    def _fetched(self, task: Any, let_go: Callable[[], None]) -> Content:
        try:
            return self._opened(task, let_go)
        except BaseException:
            let_go()
            raise

    def _opened(self, task: Any, let_go: Callable[[], None]) -> Content:
        if (left := self._root(task).left) is not None or self._stop.is_set():
            raise SourceError(left or "the run was stopped")
        size = task.size_bytes
        if size > IN_A_FILE_BYTES:
            state = state_of(task.path)
            return Content(open_file(task.path), state, let_go)
        file = io.BytesIO(fetch(task.path)) if size <= IN_MEMORY_BYTES else _in_a_file(task)
        size_now = file.seek(0, io.SEEK_END)
        # The mark is older than the content: what changed in between is seen by the next run.
        mark = task.inode if size_now == size else NO_MARK
        return Content(file, RemoteState(size_now, task.modified_ns, mark), let_go)

    def _has_room(self) -> bool:
        with self._lock:
            return all(held < limit for limit, held in self._held.items())

    def _hold(self, limit: int, count: int) -> None:
        with self._lock:
            self._held[limit] += count


def _in_a_file(task: Any) -> BinaryIO:
    """Fetch into a file of this machine; where that has no room, read in ranges instead."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - its Content closes it
    try:
        fetch_into(task.path, file)
    except OSError:
        file.close()
        return open_file(task.path)
    except BaseException:
        file.close()
        raise
    return file


def _close(future: Future[Content]) -> None:
    if not future.cancelled() and future.exception() is None:
        future.result().close()

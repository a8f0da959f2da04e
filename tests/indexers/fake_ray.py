"""A Ray of threads: actors of `FakeRay` run in this process, and die when a test wants it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from types import SimpleNamespace
from typing import Any

from seehear.indexers.encoding import EncodeChunk


class DiedError(Exception):
    """Raised by a test's `on_encode`: the process of the actor ends."""


class RayError(Exception):
    pass


class RayTaskError(RayError):
    def __init__(self, cause: Exception) -> None:
        super().__init__(cause)
        self.cause = cause


class FakeRay:
    """`machines` are names with their processors; `on_encode` sees each chunk on its machine."""

    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)
    util = SimpleNamespace(
        scheduling_strategies=SimpleNamespace(
            NodeAffinitySchedulingStrategy=lambda node, soft: node
        )
    )
    cloudpickle = SimpleNamespace(register_pickle_by_value=lambda module: None)

    def __init__(
        self,
        machines: dict[str, int],
        on_encode: Callable[[str, EncodeChunk], None] = lambda machine, chunk: None,
        on_prepare: Callable[[str], str | None] = lambda machine: None,
    ) -> None:
        self.alive = dict(machines)
        self.on_encode, self.on_prepare = on_encode, on_prepare
        self.actors: list[FakeActor] = []
        self.most_in_flight = 0

    def nodes(self) -> list[dict[str, Any]]:
        return [
            {"NodeID": name, "NodeName": name, "Alive": True, "Resources": {"CPU": float(cpus)}}
            for name, cpus in self.alive.items()
        ]

    def remote(self, kind: type[Any]) -> Any:
        def start(**options: Any) -> Any:
            return SimpleNamespace(remote=lambda: self._start(kind, options))

        return SimpleNamespace(options=start)

    def _start(self, kind: type[Any], options: dict[str, Any]) -> FakeActor:
        actor = FakeActor(self, kind(), options)
        self.actors.append(actor)
        return actor

    def wait(
        self, refs: Sequence[Future[Any]], num_returns: int, timeout: float
    ) -> tuple[list[Future[Any]], list[Future[Any]]]:
        done, rest = wait(refs, timeout, FIRST_COMPLETED)
        return list(done)[:num_returns], list(rest)

    def get(self, ref: Future[Any]) -> Any:
        return ref.result()

    def kill(self, actor: FakeActor) -> None:
        actor.die()

    def lose(self, machine: str) -> None:
        """Switch a machine off."""
        del self.alive[machine]
        for actor in self.actors:
            if actor.machine == machine:
                actor.die()


class FakeActor:
    def __init__(self, ray: FakeRay, target: Any, options: dict[str, Any]) -> None:
        self.ray, self.target, self.options = ray, target, options
        self.machine: str = options["scheduling_strategy"]
        self.calls = Counter[str]()
        self._refs: list[Future[Any]] = []
        self._threads = ThreadPoolExecutor(options["max_concurrency"])
        self._lock = threading.Lock()
        self.dead = False

    def __getattr__(self, name: str) -> Any:
        def remote(*arguments: Any) -> Future[Any]:
            return self._call(name, arguments)

        return SimpleNamespace(remote=remote, options=lambda **_: SimpleNamespace(remote=remote))

    def _call(self, name: str, arguments: tuple[Any, ...]) -> Future[Any]:
        ref: Future[Any] = Future()
        with self._lock:
            self._refs.append(ref)
            if name == "encode":
                in_flight = sum(not one.done() for one in self._refs)
                self.ray.most_in_flight = max(self.ray.most_in_flight, in_flight)
        self.calls[name] += 1
        if self.dead:
            ref.set_exception(RayError("the actor died"))
        else:
            self._threads.submit(self._run, ref, name, arguments)
        return ref

    def _run(self, ref: Future[Any], name: str, arguments: tuple[Any, ...]) -> None:
        try:
            if name == "prepare" and (reason := self.ray.on_prepare(self.machine)) is not None:
                self._settle(ref, reason)
                return
            if name == "encode":
                self.ray.on_encode(self.machine, arguments[0])
            self._settle(ref, getattr(self.target, name)(*arguments))
        except DiedError:
            self.die()
        except Exception as error:
            self._settle(ref, RayTaskError(error))

    def _settle(self, ref: Future[Any], answer: Any) -> None:
        with self._lock:
            if ref.done():
                return
            if isinstance(answer, Exception):
                ref.set_exception(answer)
            else:
                ref.set_result(answer)

    def die(self) -> None:
        self.dead = True
        for ref in list(self._refs):
            self._settle(ref, RayError("the actor died"))
        self._threads.shutdown(wait=False, cancel_futures=True)

"""Encoding by Ray, with actors that are threads of this process; test_ray_cluster has real ones."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from seehear.collection import Collection
from seehear.encoders import load_model
from seehear.errors import EnvironmentFaultError, ModelError, UsageError
from seehear.indexers import encoding, pipeline, ray_stage
from seehear.indexers.encoding import EncodeChunk
from seehear.indexers.ray_cluster import EncoderShare, RayMachine, RayOptions, share_out
from tests.indexers.fake_ray import DiedError, FakeRay
from tests.indexers.helpers import InProcess, Library, broken, counts, note, picture, sound

ON = RayOptions("local")
TWO = {"left": 1, "right": 1}


@pytest.fixture
def use(
    monkeypatch: pytest.MonkeyPatch, in_process: InProcess
) -> Iterator[Callable[[FakeRay], FakeRay]]:
    """Let runs with `on` use a FakeRay, with chunks of eight files."""
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    monkeypatch.setattr(ray_stage, "CHUNK_FILES", 8)
    monkeypatch.setattr(ray_stage, "TICK_S", 0.01)
    monkeypatch.setattr(ray_stage, "LOOK_S", 0.01)
    monkeypatch.setattr(ray_stage, "REST_S", 0.01)
    made: list[FakeRay] = []

    def use(ray: FakeRay) -> FakeRay:
        made.append(ray)

        @contextmanager
        def connected(options: RayOptions) -> Iterator[Any]:
            yield ray

        monkeypatch.setattr(pipeline, "connected", connected)
        monkeypatch.setattr(RayOptions, "check", lambda self: None)
        return ray

    yield use
    for ray in made:
        assert all(actor.dead for actor in ray.actors)  # none outlives its run


def names(chunk: EncodeChunk) -> list[str]:
    return [task.path.name for task in chunk.tasks]


def pictures(folder: Path, count: int) -> None:
    for i in range(count):
        picture(folder / f"{i:02}.png", "red", (60 + i, 50))


def stored(library: Library) -> dict[str, tuple[Any, ...]]:
    """Every content with its paths, segments and vectors."""
    generation = library.catalog.generations.serving()
    assert generation is not None
    ids = library.catalog.segments.ids(generation.id)
    vectors = library.catalog.segments.vectors(ids, generation, generation.spaces[0])
    found: dict[str, Any] = {}
    for record, vector in zip(library.catalog.segments.resolve(ids), vectors, strict=True):
        key = f"{min(path.name for path in record.paths)} {record.ordinal}"
        assert key not in found
        found[key] = (record.segment, vector.tobytes())
    return found


def test_a_run_by_ray_stores_and_reports_what_a_local_run_does(
    use: Callable[[FakeRay], FakeRay], library: Library, media_folder: Path, tmp_path: Path
) -> None:
    pictures(media_folder, 9)
    for name in ("copy.png", "zz-far-copy.png"):  # of the same chunk, and of a later one
        (media_folder / name).write_bytes((media_folder / "00.png").read_bytes())
    sound(media_folder / "long.wav", "red", "green", seconds=4.0)
    note(media_folder / "notes.md", "The forest is green. " * 40)
    broken(media_folder / "bad.jpg")
    broken(media_folder / "empty.png", b"")
    broken(media_folder / "data.xml", b"<a/>")
    by_ray = Library(tmp_path / "by-ray")
    use(FakeRay(TWO))
    expected, report = library.index(media_folder), by_ray.index(media_folder, on=ON)
    assert counts(report) == counts(expected) == {"added": 13, "failed": 2, "skipped": 1}
    for name in ("encoded", "segments", "bytes_read", "unsupported", "notes", "changed"):
        assert getattr(report, name) == getattr(expected, name), name
    assert sorted(map(str, report.failures)) == sorted(map(str, expected.failures))
    assert stored(by_ray) == stored(library)
    assert counts(by_ray.index(media_folder, on=ON)) == counts(library.index(media_folder))
    # A local run agrees with what machines read: nothing has to be read again.
    assert counts(by_ray.index(media_folder)) == {"unchanged": 13, "failed": 2, "skipped": 1}
    by_ray.close()


def test_known_contents_are_not_encoded_again(
    use: Callable[[FakeRay], FakeRay], library: Library, media_folder: Path, in_process: InProcess
) -> None:
    pictures(media_folder, 12)
    use(FakeRay(TWO))
    library.index(media_folder, on=ON)
    os.rename(media_folder / "03.png", media_folder / "moved.png")
    (media_folder / "copy.png").write_bytes((media_folder / "05.png").read_bytes())
    os.utime(media_folder / "07.png", ns=(1, 1))
    picture(media_folder / "new.png", "blue")
    in_process.decoded.clear()
    report = library.index(media_folder, on=ON)
    assert counts(report) == {"added": 2, "moved": 1, "unchanged": 11}
    assert report.encoded == 1
    assert in_process.decoded == ["new.png"]


def test_an_encoder_has_two_chunks_at_most(
    use: Callable[[FakeRay], FakeRay], library: Library, media_folder: Path
) -> None:
    pictures(media_folder, 40)
    ray = use(FakeRay(TWO, lambda machine, chunk: time.sleep(0.02)))
    assert counts(library.index(media_folder, on=ON)) == {"added": 40}
    assert ray.most_in_flight == 2
    assert {actor.machine for actor in ray.actors if actor.calls["encode"]} == {"left", "right"}
    assert [actor.options["name"] for actor in ray.actors] == [
        "seehear-encoder-1",
        "seehear-encoder-2",
    ]


def test_a_machine_that_is_lost_loses_and_doubles_nothing(
    use: Callable[[FakeRay], FakeRay], library: Library, media_folder: Path
) -> None:
    pictures(media_folder, 40)
    seen: list[str] = []

    def lose_one(machine: str, chunk: EncodeChunk) -> None:
        seen.append(machine)
        if machine == "left" and seen.count("left") == 2:
            ray.lose("left")

    ray = use(FakeRay(TWO, lose_one))
    report = library.index(media_folder, on=ON)
    assert counts(report) == {"added": 40}
    assert report.encoded == len(stored(library)) == 40


def test_a_lost_encoder_is_replaced_where_there_is_room(
    use: Callable[[FakeRay], FakeRay], library: Library, media_folder: Path
) -> None:
    pictures(media_folder, 12)

    def move(machine: str, chunk: EncodeChunk) -> None:
        if machine == "old":
            ray.alive["new"] = 1
            ray.lose("old")

    ray = use(FakeRay({"old": 1}, move))
    assert counts(library.index(media_folder, on=ON)) == {"added": 12}
    assert {actor.machine for actor in ray.actors} == {"old", "new"}


@pytest.mark.parametrize("deadly", [{"05.png"}, {"00.png", "06.png", "11.png"}])
def test_a_file_that_kills_its_encoder_fails_alone_and_in_bounded_tries(
    use: Callable[[FakeRay], FakeRay], library: Library, media_folder: Path, deadly: set[str]
) -> None:
    pictures(media_folder, 12)
    deaths = Counter[str]()

    def kill(machine: str, chunk: EncodeChunk) -> None:
        for name in deadly.intersection(names(chunk)):
            deaths[name] += 1
            raise DiedError

    use(FakeRay(TWO, kill))
    report = library.index(media_folder, on=ON)
    assert counts(report) == {"added": 12 - len(deadly), "failed": len(deadly)}
    assert {failure.path.name for failure in report.failures} == deadly
    assert {failure.reason for failure in report.failures} == {"encoding it ended 3 encoders"}
    assert all(3 <= count <= 8 for count in deaths.values()), deaths
    deadly.clear()
    assert counts(library.index(media_folder, on=ON))["added"] == len(report.failures)


def test_encoders_that_die_on_every_file_end_the_run(
    use: Callable[[FakeRay], FakeRay], library: Library, media_folder: Path
) -> None:
    pictures(media_folder, 30)

    def kill(machine: str, chunk: EncodeChunk) -> None:
        raise DiedError

    use(FakeRay({"only": 1}, kill))
    with pytest.raises(ModelError, match="encoders died on 16 files in a row"):
        library.index(media_folder, on=ON)


def test_a_machine_that_cannot_be_used_is_left_out_in_one_line(
    use: Callable[[FakeRay], FakeRay], library: Library, media_folder: Path
) -> None:
    pictures(media_folder, 12)
    reason = "it has seehear 0.0.9; install seehear 0.1.0 there"
    ray = use(FakeRay(TWO, on_prepare=lambda machine: reason if machine == "left" else None))
    report = library.index(media_folder, on=ON)
    assert counts(report) == {"added": 12}
    assert report.notes == (f"machine left is left out: {reason}",)
    assert not any(actor.calls["encode"] for actor in ray.actors if actor.machine == "left")
    picture(media_folder / "new.png", "blue")
    use(FakeRay({"left": 1}, on_prepare=lambda machine: reason))
    with pytest.raises(EnvironmentFaultError, match=r"no machine .*machine left: it has seehear 0"):
        library.index(media_folder, on=ON)


def test_a_machine_whose_encoders_die_as_they_start_is_left_out(
    use: Callable[[FakeRay], FakeRay], library: Library, media_folder: Path
) -> None:
    pictures(media_folder, 24)

    def die(machine: str) -> None:
        if machine == "left":
            raise DiedError

    ray = use(FakeRay(TWO, lambda *_: time.sleep(0.1), on_prepare=die))
    report = library.index(media_folder, on=ON)
    assert counts(report) == {"added": 24}
    assert report.notes == ("machine left is left out: its encoders die while they start",)
    assert [actor.machine for actor in ray.actors].count("left") == 3


def test_a_model_of_another_revision_is_refused(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, os.environ.get(name, "1"))
    setup = encoding.EncoderSetup("fake:2", "1", library.settings, (), {}, 1, load_model)
    with pytest.raises(ModelError, match="its model fake:2 is 2, not 1"):
        encoding.ChunkEncoder(setup)


def test_a_machine_without_the_folder_is_left_out(
    use: Callable[[FakeRay], FakeRay],
    library: Library,
    media_folder: Path,
    in_process: InProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same file can be read here: the machine is at fault, and no file fails."""
    pictures(media_folder, 40)
    reads = encoding.ChunkEncoder.encode

    def encode(self: encoding.ChunkEncoder, chunk: EncodeChunk) -> encoding.EncodedChunk:
        encoded = reads(self, chunk)
        if threading.current_thread().name in blind:
            return encoding.EncodedChunk((), tuple(task.path for task in chunk.tasks))
        return encoded

    blind: set[str] = set()
    asked = threading.Event()

    def look(machine: str, chunk: EncodeChunk) -> None:
        name = threading.current_thread().name
        (blind.add if machine == "left" else blind.discard)(name)
        if machine == "left":
            asked.set()
        else:
            asked.wait(30)  # or this machine may have done everything before the other one starts

    monkeypatch.setattr(encoding.ChunkEncoder, "encode", encode)
    use(FakeRay(TWO, look))
    report = library.index(media_folder, on=ON)
    assert counts(report) == {"added": 40}
    (told,) = report.notes
    assert told.startswith("machine left is left out: it cannot read ")
    assert told.endswith("mount that folder there, too")


def test_a_file_that_nobody_can_read_fails_as_in_a_local_run(
    use: Callable[[FakeRay], FakeRay], library: Library, media_folder: Path, in_process: InProcess
) -> None:
    pictures(media_folder, 4)
    in_process.on_read = lambda path: None
    use(
        FakeRay(
            {"only": 1}, lambda machine, chunk: (media_folder / "02.png").unlink(missing_ok=True)
        )
    )
    report = library.index(media_folder, on=ON)
    assert counts(report) == {"added": 3, "failed": 1}
    assert report.failures[0].stage == "open"
    assert report.notes == ()


def test_a_stop_keeps_what_is_done_and_the_next_run_does_the_rest(
    use: Callable[[FakeRay], FakeRay], library: Library, media_folder: Path
) -> None:
    pictures(media_folder, 64)
    stop = threading.Event()
    seen: list[str] = []

    def stop_midway(machine: str, chunk: EncodeChunk) -> None:
        seen.append(machine)
        if len(seen) == 5:  # four are sent at once, so that one has come back
            stop.set()

    use(FakeRay(TWO, stop_midway))
    report = library.index(media_folder, stop=stop, on=ON)
    assert report.interrupted
    assert 0 < report.added < 64
    use(FakeRay(TWO))
    rest = library.index(media_folder, on=ON)
    assert (rest.added, rest.unchanged) == (64 - report.added, report.added)


@pytest.mark.parametrize(
    ("cpus", "options", "expected"),
    [
        ([4], {}, EncoderShare(1, 4, 0)),
        ([4], {"encoders": 2}, EncoderShare(2, 2, 0)),
        ([4], {"encoders": 3}, EncoderShare(3, 1, 0)),
        ([0, 8, 8], {}, EncoderShare(2, 8, 0)),
        ([4, 64], {}, EncoderShare(2, 32, 0)),
        ([4, 64], {"encoders": 5}, EncoderShare(5, 12, 0)),
    ],
)
def test_processors_are_shared_out(
    cpus: list[int], options: dict[str, int], expected: EncoderShare
) -> None:
    machines = [RayMachine(str(i), str(i), count) for i, count in enumerate(cpus)]
    assert share_out(machines, RayOptions("local", **options), use_gpus=True) == expected


@pytest.mark.parametrize(
    ("options", "use_gpus", "expected"),
    [
        ({}, True, EncoderShare(3, 8, 1)),
        ({}, False, EncoderShare(3, 8, 0)),
        ({"gpus_per_encoder": 0.5}, True, EncoderShare(6, 4, 0.5)),
        ({"gpus_per_encoder": 0}, True, EncoderShare(3, 8, 0)),
        ({"gpus_per_encoder": 2}, True, EncoderShare(1, 16, 2)),
    ],
)
def test_gpus_are_shared_out(
    options: dict[str, float], use_gpus: bool, expected: EncoderShare
) -> None:
    machines = [RayMachine("a", "a", 16, 2), RayMachine("b", "b", 8, 1), RayMachine("c", "c", 8)]
    assert share_out(machines, RayOptions("local", None, **options), use_gpus=use_gpus) == expected


def test_a_cluster_that_is_too_small_is_refused() -> None:
    with pytest.raises(UsageError, match="has 3 processors, too few for 4 encoders"):
        share_out([RayMachine("a", "a", 3)], RayOptions("local", 4), use_gpus=True)
    with pytest.raises(UsageError, match="and 0 GPUs, too few for 1 encoders with 1 GPUs each"):
        share_out([RayMachine("a", "a", 3)], RayOptions("local", 1, 1), use_gpus=True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"address": "http://head:10001"},
        {"address": "ray://"},
        {"address": "head:port"},
        {"address": "local", "encoders": 0},
        {"address": "local", "gpus_per_encoder": -1},
        {"address": "local", "gpus_per_encoder": float("nan")},
    ],
)
def test_wrong_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        RayOptions(**wrong)


@pytest.mark.parametrize(
    "address",
    ["local", "auto", "ray://head", "ray://head:10001", "head:6379", "[::1]:6379", "ray://[::1]"],
)
def test_where_ray_may_be(address: str) -> None:
    assert RayOptions(address).address == address


@pytest.mark.parametrize(
    ("address", "hint"),
    [
        ("nonsense", " Did you mean ray://nonsense:10001?"),
        ("lokal", " Did you mean local?"),
        ("AUTO", " Did you mean auto?"),
        ("ray://", ""),
        ("", ""),
        ("http://head:10001", ""),
        ("head:0", ""),
        ("ray://head:70000", ""),
        ("head:ray", ""),
        ("two words:1", ""),
        ("a\nb", ""),
    ],
)
def test_anything_else_is_refused_at_once(address: str, hint: str) -> None:
    with pytest.raises(UsageError) as told:
        RayOptions(address)
    message = str(told.value)
    assert message.startswith("--on takes local, auto, ray://HOST:PORT or HOST:PORT, not ")
    assert message.endswith(f".{hint}")
    assert message.isprintable()


def test_encoders_without_a_cluster_are_refused(tmp_path: Path) -> None:
    with Collection(tmp_path / "collection") as collection, pytest.raises(UsageError, match="--on"):
        collection.index(tmp_path, encoders=2)


def test_a_head_that_does_not_answer_is_one_line(library: Library, media_folder: Path) -> None:
    picture(media_folder / "a.png")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    for address in (f"ray://127.0.0.1:{port}", f"127.0.0.1:{port}", "ray://nowhere.invalid"):
        with pytest.raises(EnvironmentFaultError, match=f"cannot reach Ray at {address}: ") as told:
            library.index(media_folder, on=RayOptions(address))
        assert "\n" not in str(told.value)
    assert counts(library.index(media_folder)) == {"added": 1}


def test_ray_that_is_not_installed_is_one_line_that_names_the_extra(
    library: Library, media_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seehear.indexers.ray_cluster.find_spec", lambda name: None)
    with pytest.raises(EnvironmentFaultError, match=r"pip install 'seehear\[ray\]'"):
        library.index(media_folder, on=ON)


def test_a_local_run_does_not_import_ray(library: Library, media_folder: Path) -> None:
    picture(media_folder / "a.png")
    loaded = "ray" in sys.modules
    library.index(media_folder)
    assert ("ray" in sys.modules) == loaded

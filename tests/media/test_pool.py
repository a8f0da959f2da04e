"""Test decoding of many files: order, look-ahead, limits, crashes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from seehear import media
from seehear.config import Settings
from seehear.errors import (
    BrokenMediaError,
    EnvironmentFaultError,
    MediaError,
    MediaLimitError,
    UnsupportedMediaError,
)
from seehear.media.workers import process
from seehear.types import (
    SampleSpec,
)
from tests.media import make
from tests.media.test_protocol import pairs_equal

pytestmark = pytest.mark.usefixtures("started_anew")

SPEC = SampleSpec(image_px=64)
SETTINGS = Settings(decode_workers=2, decode_timeout_s=60)
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals and limits of POSIX")


def failure_of(file: media.DecodedFile) -> MediaError | None:
    """How a file of one sample failed, or None."""
    try:
        count = len(list(file))
    except MediaError as error:
        return error
    assert file.error is None
    assert count == 1
    return None


def leftovers() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("seehear-decode")]


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    yield
    assert leftovers() == []


def test_it_agrees_with_decoding_here(every_format: dict[str, Path]) -> None:
    paths = list(every_format.values())
    seen = []
    for file in media.decode_all(paths, SPEC, SETTINGS):
        pairs = list(file)
        seen.append(file.path)
        assert file.error is None
        assert (
            file.content_hash == hashlib.blake2b(file.path.read_bytes(), digest_size=32).hexdigest()
        )
        stat = file.path.stat()
        assert (file.size_bytes, file.modified_ns, file.inode) == (
            stat.st_size,
            stat.st_mtime_ns,
            stat.st_ino,
        )
        assert file.info == media.probe(file.path)
        assert pairs_equal(pairs, list(media.samples(file.path, file.info, SPEC)))
    assert seen == paths, "the order is kept"


def test_bad_files_fail_alone_and_in_their_place(tmp_path: Path) -> None:
    good = [make.make_image(tmp_path / f"good{n}.png", (80, 80)) for n in range(3)]
    empty, broken, other = tmp_path / "empty.jpg", tmp_path / "broken.png", tmp_path / "a.exe"
    empty.touch()
    broken.write_bytes(good[0].read_bytes()[:90])
    other.write_bytes(b"MZ" + bytes(100))
    missing = tmp_path / "missing.jpg"
    paths = [good[0], empty, good[1], broken, other, missing, good[2]]
    found = [failure_of(file) for file in media.decode_all(paths, SPEC, SETTINGS)]
    assert [None if error is None else type(error) for error in found] == [
        None, BrokenMediaError, None, BrokenMediaError, UnsupportedMediaError, MediaError, None,
    ]  # fmt: skip


@dataclass(frozen=True)
class Numbered:
    path: Path
    number: int


def test_tasks_come_back_and_are_read_lazily(tmp_path: Path) -> None:
    path = make.make_image(tmp_path / "a.png", (80, 80))
    taken = 0

    def tasks() -> Iterator[Numbered]:
        nonlocal taken
        for number in range(100):
            taken += 1
            yield Numbered(path, number)

    files = media.decode_all(tasks(), SPEC, SETTINGS)
    assert [next(files).task.number for _ in range(3)] == [0, 1, 2]
    assert taken < 20
    files.close()


def test_known_content_is_not_decoded(every_format: dict[str, Path]) -> None:
    paths = [every_format[name] for name in ("jpg", "png", "mp4")]
    known = hashlib.blake2b(paths[1].read_bytes(), digest_size=32).hexdigest()
    skipped = []
    for file in media.decode_all(paths, SPEC, SETTINGS, wanted=lambda digest: digest != known):
        skipped.append(file.skipped)
        assert bool(list(file)) is not file.skipped
        assert (file.info is None) is file.skipped
    assert skipped == [False, True, False]


def test_what_the_caller_raises_reaches_the_caller(every_format: dict[str, Path]) -> None:
    def wanted(digest: str) -> bool:
        raise LookupError(digest)

    with pytest.raises(LookupError):
        list(media.decode_all([every_format["jpg"]], SPEC, SETTINGS, wanted=wanted))

    def tasks() -> Iterator[Path]:
        yield every_format["jpg"]
        raise LookupError

    with pytest.raises(LookupError):
        list(media.decode_all(tasks(), SPEC, SETTINGS))


def test_an_unread_film_holds_nothing_up(tmp_path: Path) -> None:
    film = make.make_video(tmp_path / "a.mp4", [(make.RED, 20.0)], [(440, 20.0)])
    image = make.make_image(tmp_path / "b.png", (80, 80))
    seen = [file.path for file in media.decode_all([film, film, film, image], SPEC, SETTINGS)]
    assert seen == [film, film, film, image]


def test_stop_ends_the_iteration(every_format: dict[str, Path]) -> None:
    stop = threading.Event()
    count = 0
    for _ in media.decode_all([every_format["jpg"]] * 50, SPEC, SETTINGS, stop=stop):
        count += 1
        if count == 3:
            stop.set()
    assert count == 3


def hostile_worker(monkeypatch: pytest.MonkeyPatch, folder: Path, code: str) -> None:
    """Let workers run `code` for files named evil.*, in place of `media_info.probe_open`."""
    module = folder / "hostile_worker.py"
    module.write_text(
        "import ctypes, os, sys, time\n"
        "from seehear.media import media_info\n"
        "from seehear.media.workers import worker; from seehear.processes import sandbox\n"
        "plain = worker.WorkerLoop.serve\n"
        "def serve(self, request):\n"
        "    probe_open.evil = 'evil' in request['path']\n"
        "    plain(self, request)\n"
        "worker.WorkerLoop.serve = serve\n"
        "probe = media_info.probe_open\n"
        "def probe_open(item):\n"
        "    if probe_open.evil:\n"
        f"        {code}\n"
        "    return probe(item)\n"
        "media_info.probe_open = probe_open\n"
        "def main(parent):\n"
        "    streams = sandbox.private_streams()\n"
        "    worker.main(*streams, sandbox.enter(parent))\n"
        "def babble():\n"
        "    for descriptor in range(3, 20):\n"
        "        try:\n"
        "            os.write(descriptor, b'x' * 100)\n"
        "        except OSError:\n"
        "            pass\n"
    )
    monkeypatch.setattr(process, "_ENTRY", "from hostile_worker import main; main(parent)")
    monkeypatch.syspath_prepend(str(folder))


CASES = {
    "segfault": ("ctypes.string_at(0)", "SEGV", MediaError, 60.0),
    "abort": ("os.abort()", "SIGABRT", MediaError, 60.0),
    "exit": ("os._exit(3)", "exit status 3", MediaError, 60.0),
    "hang": ("time.sleep(1000)", "no result within 1 seconds", MediaLimitError, 1.0),
    "hang in C": (
        "ctypes.PyDLL(None).sleep(1000)", "no result within 1 seconds", MediaLimitError, 1.0,
    ),
    "memory": ("bytearray(1 << 34)", "more memory", MediaLimitError, 60.0),
    "babble": ("babble()", "a message beyond the size limit", MediaError, 60.0),
    "prints": ("print('hello'); os.write(1, b'x' * 100); os.write(2, b'x')", "", None, 60.0),
}  # fmt: skip


@POSIX
@pytest.mark.parametrize(
    "case",
    [
        # Ended as what hangs in C; signals are told as of a segfault.
        pytest.param(case, marks=pytest.mark.slow if case in {"hang", "abort"} else ())
        for case in CASES
    ],
)
def test_a_decoder_that_dies_takes_one_file_with_it(
    case: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    code, words, kind, timeout_s = CASES[case]
    hostile_worker(monkeypatch, tmp_path, code)
    good = make.make_image(tmp_path / "good.png", (80, 80))
    evil = tmp_path / "evil.png"
    shutil.copy(good, evil)
    settings = Settings(decode_workers=2, decode_timeout_s=timeout_s)
    paths = [good, evil, good, good, evil, good]
    found = [failure_of(file) for file in media.decode_all(paths, SPEC, settings)]
    assert [number for number, error in enumerate(found) if error] == ([1, 4] if kind else [])
    for error in filter(None, found):
        assert type(error) is kind, error
        assert error.stage == "decode"
        assert words in str(error)
    assert capfd.readouterr() == ("", "")


@POSIX
def test_workers_that_cannot_start_are_the_error_of_the_run(
    every_format: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_ENTRY", "raise SystemExit(7)")
    with pytest.raises(EnvironmentFaultError, match="cannot be started"):
        list(media.decode_all([every_format["jpg"]], SPEC, SETTINGS))


@POSIX
def test_a_killed_worker_is_replaced(tmp_path: Path) -> None:
    """From outside, as by a system that runs out of memory."""
    film = make.make_video(tmp_path / "a.mp4", [(make.RED, 60.0)], [(440, 60.0)], size=(32, 32))
    image = make.make_image(tmp_path / "b.png", (80, 80))
    settings = Settings(decode_workers=1)
    spec = SampleSpec(sample_rate_hz=48_000)
    outcomes: list[str] = []
    killed = False
    for file in media.decode_all([film, image, image], spec, settings):
        try:
            for _ in file:
                if not killed:
                    killed = True
                    for pid in children_of(os.getpid()):
                        with contextlib.suppress(ProcessLookupError):  # ended since it was listed
                            os.kill(pid, signal.SIGKILL)
            outcomes.append("")
        except MediaError as error:
            outcomes.append(str(error))
    assert "SIGKILL" in outcomes[0]
    assert outcomes[1:] == ["", ""]


def children_of(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = entry.read_text()
        except OSError:
            continue
        name, rest = text.rsplit(")", 1)
        if int(rest.split()[1]) == pid and "python" in name:
            found.append(int(text.split(maxsplit=1)[0]))
    return found


def test_a_file_that_changes_while_it_is_read(tmp_path: Path) -> None:
    path = make.make_image(tmp_path / "a.png", (80, 80))

    def wanted(digest: str) -> bool:
        with path.open("ab") as file:
            file.write(b"more")
        return True

    for file in media.decode_all([path], SPEC, SETTINGS, wanted=wanted):
        with pytest.raises(MediaError, match="changed"):
            list(file)
        assert file.changed


def test_names_in_any_bytes(tmp_path: Path) -> None:
    path = Path(str(tmp_path) + "/caf\udce9\n.png")
    try:
        shutil.copy(make.make_image(tmp_path / "a.png", (80, 80)), path)
    except (OSError, UnicodeError):
        pytest.skip("the file system keeps names in UTF-8 alone")
    assert [len(list(file)) for file in media.decode_all([path], SPEC, SETTINGS)] == [1]


@POSIX
def test_interrupting_prints_no_trace_of_workers(tmp_path: Path) -> None:
    """Ctrl-C goes to the whole group of a terminal; workers leave it to the parent."""
    make.make_image(tmp_path / "a.png", (80, 80))
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from seehear import media\n"
        "from seehear.types import SampleSpec\n"
        f"paths = [Path({str(tmp_path / 'a.png')!r})] * 100_000\n"
        "try:\n"
        "    for file in media.decode_all(paths, SampleSpec()):\n"
        "        list(file); print('x', flush=True)\n"
        "except KeyboardInterrupt:\n"
        "    sys.exit(130)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert child.stdout is not None
    assert child.stderr is not None
    with child:
        child.stdout.readline()
        os.killpg(child.pid, signal.SIGINT)
        child.stdout.read()
        assert child.stderr.read() == b""
    assert child.returncode == 130


@POSIX
def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    film = make.make_video(tmp_path / "a.mp4", [(make.RED, 5.0)], [(440, 5.0)])
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from seehear import media\n"
        "from seehear.types import SampleSpec\n"
        f"for file in media.decode_all([Path({str(film)!r})] * 1000, SampleSpec()):\n"
        "    list(file); print(os.getpid(), flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        workers = children_of(child.pid)
        assert workers
        child.kill()
    deadline = time.monotonic() + 30
    while any(alive(pid) for pid in workers):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_workers_import_no_encoder() -> None:
    code = (
        "import sys, seehear.media.workers.worker; "
        "print(sorted({'torch', 'faiss', 'transformers', 'sqlalchemy', 'seehear.encoders'}"
        " & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@POSIX
def test_the_size_of_the_host_process_does_not_wear_workers(tmp_path: Path) -> None:
    """Linux hands the peak memory of a process down to what it starts."""
    image = make.make_image(tmp_path / "a.png", (80, 80))
    code = (
        "import sys\n"
        "from seehear import media\n"
        "from seehear.config import Settings\n"
        "from seehear.types import SampleSpec\n"
        "ballast = b'x' * (640 << 20)\n"
        "settings = Settings(decode_workers=1, decode_memory_bytes=1 << 30)\n"
        "for file in media.decode_all([sys.argv[1]] * 2, SampleSpec(), settings):\n"
        "    print(len(list(file)))\n"
    )
    command = [sys.executable, "-c", code, str(image)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.split() == ["1", "1"], done.stderr

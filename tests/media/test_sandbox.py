"""Test what a worker cannot do, by letting decoders try it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from seehear.diagnostics import machine
from seehear.errors import MediaError
from seehear.libraries import Child
from seehear.media.workers import process
from seehear.media.workers.pool import DecodePool
from seehear.processes import sandbox
from seehear.types import SampleSpec
from tests.media import make
from tests.media.test_pool import alive, children_of

pytestmark = pytest.mark.usefixtures("started_anew")
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="what Linux offers")


EVIL = """
import ctypes, os, signal, socket, subprocess, threading
from seehear.errors import MediaError
from seehear.media.workers import worker
def evil(file, **other):
    try:
        found = eval(open(file).read())
    except OSError as error:
        found = type(error).__name__
    raise MediaError(f'found {found}')
worker._DOES['image'] = evil
"""


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """What comes of an expression that a worker evaluates in place of decoding.

    One worker for all: a refusal is an answer and ends nothing. It starts with secrets around it.
    """
    folder = tmp_path_factory.mktemp("evil")
    (folder / "evil_worker.py").write_text(EVIL)
    entry = process._ENTRY.replace("main(*streams", "import evil_worker; main(*streams")
    with closing(DecodePool(1, 2 << 30, 20.0)) as pool:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(process, "_ENTRY", entry)
            patch.syspath_prepend(str(folder))
            for name in ("SEEHEAR_TOKEN", "AWS_SECRET_ACCESS_KEY", "PGPASSWORD", "HOME"):
                patch.setenv(name, "a secret")
            pool.sandbox()  # starts the worker

        def tried(code: str) -> str:
            (folder / "code").write_text(code)
            with pytest.raises(MediaError, match=r"found|died") as told:
                pool.image(folder / "code", 64)
            return str(told.value)

        yield tried


REFUSED = {
    "write": "open('FOLDER/new', 'w')",
    "append": "open('FOLDER/precious', 'a')",
    "truncate": "os.truncate('FOLDER/precious', 0)",
    "remove": "os.unlink('FOLDER/precious')",
    "rename": "os.rename('FOLDER/precious', 'FOLDER/other')",
    "link": "os.symlink('/etc/passwd', 'FOLDER/link')",
    "folder": "os.mkdir('FOLDER/inner')",
    "pipe": "os.mkfifo('FOLDER/fifo')",
    "rights": "os.chmod('FOLDER/precious', 0o777)",
    "times": "os.utime('FOLDER/precious', (1, 1))",
    "tcp": "socket.create_connection(('127.0.0.1', 9))",
    "udp": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "unix": "socket.socket(socket.AF_UNIX)",
    "pair": "socket.socketpair()",
    "program": "subprocess.run(['/bin/true'])",
    "exec": "os.execv('/bin/true', ['true'])",
    "fork": "os.fork()",
    "signal": "os.kill(os.getppid(), signal.SIGTERM)",
    "group": "os.killpg(os.getpgid(os.getppid()), signal.SIGTERM)",
}


@LINUX
@pytest.mark.parametrize("name", REFUSED)
def test_a_decoder_that_was_taken_over_can_do_no_harm(
    name: str, tmp_path: Path, evil: Callable[[str], str]
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("data")
    before = precious.stat()
    told = evil(REFUSED[name].replace("FOLDER", str(tmp_path)))
    assert "found PermissionError" in told
    after = precious.stat()
    assert (after.st_mode, after.st_mtime_ns, after.st_size) == (
        before.st_mode,
        before.st_mtime_ns,
        before.st_size,
    )
    assert precious.read_text() == "data"
    assert not {"new", "other", "link", "inner", "fifo"} & {one.name for one in tmp_path.iterdir()}


def test_what_decoding_needs_is_left(tmp_path: Path, evil: Callable[[str], str]) -> None:
    (tmp_path / "file").write_text("words")
    assert evil(f"open({str(tmp_path / 'file')!r}).read()") == "found words"


@LINUX
def test_threads_are_left(evil: Callable[[str], str]) -> None:
    assert evil("threading.Thread(target=int).start()") == "found None"


def test_a_worker_knows_no_secret(evil: Callable[[str], str]) -> None:
    told = evil("sorted(os.environ.items())")
    assert "PATH" in told
    assert "secret" not in told
    assert "'HOME'" not in told


@LINUX
def test_the_kernel_says_so(evil: Callable[[str], str]) -> None:
    told = evil(
        "[l for l in open('/proc/self/status') if l.startswith(('NoNewPrivs', 'Seccomp:'))]"
    )
    assert "NoNewPrivs:\\t1" in told
    assert "Seccomp:\\t2" in told
    with closing(DecodePool(1, 2 << 30, 20.0)) as pool:
        held = pool.sandbox()
    assert {"limits", "parent", "no_new_privs", "landlock", "seccomp"} == set(held)
    assert held["no_new_privs"]


@LINUX
@pytest.mark.parametrize("lacking", ["_restrict_files", "_restrict_calls"])
def test_either_mechanism_alone_forbids_writing(lacking: str, tmp_path: Path) -> None:
    """As on a kernel that has only one of the two."""
    code = (
        "import os, sys; from seehear.processes import sandbox\n"
        f"sandbox.{lacking} = lambda: 0\n"
        "sandbox.enter(os.getppid())\n"
        "try: open(sys.argv[1], 'w')\n"
        "except PermissionError: print('refused')\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "new")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "refused", done.stderr
    assert not list(tmp_path.iterdir())


def test_a_system_without_any_of_it_still_decodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacks = (
        "from seehear.processes import sandbox; sandbox._libc = lambda: None; "
        "sandbox.platform.machine = lambda: 'riscv64'; "
    )
    monkeypatch.setattr(process, "_ENTRY", lacks + process._ENTRY)
    image = make.make_image(tmp_path / "a.png", (80, 80))
    with closing(DecodePool(1, 2 << 30, 20.0)) as pool:
        assert pool.query(image, SampleSpec())[1]
        held = pool.sandbox()
    assert not any(held.get(name) for name in ("no_new_privs", "landlock", "seccomp"))


@pytest.mark.parametrize(
    ("held", "platform", "level", "words"),
    [
        ({"landlock": 7, "seccomp": 1}, "linux", "ok", "cannot write, connect or start programs"),
        ({"landlock": 0, "seccomp": 1}, "linux", "ok", "programs (seccomp)"),
        ({"landlock": 3, "seccomp": 0}, "linux", "warning", "(Landlock 3 alone)"),
        ({"landlock": 0, "seccomp": 0}, "linux", "warning", "neither Landlock nor seccomp"),
        ({}, "darwin", "ok", "limits and no secrets"),
    ],
)
def test_doctor_tells_what_holds(
    held: dict[str, int], platform: str, level: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", platform)
    child = SimpleNamespace(run=lambda code, timeout_s: (True, json.dumps(held)))
    row = machine.sandbox_row(child)  # type: ignore[arg-type]
    assert (row.level, row.topic) == (level, "sandbox")
    assert words in row.found
    assert bool(row.remedy) is (level == "warning")


@LINUX
def test_doctor_asks_a_worker() -> None:
    with Child() as child:
        assert machine.sandbox_row(child).level in {"ok", "warning"}
        assert not machine.sandbox_row(child).found.startswith("not known")


def test_every_architecture_has_a_filter_of_its_own() -> None:
    programs = {machine: sandbox._filter(machine, 7) for machine in ("x86_64", "aarch64")}
    assert programs["x86_64"] != programs["aarch64"]
    assert all(program and len(program) % 8 == 0 for program in programs.values())
    assert sandbox._filter("riscv64", 7) is None


@LINUX
@pytest.mark.parametrize(
    "hang", ["import time; time.sleep(1000)", "import re; re.match('(a|a)*b', 'a' * 64)"]
)
def test_a_worker_that_hangs_ends_with_its_parent(hang: str, tmp_path: Path) -> None:
    """Also where it reads no request, and holds Python's own lock."""
    script = (
        "from pathlib import Path\n"
        "from seehear.media.workers import process\n"
        "from seehear.media.workers.pool import DecodePool\n"
        f"process._ENTRY = process._ENTRY.replace('main(*streams', {hang + '; main(*streams'!r})\n"
        "pool = DecodePool(1, 2 << 30, 20.0)\n"
        "pool.prepare()\n"
        "print('started', flush=True)\n"
        "pool.sandbox()\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        workers = children_of(child.pid)
        assert workers
        time.sleep(1.0)
        assert all(map(alive, workers))
        child.kill()
    deadline = time.monotonic() + 10
    while any(map(alive, workers)):
        assert time.monotonic() < deadline
        time.sleep(0.05)

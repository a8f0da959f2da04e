"""A library that cannot be loaded: one line, exit status 1, and nothing recorded on any file.

Each library is replaced by a stub that fails as broken installations do, in a process of its own
that runs commands of the command line and calls of Python one after the other.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from seehear.collection import Collection
from seehear.config import Settings
from seehear.libraries import LIBRARIES
from tests.media import make

ROOT = Path(__file__).resolve().parents[2]

STUBS = {
    "missing": 'raise ModuleNotFoundError("No module named {0!r}", name={0!r})',
    "import": "raise ImportError('undefined symbol: _ZN3c10')",
    "os": "raise OSError('Could not load this library: /opt/lib.so')",
    "runtime": "raise RuntimeError('compiled for CUDA 12, and this is 13')",
    "attribute": "import sys; sys.no_such_thing",
    "dies": "import os; os.kill(os.getpid(), 4)",
}

_SCRIPT = """
import contextlib, io, json, sys
steps = json.loads(sys.argv[1])
done = []
for step in steps:
    out, err = io.TextIOWrapper(io.BytesIO()), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = 0
        try:
            if isinstance(step, str):
                try:
                    exec(step, {})
                except Exception as error:
                    status = type(error).__name__
                    print(error, file=sys.stderr)
            else:
                sys.argv = ["seehear", *step]
                from seehear.cli import main
                main()
        except SystemExit as end:
            status = end.code or 0
    done.append([status, err.getvalue()])
json.dump(done, sys.stdout)
"""


@dataclass(frozen=True)
class Case:
    """A library, how it fails, files that need it, and calls that must fail and not fail."""

    library: str
    how: str
    files: tuple[str, ...]
    fails: tuple[Any, ...]
    works: tuple[Any, ...] = ()
    model: str = "fake"
    database: str = ""


INDEX = ("index", "NEW/media", "--collection", "NEW/collection")
WORDS = ("search", "a boat", "--collection", "OLD")
STATUS = ("status", "--collection", "OLD")


def like(kind: str, name: str) -> tuple[str, ...]:
    return ("search", f"--{kind}", f"NEW/media/{name}", "--collection", "OLD")


def python(call: str) -> str:
    return f"import seehear; library = seehear.open(OLD, model='MODEL'); {call}"


PHOTO, SOUND = like("image", "a.png"), like("audio", "a.wav")
CASES = (
    Case(
        "torch",
        "os",
        ("a.png", "a.wav", "a.txt"),
        (INDEX, PHOTO, python("library.search(image=NEW + '/media/a.png')")),
        (WORDS, STATUS),
        model="tiny",
    ),
    Case(
        "torchaudio",
        "os",
        ("a.png", "a.wav"),
        (INDEX, SOUND, python("library.search(audio=NEW + '/media/a.wav')")),
        (WORDS,),
        model="tiny",
    ),
    Case("safetensors", "import", ("a.txt",), (INDEX, WORDS), model="tiny"),
    Case("faiss", "runtime", ("a.png",), (INDEX,), (WORDS, PHOTO)),
    Case("numpy", "import", ("a.txt",), (INDEX, WORDS, python("library.search('a boat')"))),
    Case("sqlalchemy", "missing", ("a.txt",), (INDEX, WORDS, STATUS, python("pass"))),
    Case("alembic", "import", ("a.txt",), (INDEX,), (WORDS,)),
    Case("filelock", "missing", ("a.txt",), (INDEX,), (WORDS,)),
    Case(
        "lark",
        "missing",
        ("a.txt",),
        (("search", "a boat", "--where", "format = png", "--collection", "OLD"),),
        (INDEX, WORDS),
    ),
    Case("av", "import", ("a.wav", "a.png"), (INDEX, SOUND), (WORDS,)),
    Case("av", "missing", ("a.mp4",), (INDEX, like("video", "a.mp4"))),
    Case("PIL", "os", ("a.png",), (INDEX, PHOTO), (WORDS,)),
    Case("PIL", "missing", ("a.png",), (INDEX, PHOTO), (WORDS,)),
    Case("pillow_heif", "import", ("a.heic",), (INDEX, like("image", "a.heic")), (WORDS,)),
    Case("rawpy", "os", ("a.dng",), (INDEX, like("image", "a.dng")), (WORDS,)),
    Case("pypdf", "runtime", ("a.pdf",), (INDEX,), (WORDS,)),
    Case("charset_normalizer", "missing", ("latin.txt",), (INDEX,), (WORDS,)),
    Case(
        "open_clip",
        "import",
        ("a.png",),
        ((*INDEX, "--model", "open_clip:ViT-B-32/openai"),),
    ),
    Case(
        "torchvision",
        "os",
        ("a.png",),
        ((*INDEX, "--model", "open_clip:ViT-B-32/openai"),),
        (WORDS, STATUS),
    ),
    Case(
        "transformers",
        "import",
        ("a.wav",),
        ((*INDEX, "--model", "clap:NEW/clap"),),
        (WORDS, STATUS),
    ),
    Case("transformers", "missing", ("a.wav",), ((*INDEX, "--model", "clap:NEW/clap"),)),
    Case("torchvision", "missing", ("a.png",), ((*INDEX, "--model", "open_clip:ViT-B-32/openai"),)),
    Case(
        "psycopg",
        "missing",
        ("a.txt",),
        (INDEX, WORDS, STATUS),
        (("models",),),
        database="postgresql://nobody@127.0.0.1:1/nothing",
    ),
    Case("watchfiles", "attribute", ("a.txt",), (("watch", *INDEX[1:]),), (WORDS,)),
    Case("platformdirs", "missing", ("a.txt",), (("status",),)),
    Case("typer", "missing", (), (WORDS, STATUS), (python("library.search('a boat')"),)),
    Case("rich", "missing", ("a.txt",), (WORDS,), (STATUS,)),
    Case("fastapi", "missing", (), (("serve", "--collection", "OLD", "--port", "0"),), (STATUS,)),
    Case("uvicorn", "import", (), (("serve", "--collection", "OLD", "--port", "0"),)),
    Case("prometheus_client", "missing", (), (("serve", "--collection", "OLD", "--port", "0"),)),
    Case("mcp", "missing", (), (("mcp", "--collection", "OLD"),), (STATUS,)),
    Case("ir_measures", "missing", (), (("eval", "NEW/qrels.jsonl", "--collection", "OLD"),)),
)
QUICK = {"transformers-import", "faiss-runtime", "numpy-import", "sqlalchemy-missing", "av-import"}
QUICK |= {"PIL-os", "lark-missing", "mcp-missing", "fastapi-missing"}
EXTRAS = {one.module: one.extra for one in LIBRARIES if one.extra}


@pytest.fixture(scope="module")
def formats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    for made, suffixes in (
        (make.make_image, ("png", "heic")),
        (make.make_audio, ("wav",)),
        (make.make_video, ("mp4",)),
        (make.make_text, ("pdf", "txt")),
        (make.make_dng, ("dng",)),
    ):
        for suffix in suffixes:
            made(folder / f"a.{suffix}")
    (folder / "latin.txt").write_bytes("Ein Boot fährt über den See. ".encode("latin-1") * 20)
    return folder


@pytest.fixture(scope="module")
def collections(formats: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A collection of a model that was made while all was well."""

    @cache
    def made(model: str) -> Path:
        folder = tmp_path_factory.mktemp(f"old-{model}") / "collection"
        with Collection(folder, Settings(model=model, device="cpu")) as collection:
            report = collection.index(formats / "a.txt", formats / "a.png")
            assert report.added == 2
        return folder

    return made


def run(
    library: str, how: str, steps: Sequence[object], folder: Path, **environment: str
) -> list[list[Any]]:
    stub = folder / "stub" / library
    stub.mkdir(parents=True)
    (stub / "__init__.py").write_text(STUBS[how].format(library))
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, json.dumps(steps)],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=170,
        check=False,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(stub.parent), str(ROOT)]),
            "SEEHEAR_DEVICE": "cpu",
            "SEEHEAR_WORKERS": "1",
            "XDG_STATE_HOME": str(folder / "state"),
            **environment,
        },
    )
    assert done.returncode == 0, done.stderr
    result: list[list[Any]] = json.loads(done.stdout)
    return result


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=name, marks=[] if name in QUICK else pytest.mark.slow)
        for case in CASES
        for name in [f"{case.library}-{case.how}"]
    ],
)
def test_a_broken_library_is_one_line_and_no_fault_of_a_file(
    case: Case, formats: Path, collections: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "media").mkdir()
    for name in case.files:
        shutil.copy(formats / name, tmp_path / "media")
    (tmp_path / "clap").mkdir()
    for name in ("config.json", "model.safetensors"):
        (tmp_path / "clap" / name).write_text("{}")
    (tmp_path / "qrels.jsonl").write_text('{"text": "a boat", "relevant": ["a.txt"]}\n')
    old = tmp_path / "old"
    shutil.copytree(collections(case.model), old)

    def filled(step: Any) -> Any:
        if isinstance(step, str):
            call = step.replace("MODEL", case.model)
            return f"OLD, NEW = {str(old)!r}, {str(tmp_path)!r}; {call}"
        return [word.replace("NEW", str(tmp_path)).replace("OLD", str(old)) for word in step]

    steps = [filled(step) for step in (*case.fails, *case.works)]
    environment = {"SEEHEAR_MODEL": case.model, "SEEHEAR_DATABASE": case.database}
    answers = run(case.library, case.how, steps, tmp_path, **environment)
    for step, (status, said) in list(zip(steps, answers, strict=True))[: len(case.fails)]:
        assert status in (1, "EnvironmentFaultError"), (step, said)
        lines = [
            line
            for line in said.splitlines()
            if not line.endswith((" files", " files/s", "Ctrl-C to stop."))  # how far it has come
        ]
        assert len(lines) == 1, (step, said)
        assert f"the library {case.library} " in lines[0], (step, said)
        assert "pip install" in lines[0]
        assert (case.how == "missing") == ("is not installed" in lines[0])
        if case.library in EXTRAS:
            assert f"'seehear[{EXTRAS[case.library]}]'" in lines[0]
    for step, (status, said) in list(zip(steps, answers, strict=True))[len(case.fails) :]:
        assert status == 0, (step, said)
    if INDEX in case.fails:
        with Collection(tmp_path / "collection", Settings(model="fake", device="cpu")) as mended:
            assert not mended.failures()
            report = mended.index(tmp_path / "media", model="fake")
            assert (report.added + report.unchanged, report.failed) == (len(case.files), 0)


@pytest.mark.parametrize("library", ["av", pytest.param("pypdf", marks=pytest.mark.slow)])
def test_a_library_that_kills_its_process_is_no_fault_of_a_file(
    library: str, formats: Path, tmp_path: Path
) -> None:
    """As one that was built for another processor: an illegal instruction at its import."""
    (tmp_path / "media").mkdir()
    for name in ("a.png", {"av": "a.wav", "pypdf": "a.pdf"}[library]):
        shutil.copy(formats / name, tmp_path / "media")
    collection = str(tmp_path / "collection")
    steps = [["index", str(tmp_path / "media"), "--collection", collection]]
    ((status, said),) = run(library, "dies", steps, tmp_path, SEEHEAR_MODEL="fake")
    assert status == 1
    assert f"the library {library} cannot be loaded (ends its process with signal 4)" in said
    with Collection(tmp_path / "collection", Settings(model="fake", device="cpu")) as mended:
        assert not mended.failures()

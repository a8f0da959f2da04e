"""Measure indexing of photographs end to end: `seehear index`, rclip and clip-retrieval.

    python -m benchmarks.bench_rivals --rclip PROGRAM --clip-retrieval PYTHON
    python -m benchmarks.bench_rivals --quick          few small photographs and a small tower

All three get the same photographs and the same architecture (ViT-B-32-256, which is the one that
rclip uses) with the same random weights: speed does not depend on what a tower has learnt, and
nothing is fetched. Each runs as a process from its start to its end, on an empty collection, in
turns with the others: on all photographs, and on some of them, which tells its start from the work
that every further photograph costs. A turn that is not counted comes first: in it each program's
modules are compiled, as they are once after an install, into a folder that goes with the run, and
seehear chooses the backend of the tower. rclip finds the tower as the ONNX file that it would have
fetched; clip-retrieval is told of the architecture, and where its weights are.

Neither can be installed beside seehear, because both require older libraries. In separate
environments:

    uv venv rclip-env && uv pip install --python rclip-env rclip==3.3.0
    uv venv retrieval-env && uv pip install --python retrieval-env clip-retrieval "torch==2.11.*"

and then `--rclip rclip-env/bin/rclip --clip-retrieval retrieval-env/bin/python`. One that is not
named is left out. Making the ONNX file needs the package onnx.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import folders, record

ARCHITECTURE = "ViT-B-32-256"
SIZE_PX = 256
BATCH = 32
COUNT, FEW = 250, 50
QUICK, QUICK_FEW = 4, 2
SMALL = {
    "embed_dim": 512,
    "vision_cfg": {"image_size": SIZE_PX, "layers": 2, "width": 64, "patch_size": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
RCLIP_FILES = "ViT-B-32-256-datacomp_s34b_b86k"
"""Folder of rclip 3.3 in which its towers lie."""

_RETRIEVAL = """
import sys
import open_clip
tower, photos, target, batch, workers = sys.argv[1:]
open_clip.add_model_config(tower + "/bench-rivals.json")
from clip_retrieval.clip_inference import clip_inference
clip_inference(
    input_dataset=photos, output_folder=target, enable_text=False, enable_image=True,
    batch_size=int(batch), num_prepro_workers=int(workers), use_jit=False,
    clip_model="open_clip:bench-rivals/" + tower + "/open_clip_model.safetensors",
)
"""

COLUMNS = ("all, s", "processor", "further, ms", "processor", "all : ours", "further : ours")

Took = tuple[float, float]
"""Seconds by the clock, and of the processor."""


@dataclass(slots=True)
class Contender:
    """One program, and what its runs took."""

    name: str
    run: Callable[[Path, Path], None]
    """Index a folder of photographs into an empty folder."""
    whole: list[Took] = field(default_factory=list)
    few: list[Took] = field(default_factory=list)

    def once(self, photos: Path) -> Took:
        """Run it in a new folder; what it took with all its children."""
        with tempfile.TemporaryDirectory(prefix="seehear-bench-") as scratch:
            started, started_cpu = time.perf_counter(), _children_s()
            self.run(photos, Path(scratch))
            return time.perf_counter() - started, _children_s() - started_cpu

    def figures(self, further: int) -> dict[str, float]:
        """Seconds for all, and for each of the photographs that only they have."""
        whole, few = (np.median(runs, axis=0) for runs in (self.whole, self.few))
        each = (whole - few) / further
        return {
            "seconds": float(whole[0]),
            "cpu_seconds": float(whole[1]),
            "seconds_each": float(each[0]),
            "cpu_seconds_each": float(each[1]),
        }

    def as_json(self, further: int, ours: Contender) -> dict[str, Any]:
        mine, theirs = self.figures(further), ours.figures(further)
        times = {f"{name}_to_seehear": mine[name] / theirs[name] for name in mine}
        rounded = {name: round(value, 4) for name, value in (mine | times).items()}
        return {"name": self.name, **rounded}


def make_tower(folder: Path, *, small: bool) -> None:
    """A tower with random weights, as a folder that open_clip reads."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    folder.mkdir()
    config = SMALL if small else open_clip.get_model_config(ARCHITECTURE)
    (folder / "bench-rivals.json").write_text(json.dumps(config))
    described = {"model_cfg": config, "preprocess_cfg": {"size": SIZE_PX}}
    (folder / "open_clip_config.json").write_text(json.dumps(described))
    open_clip.add_model_config(folder / "bench-rivals.json")
    torch.manual_seed(0)
    model = open_clip.create_model("bench-rivals", load_weights=False)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")


def make_onnx(tower: Path, data: Path) -> None:
    """The same tower as rclip looks for it. Raises ImportError without the package onnx."""
    import warnings

    import onnx  # type: ignore[import-not-found, unused-ignore] # noqa: F401 - torch asks for it
    import open_clip
    import torch

    model = open_clip.create_model(f"local-dir:{tower}").eval()
    files = data / RCLIP_FILES
    files.mkdir(parents=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model.visual,
            (torch.zeros(1, 3, SIZE_PX, SIZE_PX),),
            files / "visual.onnx",
            input_names=["input"],
            output_names=["output"],
            dynamic_axes={"input": {0: "n"}, "output": {0: "n"}},
            dynamo=False,
        )
    (data / "tokenizer").mkdir()
    # Only looked for: the query is a photograph.
    for unused in (files / "textual.onnx", data / "tokenizer" / "bpe_simple_vocab_16e6.txt.gz"):
        unused.touch()


def seehear(tower: Path) -> Contender:
    def run(photos: Path, scratch: Path) -> None:
        command = [sys.executable, "-m", "seehear", "index", str(photos), "--json"]
        options = ["--collection", str(scratch / "c"), "--model", f"open_clip:{tower}"]
        _run([*command, *options], tower.parent, XDG_CACHE_HOME=str(tower.parent / "cache"))

    return Contender("seehear", run)


def rclip(program: str, data: Path) -> Contender:
    def run(photos: Path, scratch: Path) -> None:
        shutil.copytree(data, scratch / "data", copy_function=os.link)
        query = str(next(photos.iterdir()))
        command = [program, "--filepath-only", "--top", "1", "-b", str(BATCH), query]
        _run(command, data.parent, photos, RCLIP_DATADIR=str(scratch / "data"))

    return Contender("rclip", run)


def clip_retrieval(python: str, tower: Path) -> Contender:
    def run(photos: Path, scratch: Path) -> None:
        given = [tower, photos, scratch / "out", BATCH, os.cpu_count() or 1]
        command = [python, "-c", _RETRIEVAL, *map(str, given)]
        _run(command, tower.parent, WANDB_MODE="disabled", HF_HUB_OFFLINE="1")

    return Contender("clip-retrieval", run)


def _run(command: Sequence[str], place: Path, folder: Path | None = None, **more: str) -> None:
    """Run a program that keeps its compiled modules in the place of this run."""
    own = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    own["PYTHONPYCACHEPREFIX"] = str(place / "bytecode")
    done = subprocess.run(
        command, env={**own, **more}, cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stderr[-2000:]}")


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _take_turns(contenders: Sequence[Contender], place: Path, few: int, rounds: int) -> None:
    for contender in contenders:
        contender.once(place / "few")
    for _ in range(rounds):
        for contender in contenders:
            contender.few.append(contender.once(place / "few"))
            contender.whole.append(contender.once(place / "photos"))
            (few_s, few_cpu_s), (all_s, all_cpu_s) = contender.few[-1], contender.whole[-1]
            print(
                f"{contender.name:15} {all_s:7.1f} s ({all_cpu_s:7.1f} of processor), "
                f"{few} photographs {few_s:7.1f} s ({few_cpu_s:7.1f})",
                flush=True,
            )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.bench_rivals", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--count", type=int, help="photographs of 12 megapixels")
    parser.add_argument("--few", type=int, help="how many of them tell the start from the rest")
    parser.add_argument("--rounds", type=int, help="turns of each")
    parser.add_argument("--rclip", help="the program rclip, version 3.3")
    parser.add_argument("--clip-retrieval", help="a Python that has clip-retrieval")
    record.add_options(parser)
    parser.add_argument("--quick", action="store_true", help="few and small; keeps nothing")
    chosen = parser.parse_args(arguments)
    count = chosen.count or (QUICK if chosen.quick else COUNT)
    few = chosen.few or (QUICK_FEW if chosen.quick else FEW)
    if not 0 < few < count:
        parser.error(f"--few {few} is not less than --count {count}")
    rounds = chosen.rounds or (1 if chosen.quick else 3)

    with tempfile.TemporaryDirectory(prefix="seehear-bench-") as scratch:
        place = Path(scratch)
        size_px = (640, 480) if chosen.quick else folders.PHOTO_SIZE_PX
        folders.photographs(place / "photos", count, size_px)
        folders.photographs(place / "few", few, size_px)
        make_tower(place / "tower", small=chosen.quick)
        contenders = [seehear(place / "tower")]
        if chosen.rclip and shutil.which(chosen.rclip):
            program = str(Path(shutil.which(chosen.rclip) or "").absolute())
            make_onnx(place / "tower", place / "data")
            contenders.append(rclip(program, place / "data"))
        else:
            print("rclip is left out: name its program with --rclip")
        if chosen.clip_retrieval and shutil.which(chosen.clip_retrieval):
            contenders.append(clip_retrieval(chosen.clip_retrieval, place / "tower"))
        else:
            print("clip-retrieval is left out: name a Python that has it with --clip-retrieval")
        _take_turns(contenders, place, few, rounds)
    rows = [contender.as_json(count - few, contenders[0]) for contender in contenders]
    print(f"{'':15}" + "".join(f"{column:>16}" for column in COLUMNS))
    for row in rows:
        figures = (
            f"{row['seconds']:.1f}",
            f"{row['cpu_seconds']:.1f}",
            f"{1000 * row['seconds_each']:.1f}",
            f"{1000 * row['cpu_seconds_each']:.1f}",
            f"{row['seconds_to_seehear']:.2f}",
            f"{row['seconds_each_to_seehear']:.2f}",
        )
        print(f"{row['name']:15}" + "".join(f"{figure:>16}" for figure in figures))
    document = {
        "photos": count,
        "few_photos": few,
        "architecture": "small" if chosen.quick else ARCHITECTURE,
        "open_clip": version("open_clip_torch"),
        "seed": 0,
        "programs": rows,
    }
    record.keep("rivals", document, chosen)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Measure `tiny` on ONNX Runtime beside its own towers: rows a second, start, agreement, size.

    pip install onnxruntime onnx onnxscript
    export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
    python -m benchmarks.bench_onnx                     the bundled model, on one core
    python -m benchmarks.bench_onnx --quick             one round, about a minute

    rows    rows per second of the processor, which other work on the machine does not lengthen, for
            batches of 8, as the encoder makes them, and for one row; in turns, best of the rounds.
            Images and sounds: the torch tower as it is, fused (seehear/encoders/backends.py), and
            ONNX Runtime. Texts: numpy (seehear/encoders/tiny/text_tower.py) and ONNX Runtime.
    start   a new process that encodes one row and ends: seconds of the clock and of the processor,
            the median of the rounds. For images and sounds ONNX Runtime is given a finished tensor,
            which flatters it: seehear's time includes the resize and the spectrogram.
    size    of the packages that it would add, and of the graphs

Graphs are exported with the padding that ONNX Runtime joins with its convolutions, and for the one
shape that is measured: windows of sound of other lengths would need a graph each, since
TensorFlow's padding depends on them.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import record

if TYPE_CHECKING:
    import torch
    from torch import Tensor

BATCH = 8
ROUNDS = 5
SEED = 20_251_121
NEEDED = ("onnxruntime", "onnx", "onnxscript")
SENTENCE = "a brown dog runs on the beach"
Run = Callable[[], Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the tables and keep the result; 3 where ONNX Runtime is not installed."""
    parser = argparse.ArgumentParser(prog="benchmarks.bench_onnx", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--quick", action="store_true", help="one round, under a minute")
    record.add_options(parser)
    chosen = parser.parse_args(arguments)
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        print(f"not installed: {', '.join(missing)}; run `pip install {' '.join(NEEDED)}`")
        return 3
    if chosen.quick:
        chosen.rounds = 1
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    with tempfile.TemporaryDirectory(prefix="seehear-bench-") as scratch:
        result = _measure(Path(scratch), chosen.rounds)
    _print(result)
    record.keep("onnx", {"seed": SEED, "threads": 1, **result}, chosen)
    return 0


def _measure(scratch: Path, rounds: int) -> dict[str, Any]:
    import torch

    from seehear.encoders.backends import fused
    from seehear.encoders.tiny import load_tiny
    from seehear.encoders.tiny.encoder import build_tower

    encoder = load_tiny(device="cpu")
    folder = encoder._folder
    rows, starts, graphs = [], {}, {}
    for name, batch in _batches(encoder).items():
        path = scratch / f"{name}.onnx"
        np.savez(scratch / f"{name}.npz", *(part[:1].numpy() for part in batch))
        if name == "text":
            tower = _text_in_torch(folder)
            ways: dict[str, Callable[..., Any]] = {"numpy": _numpy_text(encoder)}
        else:
            tower = build_tower(folder, name, "cpu")
            ways = {"torch": tower, "fused": fused(tower)}
        _export(tower, batch, path)
        ways["onnx"] = _session(path)
        with torch.inference_mode():
            expected = tower(*batch)
            for count in (BATCH, 1):
                some = tuple(part[:count].contiguous() for part in batch)
                calls = {way: _bound(run, some) for way, run in ways.items()}
                # A sentence takes a millisecond: a few rounds would measure what else runs.
                speeds = _rates(calls, count, rounds * (20 if name == "text" else 1))
                rows.append({"tower": name, "rows": count} | {w: speeds[w] for w in ways})
            found = torch.from_numpy(ways["onnx"](*batch)[0])
        cosine = torch.nn.functional.cosine_similarity(found, expected)
        rows[-1]["worst_cosine"] = rows[-2]["worst_cosine"] = float(cosine.min())
        graphs[name] = path.stat().st_size / 1e6
        starts[name] = _starts(name, path, rounds)
    return {
        "onnxruntime": import_module("onnxruntime").__version__,
        "torch": torch.__version__,
        "rows": rows,
        "start_s": starts,
        "packages_mb": {name: _size_mb(name) for name in (*NEEDED, "torch")},
        "graphs_mb": graphs,
    }


def _batches(encoder: Any) -> dict[str, tuple[Tensor, ...]]:
    """A batch for each tower: noise for images and sounds, and a sentence's pieces."""
    import torch

    from seehear.encoders.tiny.log_mel import spectrograms

    config = encoder._folder.config
    waves = 0.1 * torch.randn(BATCH, round(config.window_s * 16_000))
    pixels = torch.randint(0, 256, (BATCH, 3, config.image_px, config.image_px)).to(torch.uint8)
    ids = torch.tensor([encoder._text._tokenizer(SENTENCE)] * BATCH)
    return {"image": (pixels,), "audio": spectrograms(list(waves)), "text": (ids,)}


def _text_in_torch(folder: Any) -> torch.nn.Module:
    import torch

    from training.text_torch import TextTorch

    state = {key: torch.from_numpy(array) for key, array in folder.tower("text").items()}
    tower = TextTorch(len(folder.vocabulary), folder.config.dim)
    tower.load_state_dict(state)
    return tower.eval()


def _numpy_text(encoder: Any) -> Callable[[Tensor], Any]:
    return lambda ids: encoder._text.encode([SENTENCE] * len(ids))


def _export(tower: torch.nn.Module, batch: tuple[Tensor, ...], path: Path) -> None:
    """Write a tower as an ONNX graph for batches of any number of rows of this shape."""
    import torch

    twin = copy.deepcopy(tower)
    if hasattr(twin, "backbone"):
        twin.backbone = _padded(twin.backbone, batch[0])
    any_number = torch.export.Dim("rows", min=1, max=4096)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter speaks of names of axes
        torch.onnx.export(
            twin,
            batch,
            path,
            dynamo=True,
            external_data=False,
            verbose=False,
            dynamic_shapes=tuple({0: any_number} for _ in batch),
        )


def _padded(backbone: Any, rows: Tensor) -> torch.nn.Module:
    """The same convolutions, each after the padding of pixels that its kernel's zeros stand for."""
    import torch
    from torch import nn

    from seehear.encoders.tiny.towers import SameConv

    sizes: dict[nn.Module, tuple[int, ...]] = {}
    held = [
        (within, at)
        for within in backbone.modules()
        if isinstance(within, nn.Sequential)
        for at, layer in enumerate(within)
        if isinstance(layer, SameConv)
    ]

    def note(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        sizes[layer] = tuple(given[0].shape[-2:])

    for within, at in held:
        within[at].register_forward_pre_hook(note)
    with torch.inference_mode():
        backbone(torch.zeros(1, backbone.layers[0].in_channels, *rows.shape[-2:]))
    for within, at in held:
        layer: Any = within[at]
        side, stride = layer.kernel_size[0], layer.stride[0]
        after = side // 2
        above, left = (after - int(stride == 2 and size % 2 == 0) for size in sizes[layer])
        plain = nn.Conv2d(layer.in_channels, layer.out_channels, side, stride, groups=layer.groups)
        plain.load_state_dict(layer.state_dict())
        within[at] = nn.Sequential(nn.ZeroPad2d((left, after, above, after)), plain)
    result: torch.nn.Module = backbone
    return result


def _session(path: Path) -> Callable[..., Any]:
    library: Any = import_module("onnxruntime")
    options = library.SessionOptions()
    options.intra_op_num_threads = 1
    session = library.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    return lambda *batch: session.run(
        None, {name: part.numpy() for name, part in zip(names, batch, strict=True)}
    )


def _rates(calls: dict[str, Run], rows: int, rounds: int) -> dict[str, float]:
    """Rows per second of the processor, the best of rounds in which the calls take turns."""
    best = dict.fromkeys(calls, float("inf"))
    for turn in range(rounds + 1):
        for name, call in calls.items():
            started = time.process_time()
            call()
            if turn:  # the first round warms
                best[name] = min(best[name], time.process_time() - started)
    return {name: round(rows / seconds, 1) for name, seconds in best.items()}


def _bound(run: Callable[..., Any], batch: tuple[Tensor, ...]) -> Run:
    return lambda: run(*batch)


_ONNX_START = """
import sys, numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
given = numpy.load(sys.argv[2], allow_pickle=False)
names = [one.name for one in session.get_inputs()]
session.run(None, dict(zip(names, (given[name] for name in given.files))))
"""
_OWN_START = """
import sys
from seehear.encoders.plain import plain_sample
from seehear.encoders.tiny import load_tiny
from seehear.types import Modality
modality, encoder = Modality(sys.argv[1]), load_tiny(device="cpu")
encoder.encode(modality, [plain_sample(modality, encoder.spec)])
"""


def _starts(name: str, path: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds [of the clock, of the processor] of new processes that encode one row."""
    commands = {
        "seehear": [sys.executable, "-c", _OWN_START, name],
        "onnx": [sys.executable, "-c", _ONNX_START, str(path), str(path.with_suffix(".npz"))],
    }
    took: dict[str, list[tuple[float, float]]] = {way: [] for way in commands}
    for turn in range(rounds + 1):
        for way, command in commands.items():
            started, before = time.perf_counter(), os.times()
            subprocess.run(command, check=True)
            after = os.times()
            spent = after.children_user + after.children_system
            spent -= before.children_user + before.children_system
            if turn:  # the first round reads files into memory
                took[way].append((time.perf_counter() - started, spent))
    return {
        way: [statistics.median(x) for x in zip(*all_, strict=True)] for way, all_ in took.items()
    }


def _size_mb(name: str) -> float:
    """The folder of a package, without what it requires."""
    found = importlib.util.find_spec(name)
    assert found is not None
    assert found.origin is not None
    files = Path(found.origin).parent.rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6


def _print(result: dict[str, Any]) -> None:
    for row in result["rows"]:
        speeds = "  ".join(
            f"{way} {row[way]:.1f}/s" for way in ("torch", "fused", "numpy", "onnx") if way in row
        )
        print(f"{row['tower']:<6} {row['rows']} rows  {speeds}  cosine {row['worst_cosine']:.6f}")
    for name, starts in result["start_s"].items():
        told = "  ".join(f"{way} {wall:.2f} s ({cpu:.2f})" for way, (wall, cpu) in starts.items())
        print(f"start  {name:<6} {told}")
    for what in ("packages_mb", "graphs_mb"):
        print(what, "  ".join(f"{name} {size:.0f}" for name, size in result[what].items()))


if __name__ == "__main__":
    sys.exit(main())

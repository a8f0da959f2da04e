"""Measure how fast towers encode with every backend, compared to the plain tower.

    python -m benchmarks.bench_encode                    tiny and ViT-B-32 on this machine
    python -m benchmarks.bench_encode --device cuda      the same on a GPU
    python -m benchmarks.bench_encode --compile          torch.compile too
    python -m benchmarks.bench_encode --quick            small towers, under a minute

Three tables, each from one run over the same batches, the backends in turns, best of the rounds:

    ways    rows per second of each backend of a tower, as a ratio to the plain one, with the
            worst cosine between its vectors and the plain ones. Backends that this machine would
            not try by itself are measured too, and marked: among them the other memory layout of
            images, channels last where a tower has them first, and first where it has them last.
    texts   open_clip texts with their padding (the library) and without (seehear)
    whole   an encoder's `encode` on decoded samples, beside the pure forward pass of its tower:
            the difference is the cost of preparing the input

Weights in the first table are random: speed does not depend on them, but the agreement of eight
bits does, so `encode` checks it on real batches.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import record
from seehear.encoders import Encoder
from seehear.encoders.devices import choose_device
from seehear.errors import ModelError
from seehear.types import AudioSample, ImageSample, Modality, Sample

if TYPE_CHECKING:
    import torch

SEED = 20_251_121
ROUNDS = 5
BATCH = 32


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the tables and keep the result."""
    options = _parser().parse_args(arguments)
    import torch

    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(SEED)
    device = choose_device(options.device)
    ways, texts, whole = [], [], []
    encoders = _encoders(options)
    for tower in _towers(device, options.quick, encoders):
        ways += _measure_ways(tower, device, options)
    for encoder, name in encoders:
        if texts_row := _measure_texts(encoder, name, options):
            texts.append(texts_row)
        whole += _measure_whole(encoder, name, options)
    result = {
        "seed": SEED,
        "device": str(device),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "quick": options.quick,
        "ways": ways,
        "texts": texts,
        "whole": whole,
    }
    _print(result)
    name = "encode" if device.type == "cpu" else f"encode-{device.type}"
    record.keep(name, result, options)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bench_encode", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--quick", action="store_true", help="small towers, under a minute")
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--threads", type=int, default=0, help="threads of torch; 0: its own choice"
    )
    parser.add_argument("--compile", action="store_true", help="measure torch.compile as well")
    parser.add_argument("--architecture", default="ViT-B-32", help="of open_clip")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    record.add_options(parser)
    return parser


class Tower:
    """A module with a batch to put through it."""

    def __init__(
        self,
        name: str,
        module: Any,
        batch: tuple[torch.Tensor, ...],
        *,
        channels_last: bool = False,
    ) -> None:
        self.name = name
        self.channels_last = channels_last
        self.module = module
        self.batch = batch


def _towers(device: torch.device, quick: bool, encoders: list[tuple[Encoder, str]]) -> list[Tower]:
    """The towers of `tiny`, with random weights, and the picture towers of open_clip encoders."""
    import torch

    from seehear.encoders.open_clip import OpenClipEncoder
    from seehear.encoders.tiny.towers import AudioTower, ImageTower

    sizes: dict[str, Any] = {"scale": 0.25, "blocks": 6} if quick else {}
    rows, side, frames = (8, 64, 96) if quick else (BATCH, 144, 998)
    pictures = torch.randint(0, 256, (rows, 3, side, side), dtype=torch.uint8)
    mels = torch.randn(max(8, rows // 4), frames, 64)
    counts = torch.full((len(mels),), frames)
    tiny: list[tuple[str, Any, tuple[torch.Tensor, ...]]] = [
        ("tiny pictures", ImageTower(384, 512, **sizes), (pictures,)),
        ("tiny sounds", AudioTower(384, 512, **sizes), (mels, counts)),
    ]
    towers = [
        Tower(
            name,
            module.eval().to(device, memory_format=torch.channels_last),
            tuple(part.to(device) for part in batch),
            channels_last=True,
        )
        for name, module, batch in tiny
    ]
    for encoder, name in encoders:
        if isinstance(encoder, OpenClipEncoder):
            side = encoder.spec.image_px
            inputs = torch.randn(max(8, rows // 4), 3, side, side, device=device)
            towers.append(Tower(f"{name} pictures", encoder._model.visual, (inputs,)))
    return towers


def _measure_ways(tower: Tower, device: torch.device, options: Any) -> list[dict[str, Any]]:
    """One row for each way: rows per second, ratio to plain, worst cosine, seconds to build."""
    import torch

    from seehear.encoders.autotune import all_backends

    built: dict[str, tuple[Callable[..., torch.Tensor], float, bool]] = {
        "plain": (tower.module, 0.0, True)
    }
    failed: dict[str, str] = {}
    makers = {way.name: (way.build, way.usable(tower.module, device)) for way in all_backends()}
    other = "channels first" if tower.channels_last else "channels last"
    makers[other] = (partial(_laid_out, channels_last=not tower.channels_last), False)
    if not options.compile:
        makers.pop("compiled")
    elif device.type == "cpu":
        makers["compiled"] = (torch.compile, False)
    for name, (build, usable) in makers.items():
        if device.type != "cpu" and not usable:
            continue
        start = time.perf_counter()
        try:
            with torch.inference_mode():
                way = build(tower.module)
                way(*tower.batch)
        except Exception as error:
            if not usable and name != "compiled":  # not installed, or for towers of another kind
                continue
            failed[name] = f"{type(error).__name__}: {error}".splitlines()[0][:120]
            continue
        built[name] = (way, time.perf_counter() - start, usable)
    with torch.inference_mode():
        expected = tower.module(*tower.batch).float()
        speeds = _take_turns(
            {name: _call(way, tower.batch, device) for name, (way, _, _) in built.items()},
            len(tower.batch[0]),
            options.rounds,
        )
        rows = []
        for name, (way, build_s, usable) in built.items():
            cosine = torch.nn.functional.cosine_similarity(way(*tower.batch).float(), expected)
            rows.append(
                {
                    "tower": tower.name,
                    "way": name,
                    "rows_per_s": round(speeds[name], 2),
                    "ratio": round(speeds[name] / speeds["plain"], 3),
                    "worst_cosine": round(float(cosine.min()), 5),
                    "build_s": round(build_s, 2),
                    "tried_here": usable,
                }
            )
    rows += [{"tower": tower.name, "way": name, "failed": why} for name, why in failed.items()]
    return rows


def _laid_out(module: Any, *, channels_last: bool) -> Callable[..., torch.Tensor]:
    """A tower whose kernels and pictures lie in memory by pixels, or by channels."""
    import torch

    layout = torch.channels_last if channels_last else torch.contiguous_format
    twin = copy.deepcopy(module).to(memory_format=layout)
    first = next(part for part in twin.modules() if isinstance(part, torch.nn.Conv2d))
    # What follows the first convolution lies as what went into it.
    first.register_forward_pre_hook(lambda _, given: (given[0].contiguous(memory_format=layout),))
    tower: Callable[..., torch.Tensor] = twin
    return tower


def _call(
    way: Callable[..., torch.Tensor], batch: tuple[torch.Tensor, ...], device: torch.device
) -> Callable[[], object]:
    def call() -> None:
        way(*batch)
        if device.type == "cuda":
            import torch

            torch.cuda.synchronize(device)

    return call


def _take_turns(calls: dict[str, Callable[[], object]], rows: int, rounds: int) -> dict[str, float]:
    """Rows per second of each call, the best of rounds in which they take turns."""
    best = dict.fromkeys(calls, float("inf"))
    for turn in range(rounds + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if turn:  # the first round warms
                best[name] = min(best[name], time.perf_counter() - start)
    return {name: rows / max(seconds, 1e-9) for name, seconds in best.items()}


def _encoders(options: Any) -> list[tuple[Encoder, str]]:
    """The bundled encoder where its weights are there, and an open_clip one with random weights."""
    encoders: list[tuple[Encoder, str]] = []
    try:
        from seehear.encoders.tiny import load_tiny

        encoders.append((load_tiny(device=options.device), "tiny"))
    except ModelError as error:
        print(f"tiny is left out: {error}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        encoders.append(_random_open_clip(Path(folder), options))
    return encoders


def _random_open_clip(folder: Path, options: Any) -> tuple[Encoder, str]:
    import open_clip
    from safetensors.torch import save_file

    from seehear.encoders.open_clip import load_open_clip
    from seehear.encoders.torch_tools import quiet_libraries

    name = options.architecture
    if options.quick:
        name = "seehear-bench-small"
        vision = {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8, "head_width": 32}
        text = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2}
        config = {"embed_dim": 32, "vision_cfg": vision, "text_cfg": text}
        (folder / f"{name}.json").write_text(json.dumps(config))
        open_clip.add_model_config(folder / f"{name}.json")
    with quiet_libraries():
        model = open_clip.create_model(name, load_weights=False, pretrained_text=False)
    save_file(model.state_dict(), folder / "weights.safetensors")
    return load_open_clip(f"{name}/{folder / 'weights.safetensors'}", options.device), name


def _measure_texts(encoder: Encoder, name: str, options: Any) -> dict[str, Any] | None:
    """Texts per second with and without padding, for encoders that have both."""
    import torch

    from seehear.encoders.captions import bridge_captions
    from seehear.encoders.open_clip import OpenClipEncoder, encode_text_unpadded

    if (
        not isinstance(encoder, OpenClipEncoder)
        or (short := encode_text_unpadded(encoder._model)) is None
    ):
        return None
    texts = list(bridge_captions()[: 8 if options.quick else BATCH])
    tokens = encoder._tokenizer(texts).to(encoder.device)
    with torch.inference_mode():
        speeds = _take_turns(
            {
                "padded": _call(encoder._model.encode_text, (tokens,), encoder.device),
                "short": _call(short, (tokens,), encoder.device),
            },
            len(texts),
            options.rounds,
        )
        cosine = torch.nn.functional.cosine_similarity(
            short(tokens), encoder._model.encode_text(tokens)
        )
    return {
        "encoder": name,
        "padded_per_s": round(speeds["padded"], 2),
        "short_per_s": round(speeds["short"], 2),
        "ratio": round(speeds["short"] / speeds["padded"], 3),
        "worst_cosine": round(float(cosine.min()), 6),
    }


def _measure_whole(encoder: Encoder, name: str, options: Any) -> list[dict[str, Any]]:
    """`encode` on decoded samples, in samples per second."""
    rng = np.random.default_rng(SEED)
    count = 8 if options.quick else BATCH
    side, rate = encoder.spec.image_px, encoder.spec.sample_rate_hz
    window = round((1.0 if options.quick else encoder.spec.window_s) * rate)
    samples: dict[Modality, list[Sample]] = {
        Modality.TEXT: [f"a photograph of thing number {n} in the rain" for n in range(count)],
        Modality.IMAGE: [
            ImageSample(rng.integers(0, 256, (side, side * 4 // 3, 3), dtype=np.uint8))
            for _ in range(count)
        ],
        Modality.AUDIO: [
            AudioSample((0.1 * rng.normal(size=window)).astype(np.float32), rate)
            for _ in range(max(8, count // 4))
        ],
    }
    rows = []
    for modality, batch in samples.items():
        if modality not in encoder.modalities:
            continue
        speeds = _take_turns(
            {"encode": lambda m=modality, b=batch: encoder.encode(m, b)},  # type: ignore[misc]
            len(batch),
            options.rounds,
        )
        row: dict[str, Any] = {"encoder": name, "modality": str(modality)}
        row["encode_per_s"] = round(speeds["encode"], 2)
        rows.append(row)
    return rows


def _print(result: dict[str, Any]) -> None:
    print(f"{record.machine()['processor']}, {result['threads']} threads, {result['device']}")
    print(f"\n{'tower':<30}{'way':<12}{'rows/s':>10}{'ratio':>8}{'cosine':>10}{'build s':>9}")
    for row in result["ways"]:
        if "failed" in row:
            print(f"{row['tower']:<30}{row['way']:<12}  {row['failed']}")
            continue
        mark = "" if row["tried_here"] else "  (not tried by itself here)"
        print(
            f"{row['tower']:<30}{row['way']:<12}{row['rows_per_s']:>10.1f}{row['ratio']:>8.2f}"
            f"{row['worst_cosine']:>10.5f}{row['build_s']:>9.1f}{mark}"
        )
    print(f"\n{'texts of':<24}{'padded/s':>10}{'short/s':>10}{'ratio':>8}")
    for row in result["texts"]:
        print(
            f"{row['encoder']:<24}{row['padded_per_s']:>10.1f}{row['short_per_s']:>10.1f}"
            f"{row['ratio']:>8.2f}"
        )
    print(f"\n{'whole':<24}{'modality':<10}{'encode/s':>10}")
    for row in result["whole"]:
        print(f"{row['encoder']:<24}{row['modality']:<10}{row['encode_per_s']:>10.1f}")


if __name__ == "__main__":
    sys.exit(main())

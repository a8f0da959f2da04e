"""Measure how close encoding and search come to the limits of a GPU.

    python -m benchmarks.bench_gpu                      on the first CUDA GPU
    python -m benchmarks.bench_gpu --kind ivfpq         product codes instead of a scan of all
    python -m benchmarks.bench_gpu --kind cagra         a graph, where FAISS was built with cuVS
    python -m benchmarks.bench_gpu --quick --device cpu small, under a minute, on any machine

Two tables, each from one run, both sides taking turns, best of the rounds:

    encode   samples per second of the bundled encoder's `encode`, on decoded samples, beside the
             pure forward pass of the same tower, by the same backend, on one batch that is on the
             device already: the difference is the cost of preparing and copying
    search   queries per second of an index on the device, and how fast it reads its vectors, as a
             share of the bandwidth that a copy on the device reaches. Product codes and graphs are
             not read whole, so that only their rates are given

Vectors for the search are random unit vectors around random centres; a scan takes as long whatever
they are. The recall is that of 10 neighbours against exact search.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import record
from seehear.encoders.devices import choose_device
from seehear.encoders.tiny import load_tiny
from seehear.errors import UsageError
from seehear.stores.vectors.flat import FlatIndex
from seehear.stores.vectors.gpu_devices import (
    GpuPlan,
    code_bytes,
    faiss_has_gpu,
    faiss_has_graphs,
    gpu_devices,
)
from seehear.stores.vectors.gpu_index import GpuIndex
from seehear.stores.vectors.ivf_pq_refine import exact_topk
from seehear.stores.vectors.vector_file import CHUNK, VectorFile, to_float16
from seehear.types import AudioSample, ImageSample, Modality, Sample, Vectors

if TYPE_CHECKING:
    import torch

SEED = 20_251_121
ROUNDS = 5
DIM = 512
K = 10
CENTRES = 1_000
SPREAD = 1.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the tables and keep the result."""
    options = _parser().parse_args(arguments)
    if options.quick:
        options.count, options.batch, options.warm, options.rounds = 4_000, 4, 0, 1
    import torch

    try:
        device = choose_device(options.device)
        _check(device, options.kind)
    except UsageError as error:
        print(f"bench_gpu: {error}", file=sys.stderr)
        return 2
    torch.manual_seed(SEED)
    result = {
        "seed": SEED,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "torch": torch.__version__,
        "quick": options.quick,
        "encode": [
            _encode(modality, device, options) for modality in (Modality.IMAGE, Modality.AUDIO)
        ],
        "search": _search(device, options),
    }
    _print(result)
    name = "gpu" if device.type == "cuda" else f"gpu-{device.type}"
    record.keep(name, result, options)
    return 0


def _check(device: torch.device, kind: str) -> None:
    """Raises UsageError where FAISS cannot search on that device."""
    if device.type == "cuda":
        if not (faiss_has_gpu() and gpu_devices(f"cuda:{device.index or 0}")):
            raise UsageError("FAISS finds no card that it can use; install faiss-gpu")
        if kind == "cagra" and not faiss_has_graphs():
            raise UsageError("this FAISS was built without cuVS, which has CAGRA; use --kind flat")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench_gpu", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small, under a minute")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1 or cpu")
    parser.add_argument(
        "--kind", choices=["flat", "ivfpq", "cagra"], default="flat", help="on a card"
    )
    parser.add_argument("--count", type=int, default=1_000_000, help="vectors to search")
    parser.add_argument("--batch", type=int, default=512, help="samples of one `encode`")
    parser.add_argument(
        "--warm", type=int, default=8_192, help="samples before timing, so that ways are tried"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    record.add_options(parser)
    return parser


def _encode(modality: Modality, device: torch.device, options: Any) -> dict[str, Any]:
    """`encode` beside the pure forward pass of its tower."""
    import torch

    encoder = load_tiny(device=str(device))
    samples = _samples(encoder.spec, modality, options.batch)
    for _ in range(0, options.warm + 1, len(samples)):
        encoder.encode(modality, samples)
    tower = encoder._tower("image" if modality is Modality.IMAGE else "audio")
    batch = _batch(encoder, modality, samples, device)

    def forward() -> None:
        with torch.inference_mode():
            tower(*batch)
        _settle(device)

    seconds = _take_turns(
        {"encode": lambda: encoder.encode(modality, samples), "forward": forward}, options.rounds
    )
    encoded = len(samples) / seconds["encode"]
    pure = len(batch[0]) / seconds["forward"]
    return {
        "modality": str(modality),
        "way": tower.decision.backend,
        "encode_per_s": round(encoded, 1),
        "forward_per_s": round(pure, 1),
        "share": round(encoded / pure, 3),
    }


def _samples(spec: Any, modality: Modality, count: int) -> list[Sample]:
    rng = np.random.default_rng(SEED)
    side, rate = spec.image_px, spec.sample_rate_hz
    if modality is Modality.IMAGE:
        return [
            ImageSample(rng.integers(0, 256, (side, side * 4 // 3, 3), dtype=np.uint8))
            for _ in range(count)
        ]
    length = round(spec.window_s * rate)
    return [
        AudioSample((0.1 * rng.normal(size=length)).astype(np.float32), rate) for _ in range(count)
    ]


def _batch(
    encoder: Any, modality: Modality, samples: Sequence[Sample], device: torch.device
) -> tuple[torch.Tensor, ...]:
    """What the tower would be given for some of those samples, on the device."""
    import torch

    from seehear.encoders.tiny.encoder import _at_once, resize_batch
    from seehear.encoders.tiny.log_mel import spectrograms, waveform_16k

    if modality is Modality.IMAGE:
        some = samples[: _at_once(encoder._tower("image"))]
        size = encoder._folder.config.image_px
        parts = [resize_batch(s.pixels, size) for s in some if isinstance(s, ImageSample)]
        return (torch.cat(parts).to(device),)
    some = samples[: _at_once(encoder._tower("audio"))]
    heard = [s for s in some if isinstance(s, AudioSample)]
    mels, counts = spectrograms([waveform_16k(s.waveform, s.sample_rate_hz) for s in heard])
    return mels.to(device), counts.to(device)


def _search(device: torch.device, options: Any) -> dict[str, Any]:
    matrix, queries = _collection(options.count)
    start = time.perf_counter()
    index: GpuIndex | FlatIndex
    if device.type == "cuda":
        code = code_bytes(DIM) if options.kind == "ivfpq" else 0
        plan = GpuPlan(options.kind, (device.index or 0,), True, code)
        index = GpuIndex.build(matrix, plan)
        row_bytes = 2 * DIM if options.kind == "flat" else 0
    else:
        index, row_bytes = FlatIndex(matrix), 4 * DIM
        index.search(queries[:1], K)
    build_s = time.perf_counter() - start
    bandwidth = _bandwidth(device, 1 << (24 if options.quick else 30), options.rounds)
    calls: dict[str, Callable[[], object]] = {
        "one": lambda: index.search(queries[:1], K),
        "many": lambda: index.search(queries, K),
    }
    if isinstance(index, GpuIndex):
        depth = index._depths(K, len(index))[0]
        probes = index._probes(len(index))
        held = index.held
        calls["one_on_the_card"] = lambda: held.candidates(queries[:1], depth, probes)
        calls["many_on_the_card"] = lambda: held.candidates(queries, depth, probes)
    rows = []
    for name, seconds in _take_turns(calls, options.rounds).items():
        asked = 1 if name.startswith("one") else len(queries)
        row: dict[str, Any] = {"what": name.replace("_", " "), "queries": asked}
        row["ms_each"] = round(1000 * seconds / asked, 4)
        if row_bytes:
            # A batch reads the vectors once at best; one query always reads them all.
            row["share_of_bandwidth"] = round(row_bytes * len(matrix) / seconds / bandwidth, 3)
        rows.append(row)
    right = exact_topk(matrix, queries[:64], K)
    found = index.search(queries[:64], K)[1]
    agreed = [np.isin(ids, best[1]).mean() for ids, best in zip(found, right, strict=True)]
    return {
        "index": index.describe(),
        "vectors": len(matrix),
        "dim": DIM,
        "recall_at_10": round(float(np.mean(agreed)), 4),
        "build_s": round(build_s, 2),
        "copy_gb_per_s": round(bandwidth / 1e9, 2),
        "rows": rows,
    }


def _collection(count: int) -> tuple[VectorFile, Vectors]:
    """Random unit vectors around centres, kept in half precision, and 256 queries alike."""
    rng = np.random.default_rng(SEED)
    centres = rng.standard_normal((CENTRES, DIM), dtype=np.float32)

    def some(number: int) -> Vectors:
        rows = rng.standard_normal((number, DIM), dtype=np.float32)
        rows = SPREAD * rows + centres[rng.integers(0, CENTRES, number)]
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)

    numbers = np.empty((count, DIM), dtype="<f2")
    for start in range(0, count, CHUNK):
        stop = min(start + CHUNK, count)
        numbers[start:stop] = to_float16(some(stop - start))
    return VectorFile(np.arange(count, dtype=np.int64), numbers), some(256)


def _bandwidth(device: torch.device, size: int, rounds: int) -> float:
    """Bytes per second, read and written, that copying a block on the device reaches."""
    import torch

    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)

    def copy() -> None:
        target.copy_(source)
        _settle(device)

    return 2 * size / _take_turns({"copy": copy}, max(rounds, 3))["copy"]


def _settle(device: torch.device) -> None:
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)


def _take_turns(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Seconds of each call, the best of rounds in which they take turns; the first warms."""
    best = dict.fromkeys(calls, float("inf"))
    for turn in range(rounds + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if turn:
                best[name] = min(best[name], time.perf_counter() - start)
    return best


def _print(result: dict[str, Any]) -> None:
    print(f"{result['device']}, {record.machine()['processor']}")
    print(f"\n{'encode':<10}{'way':<12}{'encode/s':>12}{'forward/s':>12}{'share':>8}")
    for row in result["encode"]:
        print(
            f"{row['modality']:<10}{row['way']:<12}{row['encode_per_s']:>12.1f}"
            f"{row['forward_per_s']:>12.1f}{row['share']:>8.2f}"
        )
    search = result["search"]
    print(
        f"\n{search['vectors']:,} vectors of {search['dim']}: {search['index']}; recall@10 "
        f"{search['recall_at_10']:.3f}; copy {search['copy_gb_per_s']} GB/s"
    )
    print(f"{'search':<20}{'queries':>8}{'ms each':>10}{'of bandwidth':>14}")
    for row in search["rows"]:
        share = row.get("share_of_bandwidth")
        print(
            f"{row['what']:<20}{row['queries']:>8}{row['ms_each']:>10.3f}"
            f"{'' if share is None else f'{share:.2f}':>14}"
        )


if __name__ == "__main__":
    sys.exit(main())

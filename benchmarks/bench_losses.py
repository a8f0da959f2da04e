"""Compare losses and backbones, on the image tower's projection.

    python -m benchmarks.bench_losses --data DIR        Flickr8k's training images, three seeds
    python -m benchmarks.bench_losses --quick           made-up features, seconds

InfoNCE and the sigmoid loss teach the same projection on the same pooled features of
EfficientNet-Lite0, InfoNCE also one on those of MobileNet v1 (both with ImageNet weights), with the
same batches, steps and sentence vectors (the bundled text tower's). A sixth of the training images
is kept apart and asked for by its captions; the split "val" is not touched. The learning rate of
each is the better of two for it.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

import numpy as np
import torch

from benchmarks import record
from seehear.encoders.tiny import load_tiny
from seehear.encoders.tiny.towers import EFFICIENTNET, MOBILENET, ImageTower
from seehear.finetune.augment import ImageJitter
from seehear.finetune.inputs import resize_square
from seehear.finetune.loop import RunContext, Schedule
from seehear.types import Modality
from training import datasets
from training.frozen import image_views
from training.prepare import ImageData
from training.recipe import TowerPlan
from training.shards import ShardItem, read_items
from training.stages import start_from
from training.tflite import IMAGE_FEATURES
from training.tower_stage import LossWeights, Student, train_tower

PX = 144
RATES = (5e-4, 1e-3)
SEEDS = (1, 2, 3)
STEPS, BATCH = 300, 512
Figures = dict[str, float]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_losses")
    parser.add_argument("--data", type=Path, metavar="DIR", help="shards, as for training")
    parser.add_argument("--quick", action="store_true")
    record.add_options(parser)
    options = parser.parse_args(arguments)
    if options.data is None and not options.quick:
        parser.error("--data DIR or --quick")
    quick = options.quick
    images = made_up() if quick else flickr(options.data)
    starts = {}
    if not quick:
        mobilenet = options.data / "teachers" / IMAGE_FEATURES
        starts = {EFFICIENTNET: Path(EFFICIENTNET), MOBILENET: mobilenet}
    steps, batch = (6, 16) if quick else (STEPS, BATCH)
    results = {}
    with tempfile.TemporaryDirectory() as cache:
        for name, backbone, sigmoid in (
            ("InfoNCE", EFFICIENTNET, False),
            ("sigmoid", EFFICIENTNET, True),
            ("InfoNCE, MobileNet v1", MOBILENET, False),
        ):
            best: Figures = {}
            for rate in RATES:
                schedule = Schedule(steps, batch, rate, weight_decay=0.05, average=0.97)
                some = [
                    projection_figures(
                        images,
                        backbone,
                        starts.get(backbone),
                        schedule,
                        sigmoid,
                        seed,
                        Path(cache),
                    )
                    for seed in (SEEDS[:1] if quick else SEEDS)
                ]
                figures = {key: mean(one[key] for one in some) for key in some[0]}
                figures["learning_rate"] = rate
                best = max(best, figures, key=lambda one: one.get("dev_recall@10", -1.0))
            results[name] = best
            sys.stdout.write(
                f"{name:22}  " + "  ".join(f"{k} {v:.4g}" for k, v in best.items()) + "\n"
            )
    record.keep(
        "losses",
        {"seeds": len(SEEDS), "steps": steps, "batch": batch, "quick": quick, "losses": results},
        options,
    )
    return 0


def projection_figures(
    images: ImageData,
    backbone: str,
    start: Path | None,
    schedule: Schedule,
    sigmoid: bool,
    seed: int,
    cache: Path,
) -> Figures:
    """Train a projection by one loss; recall of the pictures kept apart."""
    torch.manual_seed(seed)
    blocks = 16 if backbone == EFFICIENTNET else 13
    if start:
        tower = ImageTower(384, 512, backbone=backbone, blocks=blocks)
    else:
        tower = ImageTower(384, 32, backbone=backbone, scale=0.25, blocks=3)
    if start:
        start_from(tower, start)
    encoder = load_tiny(device="cpu")

    def encode(sentences: Sequence[str]) -> torch.Tensor:
        return torch.from_numpy(encoder.encode(Modality.TEXT, list(sentences)))

    plan = TowerPlan(schedule, start=backbone, dev_share=1 / 6, image_px=PX, dropout=0.3, views=3)
    dataset = datasets.make_dataset(
        images.items,
        np.ones(len(images.items), np.bool_),
        lambda item: list(item.captions),
        plan,
        encode,
        (),
        (),
        images.probabilities,
    )
    student = Student(tower)
    with tempfile.TemporaryDirectory() as folder:
        context = RunContext(Path(folder), seed=seed)
        jitter = ImageJitter(smallest_area=0.5)
        # The backbone stands still: its features are the same for every loss and seed.
        same = RunContext(Path(folder), seed=0)
        embed = image_views(tower, images, dataset.source.rows, plan, jitter, same, cache)
        eval_callback = datasets.make_eval_callback(
            tower, images.items, dataset.dev, plan, "images", encode,
            datasets.plain_images(images, "cpu"),
        )  # fmt: skip
        loss_weights = LossWeights(classes=0.0, sigmoid=sigmoid, bank_negatives=0, queue_size=0)
        groups: list[dict[str, object]] = [{"params": list(tower.projection.parameters())}]
        return train_tower(
            "head", student, groups, dataset, embed, loss_weights, schedule, context, eval_callback
        )


def flickr(data: Path) -> ImageData:
    """Flickr8k's training pictures."""
    from PIL import Image

    items, pixels = [], []
    for item, content in read_items(data, "images"):
        if item.dataset == "flickr8k" and item.split == "train":
            items.append(item)
            with Image.open(io.BytesIO(content)) as image:
                pixels.append(resize_square(np.asarray(image.convert("RGB")), PX))
    return ImageData("bench", items, np.stack(pixels), np.zeros((len(items), 0), np.float16))


def made_up(count: int = 60) -> ImageData:
    """Noise with captions, so that the code runs."""
    rng = np.random.default_rng(0)
    words = ("a red wall", "a green door", "a blue car", "a yellow flower")
    items = [
        ShardItem("flickr8k", str(k), "train", None, captions=(f"{words[k % 4]} number {k}",))
        for k in range(count)
    ]
    pixels = rng.integers(0, 256, (count, PX, PX, 3), dtype=np.uint8)
    return ImageData("bench", items, pixels, np.zeros((count, 0), np.float16))


if __name__ == "__main__":
    raise SystemExit(main())

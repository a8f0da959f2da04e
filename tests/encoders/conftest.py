"""Small models of the real classes with random weights, and no network for anybody."""

import json
import os

# Before any hub library is imported: it reads this once.
os.environ["HF_HUB_OFFLINE"] = "1"

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seehear.types import ImageSample

SMALL_CLIP = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "patch_size": 8, "head_width": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
SMALL_PE = {
    "embed_dim": 32,
    "vision_cfg": {
        "image_size": 384,
        "timm_model_name": "vit_pe_core_tiny_patch16_384",
        "timm_model_pretrained": False,
        "timm_pool": "map",
        "timm_proj": "linear",
    },
    "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
    "custom_text": True,
}
PE_PREPROCESSING = {
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "interpolation": "bilinear",
    "resize_mode": "squash",
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """The cores are shared: small models are no faster with more threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def small_open_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with safetensors of two small models, whose architectures open_clip then knows:
    `seehear-small-clip`, of the native classes, and `seehear-small-pe`, of PE-Core's classes."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("open_clip")
    for name, config in (("seehear-small-clip", SMALL_CLIP), ("seehear-small-pe", SMALL_PE)):
        (folder / f"{name}.json").write_text(json.dumps(config))
        open_clip.add_model_config(folder / f"{name}.json")
        torch.manual_seed(7)
        model = open_clip.create_model(name, load_weights=False, pretrained_text=False)
        save_file(model.state_dict(), folder / f"{name}.safetensors")
    return folder


@pytest.fixture(scope="session")
def small_pe_folder(small_open_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a copy of a hub repository of open_clip looks like on disk."""
    folder = tmp_path_factory.mktemp("hub") / "small-pe"
    folder.mkdir()
    config: dict[str, Any] = {"model_cfg": SMALL_PE, "preprocess_cfg": PE_PREPROCESSING}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    weights = (small_open_clip / "seehear-small-pe.safetensors").read_bytes()
    (folder / "open_clip_model.safetensors").write_bytes(weights)
    return folder


@pytest.fixture(scope="session")
def pictures() -> list[ImageSample]:
    """Photographs and noise of several shapes, larger and smaller than any model's input."""
    import skimage.data

    rng = np.random.default_rng(3)
    photographs = [getattr(skimage.data, name)() for name in ("astronaut", "coffee")]
    noise = [rng.integers(0, 256, shape, dtype=np.uint8) for shape in ((37, 91, 3), (20, 12, 3))]
    return [ImageSample(pixels) for pixels in (*photographs, *noise)]

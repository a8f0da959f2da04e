"""Small models of the real classes with random weights, and no network for anybody."""

import importlib
import json
import os

# Before any hub library is imported: it reads this once.
os.environ["HF_HUB_OFFLINE"] = "1"

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seehear.types import AudioSample, ImageSample
from tests.encoders.small_transformers import make_clap, make_omni, make_pe_av

SMALL_CLIP: dict[str, Any] = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "patch_size": 8, "head_width": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
SMALL_PE: dict[str, Any] = {
    "embed_dim": 32,
    "vision_cfg": {
        "image_size": 64,
        "timm_model_name": "seehear_small_pe",
        "timm_model_pretrained": False,
        "timm_pool": "map",
        "timm_proj": "linear",
    },
    "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
    "custom_text": True,
}
SMALL_SIGLIP: dict[str, Any] = {
    "embed_dim": 32,
    "init_logit_bias": -10,
    "custom_text": True,
    "vision_cfg": {
        "image_size": 64,
        "timm_model_name": "seehear_small_siglip",
        "timm_model_pretrained": False,
        "timm_pool": "map",
        "timm_proj": "none",
    },
    "text_cfg": {
        "context_length": 64,
        "vocab_size": 300,
        "hf_tokenizer_name": "timm/ViT-B-16-SigLIP2-256",
        "tokenizer_kwargs": {"clean": "canonicalize"},
        "width": 32,
        "heads": 2,
        "layers": 2,
        "no_causal_mask": True,
        "proj_bias": True,
        "pool_type": "last",
        "norm_kwargs": {"eps": 1e-06},
        "act_kwargs": {"approximate": "tanh"},
    },
}
PE_PREPROCESSING = {
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "interpolation": "bilinear",
    "resize_mode": "squash",
}


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """One thread, because the cores are shared, and no files in the cache of whoever runs this."""
    import torch

    monkeypatch.setenv("SEEHEAR_CACHE", str(tmp_path / "user-cache"))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def seehear_small_pe(pretrained: bool = False, **settings: Any) -> Any:
    """PE-Core's picture tower as timm builds it (`vit_pe_core_*`), in small."""
    from functools import partial

    from timm.models.eva import Eva

    layers: Any = importlib.import_module("timm.layers")

    sizes: dict[str, Any] = {"img_size": 64, "patch_size": 16, "embed_dim": 48, "depth": 2}
    sizes |= {"num_heads": 3, "attn_pool_num_heads": 4, "ref_feat_shape": (4, 4)}
    settings.pop("pretrained_cfg", None)
    settings.pop("pretrained_cfg_overlay", None)
    settings.pop("cache_dir", None)
    tower: Any = Eva(
        **sizes,
        global_pool="map",
        attn_type="rope",
        use_pre_transformer_norm=True,
        use_rot_pos_emb=True,
        rope_grid_offset=1.0,
        rope_grid_indexing="xy",
        attn_pool_mlp_ratio=4.0,
        norm_layer=partial(layers.LayerNorm, eps=1e-5),
        **settings,
    )
    tower.default_cfg = tower.pretrained_cfg = {"mean": (0.5,) * 3, "std": (0.5,) * 3}
    return tower


@pytest.fixture(scope="session")
def small_open_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with safetensors of two small models, whose architectures open_clip then knows:
    `seehear-small-clip`, of the native classes, and `seehear-small-pe`, of PE-Core's classes."""
    import open_clip
    import torch
    from safetensors.torch import save_file
    from timm.models import is_model, register_model

    if not is_model(seehear_small_pe.__name__):
        register_model(seehear_small_pe)
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


def seehear_small_siglip(pretrained: bool = False, **settings: Any) -> Any:
    """The picture tower of SigLIP as timm builds it (`vit_base_patch16_siglip_*`), in small."""
    from timm.models.vision_transformer import VisionTransformer

    for name in ("pretrained_cfg", "pretrained_cfg_overlay", "cache_dir"):
        settings.pop(name, None)
    sizes: dict[str, Any] = {"img_size": 64, "patch_size": 16, "embed_dim": 32, "depth": 2}
    tower: Any = VisionTransformer(**sizes, num_heads=2, class_token=False, **settings)
    tower.default_cfg = tower.pretrained_cfg = {"mean": (0.5,) * 3, "std": (0.5,) * 3}
    return tower


@pytest.fixture(scope="session")
def small_siglip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of a hub repository of SigLIP 2, in small: its text tower, and a tokenizer of every
    script in a file of the kind that its hub repository has."""
    import open_clip
    import torch
    from safetensors.torch import save_file
    from timm.models import is_model, register_model
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    if not is_model(seehear_small_siglip.__name__):
        register_model(seehear_small_siglip)
    folder = tmp_path_factory.mktemp("hub") / "small-siglip"
    folder.mkdir()
    marks = ["<pad>", "<eos>", "<bos>", "<unk>"]
    pieces = [*marks, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    vocabulary = {piece: n for n, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    library: Any = importlib.import_module("transformers")
    library.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", bos_token="<bos>"
    ).save_pretrained(folder)
    config: dict[str, Any] = {"model_cfg": SMALL_SIGLIP, "preprocess_cfg": PE_PREPROCESSING}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    torch.manual_seed(9)
    model = open_clip.create_model(
        f"local-dir:{folder}", load_weights=False, pretrained_text=False, pretrained_image=False
    )
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return folder


@pytest.fixture(scope="session")
def pictures() -> list[ImageSample]:
    """Photographs and noise of several shapes, larger and smaller than any model's input."""
    import skimage.data

    rng = np.random.default_rng(3)
    photographs = [getattr(skimage.data, name)() for name in ("astronaut", "coffee")]
    noise = [rng.integers(0, 256, shape, dtype=np.uint8) for shape in ((37, 91, 3), (20, 12, 3))]
    return [ImageSample(pixels) for pixels in (*photographs, *noise)]


@pytest.fixture(scope="session")
def small_clap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small CLAP."""
    return make_clap(tmp_path_factory.mktemp("clap") / "small-clap")


@pytest.fixture(scope="session")
def small_pe_av(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small PE-AV."""
    from timm.models import is_model, register_model

    if not is_model(seehear_small_pe.__name__):
        register_model(seehear_small_pe)
    folder = tmp_path_factory.mktemp("pe_av") / "small-pe-av"
    return make_pe_av(folder, seehear_small_pe.__name__)


@pytest.fixture(scope="session")
def small_omni(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small EmbeddingGemma 2."""
    return make_omni(tmp_path_factory.mktemp("omni") / "small-omni")


@pytest.fixture(scope="session")
def sounds() -> list[AudioSample]:
    """Windows of several lengths at 48 kHz, from a click to longer than the small CLAP hears."""
    rng = np.random.default_rng(5)
    waves = []
    for length in (480, 10_000, 24_000, 48_000, 60_001):
        times_s = np.arange(length) / 48_000
        chirp = 0.4 * np.sin(2 * np.pi * (200 + 3_000 * times_s) * times_s)
        waves.append((chirp + 0.05 * rng.normal(size=length)).astype(np.float32))
    return [AudioSample(wave, 48_000) for wave in waves]


@pytest.fixture(scope="session")
def small_builtin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder of the kind of `tiny`, in small, with random weights."""
    import torch

    from seehear.encoders.tiny.checkpoint import ModelConfig, TextConfig, TowerConfig, save_folder
    from seehear.encoders.tiny.towers import AudioTower, ImageTower
    from training.text_torch import TextTorch, choose_vocabulary

    sizes = TowerConfig(hidden=16, scale=0.25, blocks=3)
    text = TextConfig(width=8, hidden=8, blocks=1, heads=2, inner=16)
    config = ModelConfig(
        dim=24,
        image=sizes,
        audio=sizes,
        text=text,
        image_px=32,
        window_s=2.0,
        hop_s=1.0,
    )
    torch.manual_seed(13)
    sentences = ["a red car", "rain at night", "dogs", "a letter from the harbour", "snow"]
    vocabulary = choose_vocabulary(sentences, (), 200, least_count=1)
    reader = TextTorch(len(vocabulary), 24, width=8, hidden=8, blocks=1, heads=2, inner=16)
    arrays = {}
    for name, tower in (
        ("image", ImageTower(24, 16, scale=0.25, blocks=3)),
        ("audio", AudioTower(24, 16, scale=0.25, blocks=3)),
        ("text", reader),
    ):
        for key, value in tower.state_dict().items():
            arrays[f"{name}.{key}"] = value.float().numpy()
    folder = tmp_path_factory.mktemp("builtin") / "small"
    save_folder(folder, "small-builtin", config, arrays, vocabulary, {})
    return folder

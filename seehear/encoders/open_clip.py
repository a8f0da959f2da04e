"""Encoder over any architecture that the open_clip library knows: text, pictures and video.

Where weights come from, by the name after `open_clip:`

    <architecture>/<tag>[@<revision>]   the hub, pinned for the models in cards.py; for others the
                                        cached copy, else the main branch at the time of fetching
    <architecture>/<file>               a file of weights on disk
    <folder>                            a folder with open_clip_config.json and weights
    hf-hub:<repository>[@<revision>]    a hub repository that holds such a folder

Preprocessing and tokenizer are the library's own. Weights are read from safetensors, or from
PyTorch files with `weights_only=True`, so that no file can run code.
"""

from __future__ import annotations

import difflib
import json
import pickle
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seehear.encoders.base import normalised
from seehear.encoders.cards import HUB_CARDS, TEXT_AND_PICTURES, HubFile, ModelCard
from seehear.encoders.devices import choose_device
from seehear.encoders.hub import HubModel, revision_of, unavailable
from seehear.encoders.torch_tools import (
    check_samples,
    chunks,
    half_precision,
    quiet_libraries,
    scatter,
    to_device,
    vectors_of,
)
from seehear.errors import ModelIntegrityError, UnknownModelError
from seehear.types import (
    EmbeddingSpace,
    ImageSample,
    Modality,
    Sample,
    SampleSpec,
    Vectors,
    VideoSample,
)

if TYPE_CHECKING:
    import torch

ENCODING = 1
"""Part of the space's revision: raise it when the same weights begin to give other vectors."""

MAX_BATCH = 64
"""Pictures, frames or texts in one forward pass: a shot may have many frames."""

_WEIGHT_NAMES = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "model.safetensors",
    "open_clip_pytorch_model.bin",
    "pytorch_model.bin",
)
_FOLDER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "tokenizer.model",
    "config.json",
)


class OpenClipEncoder:
    """Text, pictures and video in the space of one open_clip model."""

    def __init__(
        self,
        space: EmbeddingSpace,
        *,
        model: Any,
        preprocess: Callable[[Any], torch.Tensor],
        tokenizer: Callable[[list[str]], torch.Tensor],
        spec: SampleSpec,
        device: torch.device,
    ) -> None:
        self.space = space
        self.modalities = TEXT_AND_PICTURES
        self.spec = spec
        self.device = device
        self._model = model
        self._preprocess = preprocess
        self._tokenizer = tokenizer

    def encode(self, modality: Modality, samples: Sequence[Sample]) -> Vectors:
        """Embed samples of one modality: float32 (n, dim), L2-normalised, in order."""
        check_samples(self.space.name, self.modalities, modality, samples)
        if modality is Modality.TEXT:
            return self._texts([s for s in samples if isinstance(s, str)])
        if modality is Modality.IMAGE:
            return self._images([s for s in samples if isinstance(s, ImageSample)])
        return self._shots([s for s in samples if isinstance(s, VideoSample)])

    def _texts(self, texts: Sequence[str]) -> Vectors:
        present = [position for position, text in enumerate(texts) if text.strip()]
        rows = []
        for batch in chunks(present, MAX_BATCH):
            tokens = self._tokenizer([texts[position] for position in batch])
            rows.append(self._forward(self._model.encode_text, tokens))
        return self._placed(present, rows, len(texts))

    def _images(self, images: Sequence[ImageSample]) -> Vectors:
        import torch

        present = [position for position, image in enumerate(images) if image.pixels.size]
        rows = []
        for batch in chunks(present, MAX_BATCH):
            pixels = torch.stack([self.prepare(images[position]) for position in batch])
            rows.append(self._forward(self._model.encode_image, pixels))
        return self._placed(present, rows, len(images))

    def _shots(self, shots: Sequence[VideoSample]) -> Vectors:
        """A shot is the renormalised mean of its frames' vectors."""
        frames = self._images([frame for shot in shots for frame in shot.frames])
        ends = np.cumsum([len(shot.frames) for shot in shots])
        means = [part.mean(axis=0) for part in np.split(frames, ends[:-1])] if shots else []
        return normalised(np.array(means, dtype=np.float32).reshape(len(shots), self.space.dim))

    def prepare(self, image: ImageSample) -> torch.Tensor:
        """A picture as the model takes it, float32 (3, height, width): the library's transform."""
        from torchvision.transforms.functional import to_pil_image

        return self._preprocess(to_pil_image(image.pixels))

    def _forward(self, tower: Callable[..., torch.Tensor], batch: torch.Tensor) -> Vectors:
        import torch

        with torch.inference_mode(), half_precision(self.device):
            return vectors_of(tower(to_device(batch, self.device), normalize=True))

    def _placed(self, present: Sequence[int], rows: list[Vectors], count: int) -> Vectors:
        together = np.concatenate(rows) if rows else np.zeros((0, self.space.dim), np.float32)
        return scatter(present, together, count, self.space.dim)


@dataclass(frozen=True, slots=True)
class _Source:
    """Where an open_clip model is to be loaded from."""

    label: str
    """The part of the space's name after `open_clip:`."""
    architecture: str
    """As open_clip names it; `local-dir:<folder>` for a folder."""
    weights: Path
    preprocessing: dict[str, Any] = field(default_factory=dict)
    quick_gelu: bool = False


def load_open_clip(name: str, device: str = "auto") -> OpenClipEncoder:
    """Load the encoder that `name` (what follows `open_clip:`) stands for.

    Raises UnknownModelError, ModelUnavailableError or ModelIntegrityError.
    """
    chosen = choose_device(device)
    return _build(_resolve(name), chosen)


def _resolve(name: str) -> _Source:
    if name.startswith("hf-hub:"):
        return _hub_folder(name)
    if (folder := Path(name).expanduser()).is_dir():
        return _folder(folder.resolve())
    architecture, slash, source = name.partition("/")
    _check_architecture(architecture, name)
    if not slash or not source:
        raise UnknownModelError(
            f"open_clip:{name} names no weights; {_tags_of(architecture)}, or a file of weights"
        )
    path = Path(source).expanduser()
    if path.is_file():
        return _file(architecture, path.resolve())
    tag, _, revision = source.partition("@")
    return _tag(architecture, tag, revision, looks_like_path=path.suffix != "" or "/" in source)


def _check_architecture(architecture: str, name: str) -> None:
    import open_clip

    known = open_clip.list_models()
    if architecture not in known:
        near = difflib.get_close_matches(architecture, known, n=3, cutoff=0.4)
        raise UnknownModelError(
            f"no model open_clip:{name}: open_clip knows no architecture {architecture!r}"
            + (f"; did you mean {' or '.join(near)}?" if near else "")
        )


def _tags_of(architecture: str) -> str:
    from open_clip.pretrained import list_pretrained_tags_by_model

    tags = list_pretrained_tags_by_model(architecture)
    if not tags:
        return f"open_clip has no pretrained weights for {architecture}: give a file"
    return f"choose one of {', '.join(f'{architecture}/{tag}' for tag in tags)}"


def _tag(architecture: str, tag: str, revision: str, *, looks_like_path: bool) -> _Source:
    from open_clip.pretrained import get_pretrained_cfg

    config = get_pretrained_cfg(architecture, tag)
    if not config:
        missing = f"there is no file {tag} and " if looks_like_path else ""
        raise UnknownModelError(
            f"no model open_clip:{architecture}/{tag}: {missing}open_clip has no such tag; "
            f"{_tags_of(architecture)}"
        )
    name = f"open_clip:{architecture}/{tag}"
    card = next((card for card in HUB_CARDS if card.name == name), None)
    # "organisation/repository/" or "organisation/repository/file"
    repo, _, file = config["hf_hub"].rpartition("/")
    hub = HubModel(
        name, _size(architecture, card), _license(card, repo), f"{name[: -len(tag)]}FILE"
    )
    if card is not None and not revision:
        weights = hub.file(card.weights[0])
    else:
        safe = f"{file.rpartition('.')[0]}.safetensors"
        names = (safe, file) if file else _WEIGHT_NAMES
        weights = hub.first_file(repo, names, revision or "main")
    return _Source(
        label=f"{architecture}/{tag}",
        architecture=architecture,
        weights=weights,
        preprocessing=_preprocessing(config),
        quick_gelu=bool(config.get("quick_gelu", False)),
    )


def _file(architecture: str, weights: Path) -> _Source:
    return _Source(
        label=architecture,
        architecture=architecture,
        weights=weights,
        preprocessing=_preprocessing_beside(weights) or _preprocessing_of(architecture),
    )


def _preprocessing(config: dict[str, Any]) -> dict[str, Any]:
    keys = ("mean", "std", "interpolation", "resize_mode", "fill_color")
    return {key: config[key] for key in keys if key in config}


def _preprocessing_beside(weights: Path) -> dict[str, Any]:
    """What a copy of a hub repository says of its own preprocessing."""
    try:
        config = json.loads(weights.with_name("open_clip_config.json").read_text("utf-8"))
        return _preprocessing(config["preprocess_cfg"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _preprocessing_of(architecture: str) -> dict[str, Any]:
    """What all pretrained tags of an architecture agree on; PE and SigLIP differ from CLIP."""
    from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model

    tags = list_pretrained_tags_by_model(architecture)
    known = [_preprocessing(get_pretrained_cfg(architecture, tag)) for tag in tags]
    return known[0] if known and all(one == known[0] for one in known) else {}


def _folder(folder: Path) -> _Source:
    if not (folder / "open_clip_config.json").is_file():
        raise UnknownModelError(f"no model in {folder}: it has no open_clip_config.json")
    for name in _WEIGHT_NAMES:
        if (folder / name).is_file():
            weights = folder / name
            return _Source(folder.name, f"local-dir:{folder}", weights)
    raise unavailable(
        f"open_clip:{folder}", None, "unknown", "open_clip:FOLDER", "the folder has no weights"
    )


def _hub_folder(name: str) -> _Source:
    repo, _, revision = name.removeprefix("hf-hub:").partition("@")
    card = next((card for card in HUB_CARDS if card.weights[0].repo == repo), None)
    revision = revision or (card.weights[0].revision if card else "main")
    size = card.size_bytes if card else None
    hub = HubModel(f"open_clip:{name}", size, _license(card, repo), "open_clip:FOLDER")
    config = hub.file(HubFile(repo, "open_clip_config.json", revision))
    weights = hub.first_file(repo, _WEIGHT_NAMES, revision)
    for extra in _FOLDER_FILES:
        hub.optional_file(HubFile(repo, extra, revision))
    return _Source(repo, f"local-dir:{config.parent}", weights)


def _license(card: ModelCard | None, repo: str) -> str:
    return card.license if card else f"as stated at huggingface.co/{repo}"


def _size(architecture: str, card: ModelCard | None) -> int | None:
    """Bytes of float32 weights, counted on a model without memory; None where that fails."""
    if card is not None:
        return card.size_bytes
    import open_clip

    try:
        with quiet_libraries():
            empty = open_clip.create_model(
                architecture, load_weights=False, pretrained_text=False, device="meta"
            )
    except Exception:  # a text tower whose configuration is on the hub, or no meta support
        return None
    return int(sum(parameter.numel() for parameter in empty.parameters()) * 4)


def _build(source: _Source, device: torch.device) -> OpenClipEncoder:
    import open_clip
    from open_clip.transform import PreprocessCfg, image_transform_v2
    from safetensors import SafetensorError

    unreadable = (
        RuntimeError,
        ValueError,
        KeyError,
        OSError,
        EOFError,
        pickle.UnpicklingError,
        SafetensorError,
    )
    name = f"open_clip:{source.label}"
    with quiet_libraries():
        try:
            model = open_clip.create_model(
                source.architecture,
                load_weights=False,
                pretrained_text=False,
                pretrained_image=False,
                force_quick_gelu=source.quick_gelu,
                force_preprocess_cfg=source.preprocessing,
            )
            tokenizer = open_clip.get_tokenizer(source.architecture)
            config = open_clip.get_model_config(source.architecture)
        except OSError as error:  # a tokenizer or text tower that is described on the hub
            first = str(error).strip().splitlines()[0]
            raise unavailable(
                name, None, "see its card", "open_clip:FOLDER", f"a part of it is not: {first}"
            ) from None
        try:
            with warnings.catch_warnings():
                # Said of files that are refused a moment later anyway.
                warnings.filterwarnings("ignore", message="Detected pickle protocol")
                open_clip.load_checkpoint(model, str(source.weights), weights_only=True)
        except unreadable as error:
            raise ModelIntegrityError(
                f"{source.weights} does not hold weights of {source.architecture}: "
                f"{' '.join(str(error).split())[:200]}"
            ) from None
    model.to(device).eval().requires_grad_(False)
    size = model.visual.image_size
    transform = image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)
    spec = SampleSpec(
        image_px=max(size) if isinstance(size, tuple | list) else int(size),
        # English has about 1.4 pieces to a word; longer passages would be cut by the tokenizer.
        passage_words=max(8, min(60, int((tokenizer.context_length - 2) / 1.4))),
    )
    revision = f"{revision_of(source.weights)}-{ENCODING}"
    space = EmbeddingSpace(name, revision, int(config["embed_dim"]))
    return OpenClipEncoder(
        space,
        model=model,
        preprocess=transform,
        tokenizer=tokenizer,
        spec=spec,
        device=device,
    )

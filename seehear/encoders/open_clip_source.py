"""Find the weights and settings of an open_clip model from its name.

The name after `open_clip:` is one of

    <architecture>/<tag>[@<revision>]   the hub, pinned for the models in model_cards.py; for others
                                        the cached copy, else the main branch when fetched
    <architecture>/<file>               a file of weights on disk
    <folder>                            a folder with open_clip_config.json and weights
    hf-hub:<repository>[@<revision>]    a hub repository that contains such a folder

open_clip.py builds the model from the result.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seehear.encoders.model_cards import HUB_CARDS, ModelCard
from seehear.encoders.torch_tools import quiet_libraries
from seehear.errors import UnknownModelError
from seehear.hub import HubFile, HubModel, check_folder, unavailable

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


@dataclass(frozen=True, slots=True)
class ResolvedWeights:
    """The files and settings from which an open_clip model is loaded."""

    label: str
    """The part of the space's name after `open_clip:`."""
    architecture: str
    """As open_clip names it; `local-dir:<folder>` for a folder."""
    weights: Path
    preprocessing: dict[str, Any] = field(default_factory=dict)
    quick_gelu: bool = False


def resolve(name: str) -> ResolvedWeights:
    """Find the model of `name`, the part after `open_clip:`; download it if necessary.

    Raises UnknownModelError or ModelUnavailableError.
    """
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


def _tag(architecture: str, tag: str, revision: str, *, looks_like_path: bool) -> ResolvedWeights:
    from open_clip.pretrained import get_pretrained_cfg

    config = get_pretrained_cfg(architecture, tag)
    if not config:
        missing = f"no file {tag}, and " if looks_like_path else ""
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
    return ResolvedWeights(
        label=f"{architecture}/{tag}",
        architecture=architecture,
        weights=weights,
        preprocessing=_preprocessing(config),
        quick_gelu=bool(config.get("quick_gelu", False)),
    )


def _file(architecture: str, weights: Path) -> ResolvedWeights:
    return ResolvedWeights(
        label=architecture,
        architecture=architecture,
        weights=weights,
        preprocessing=_preprocessing_beside(weights) or _preprocessing_of(architecture),
    )


def _preprocessing(config: dict[str, Any]) -> dict[str, Any]:
    keys = ("mean", "std", "interpolation", "resize_mode", "fill_color")
    return {key: config[key] for key in keys if key in config}


def _preprocessing_beside(weights: Path) -> dict[str, Any]:
    """Read the preprocessing that a copy of a hub repository states."""
    beside = weights.with_name("open_clip_config.json")
    try:
        config = json.loads(beside.read_text("utf-8")) if beside.is_file() else {}
        return _preprocessing(config["preprocess_cfg"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _preprocessing_of(architecture: str) -> dict[str, Any]:
    """Return what all pretrained tags of an architecture share; PE and SigLIP differ from CLIP."""
    from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model

    tags = list_pretrained_tags_by_model(architecture)
    known = [_preprocessing(get_pretrained_cfg(architecture, tag)) for tag in tags]
    return known[0] if known and all(one == known[0] for one in known) else {}


def _folder(folder: Path) -> ResolvedWeights:
    check_folder(folder)
    if not (folder / "open_clip_config.json").is_file():
        raise UnknownModelError(f"no model in {folder}: it has no open_clip_config.json")
    for name in _WEIGHT_NAMES:
        if (folder / name).is_file():
            weights = folder / name
            return ResolvedWeights(folder.name, f"local-dir:{folder}", weights)
    raise unavailable(
        f"open_clip:{folder}", None, "unknown", "open_clip:FOLDER", "the folder has no weights"
    )


def _hub_folder(name: str) -> ResolvedWeights:
    repo, _, revision = name.removeprefix("hf-hub:").partition("@")
    card = next((card for card in HUB_CARDS if card.weights[0].repo == repo), None)
    revision = revision or (card.weights[0].revision if card else "main")
    size = card.size_bytes if card else None
    hub = HubModel(f"open_clip:{name}", size, _license(card, repo), "open_clip:FOLDER")
    config = hub.file(HubFile(repo, "open_clip_config.json", revision))
    weights = hub.first_file(repo, _WEIGHT_NAMES, revision)
    for extra in _FOLDER_FILES:
        hub.extra_file(HubFile(repo, extra, revision))
    return ResolvedWeights(repo, f"local-dir:{config.parent}", weights)


def _license(card: ModelCard | None, repo: str) -> str:
    return card.license if card else f"as stated at huggingface.co/{repo}"


def _size(architecture: str, card: ModelCard | None) -> int | None:
    """Count the bytes of float32 weights on a model without memory; None where that fails."""
    if card is not None:
        return card.size_bytes
    import open_clip

    try:
        with quiet_libraries():
            empty = open_clip.create_model(
                architecture, load_weights=False, pretrained_text=False, device="meta"
            )
    except Exception:  # the text tower's configuration is on the hub, or no meta support
        return None
    return int(sum(parameter.numel() for parameter in empty.parameters()) * 4)

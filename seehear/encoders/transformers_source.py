"""Find and load models that the transformers library reads: on the hub, or in a folder.

A hub model is pinned if it has a card in model_cards.py; of others the cached copy is read, else
the main branch at the time of fetching.
"""

from __future__ import annotations

import contextlib
import io
import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seehear.encoders.model_cards import ModelCard
from seehear.encoders.torch_tools import quiet_libraries, weight_errors
from seehear.errors import ModelIntegrityError, UnknownModelError
from seehear.hub import HubFile, HubModel, check_folder, revision_of, unavailable

if TYPE_CHECKING:
    import torch

_WEIGHT_NAMES = ("model.safetensors", "pytorch_model.bin")
_NEEDED_FILES = (
    ("preprocessor_config.json", "processor_config.json"),
    ("tokenizer.json", "vocab.json"),
)
_EXTRA_FILES = ("tokenizer_config.json", "special_tokens_map.json")


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of model: its name before the colon, the library's classes, and its files."""

    kind: str
    title: str
    classes: str
    """What the names of its configuration, processor and model in the library begin with."""
    cards: tuple[ModelCard, ...]
    """Its pinned models: the first file of each is the weights, the last one the configuration."""
    extra_files: tuple[str, ...] = ()
    """Files that a repository may have beside the usual ones."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model with its processor, on the CPU, and the name and revision of its space."""

    name: str
    revision: str
    config: Any
    processor: Any
    model: Any


def load_pretrained(family: Family, name: str) -> LoadedModel:
    """Load a model by the name of its folder, or by `organisation/name[@revision]` on the hub.

    Raises UnknownModelError, ModelUnavailableError or ModelIntegrityError.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _load(family, f"{family.kind}:{folder.name}", folder, _weights_in(family, folder))
    repo, _, revision = name.partition("@")
    if repo.count("/") != 1 or repo.startswith(("/", ".", "~")):
        raise UnknownModelError(
            f"no model {family.kind}:{name}: it is not a folder here, and hub models are named "
            f"organisation/name, such as {family.kind}:{family.cards[0].weights[0].repo}"
        )
    card = next((c for c in family.cards if c.weights[0].repo == repo and not revision), None)
    label = card.name if card else f"{family.kind}:{repo}"
    return _load(family, label, *_from_hub(family, label, card, repo, revision or "main"))


def _from_hub(
    family: Family, label: str, card: ModelCard | None, repo: str, revision: str
) -> tuple[Path, Path]:
    """Return the folder of the configuration and the file of weights."""
    hub = HubModel(
        label,
        card.size_bytes if card else None,
        card.license if card else f"as stated at huggingface.co/{repo}",
        f"{family.kind}:FOLDER",
    )
    at = card.weights[-1].revision if card else revision
    weights = hub.file(card.weights[0]) if card else hub.first_file(repo, _WEIGHT_NAMES, at)
    config = hub.file(HubFile(repo, "config.json", at))
    for either in _NEEDED_FILES:
        hub.first_file(repo, either, at)
    for extra in (*_EXTRA_FILES, *family.extra_files):
        hub.extra_file(HubFile(repo, extra, at))
    return config.parent, weights


def _weights_in(family: Family, folder: Path) -> Path:
    check_folder(folder)
    if not (folder / "config.json").is_file():
        raise UnknownModelError(f"no {family.title} model in {folder}: it has no config.json")
    for name in _WEIGHT_NAMES:
        if (folder / name).is_file():
            return folder / name
    local = f"{family.kind}:FOLDER"
    label = f"{family.kind}:{folder}"
    raise unavailable(label, None, "unknown", local, "the folder has no weights")


def _load(family: Family, name: str, folder: Path, weights: Path) -> LoadedModel:
    import torch

    library = _transformers()
    config_class = getattr(library, f"{family.classes}Config")
    # The first one is for JSON that is no mapping.
    errors: tuple[type[Exception], ...] = (AttributeError, *weight_errors())
    with quiet_libraries(), _quiet_transformers():
        try:
            # The library would make a model of another kind from its own defaults, at full size.
            found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            if (kind := found.get("model_type")) != config_class.model_type:
                raise ValueError(f"config.json describes a model of type {kind}")
            config = config_class.from_pretrained(folder, local_files_only=True)
            processor = getattr(library, f"{family.classes}Processor").from_pretrained(
                folder, local_files_only=True
            )
            model, report = getattr(library, f"{family.classes}Model").from_pretrained(
                weights.parent,
                config=config,
                dtype=torch.float32,
                use_safetensors=weights.suffix == ".safetensors",
                weights_only=True,
                local_files_only=True,
                output_loading_info=True,
            )
        except errors as error:
            raise ModelIntegrityError(
                f"{weights.parent} holds no {family.title} model that can be read: "
                f"{' '.join(str(error).split())[:200]}"
            ) from None
    if missing := sorted(report["missing_keys"]):
        raise ModelIntegrityError(
            f"{weights} lacks {len(missing)} tensors of {family.title}, {missing[0]} among them"
        )
    model.eval().requires_grad_(False)
    return LoadedModel(name, revision_of(weights), config, processor, model)


class Tokens:
    """Turn texts into tokens, from any thread."""

    def __init__(self, tokenizer: Any, longest: int) -> None:
        self._tokenizer = tokenizer
        self._longest = longest
        self._tokenizing = threading.Lock()  # fast tokenizers keep padding as state

    def __call__(self, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return tokens and their mask, int64 (n, most tokens); longer texts are cut."""
        with self._tokenizing:
            tokens = self._tokenizer(
                list(texts),
                padding=True,
                truncation=True,
                max_length=self._longest,
                return_tensors="pt",
            )
        return tokens["input_ids"], tokens["attention_mask"]


def _transformers() -> Any:
    """Import the library late because it is heavy, and untyped because its types are partial."""
    import transformers

    return transformers


@contextlib.contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Silence progress bars and reports of loading; the important ones are checked here."""
    logging = _transformers().utils.logging
    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        # It prints faults of its own documentation, where an answer in JSON may be printed.
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()

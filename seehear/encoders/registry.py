"""Load a model by the name that a user writes.

A name is one of

    tiny                                   the bundled model
    standard                               Perception Encoder and CLAP, joined by a bridge
    standard-av                            Perception Encoder and PE-AV, in the same way
    multilingual                           SigLIP 2 and CLAP, in the same way
    standard:<folder>, ...                 each of these three, from copies of both on disk
    omni, omni:<folder>                    EmbeddingGemma 2: one space for everything
    open_clip:<architecture>/<source>      <source>: a pretrained tag, or a file of weights
    open_clip:<folder>                     a folder with open_clip_config.json and weights
    open_clip:hf-hub:<repository>          such a folder on the hub
    clap:<hub id or folder>                any CLAP that transformers reads
    pe_av:<hub id or folder>               any PE-AV that transformers reads
    <folder>                               a fine-tuned `tiny`
    fake, fake:<revision>, fake-joined     for tests; not listed

A hub name may end in @<revision>.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seehear.encoders.base import Model, SingleSpaceModel
from seehear.encoders.devices import check_device_name
from seehear.encoders.model_cards import ModelCard, known_cards
from seehear.errors import ModelError, SeehearError, UnknownModelError, one_line
from seehear.libraries import fault_of

if TYPE_CHECKING:
    from seehear.encoders.bridge import BridgeProgress


def available_models() -> list[ModelCard]:
    """Return the models that `seehear models` lists, the bundled one first."""
    return known_cards()


def load_model(
    name: str,
    device: str = "auto",
    *,
    cache: Path | None = None,
    progress: BridgeProgress | None = None,
) -> Model:
    """Load the model of that name onto a device ("auto", "cpu", "cuda", "cuda:1", "mps").

    `cache` is the folder for what is computed once for a model (None: the per-user cache folder).
    `progress` is called with a text, the amount done and the total while that is computed, which
    happens when the model first needs it.

    Raises UnknownModelError for an unknown name, ModelUnavailableError where the weights are
    neither on this machine nor reachable, ModelIntegrityError where they do not fit, ModelError
    where they cannot be loaded for any other reason, EnvironmentFaultError where a library cannot
    be loaded, and UsageError for a missing device.
    """
    check_device_name(device)
    try:
        return _loaded(name, device, cache, progress)
    except Exception as error:
        if (fault := fault_of(error)) is not None:
            raise fault from error
        if isinstance(error, SeehearError):
            raise
        raise ModelError(
            f"the model {name} cannot be loaded ({one_line(error)}); see `seehear doctor`"
        ) from error


def _load_tiny(name: str, device: str, **_: Any) -> Model:
    from seehear.encoders.tiny import load_tiny

    return SingleSpaceModel(name, load_tiny(device=device))


def _load_pair(
    name: str, device: str, *, cache: Path | None, progress: BridgeProgress | None
) -> Model:
    from seehear.encoders.standard import load_pair

    return load_pair(name, device, bridges=cache, progress=progress)


def _load_open_clip(name: str, device: str, **_: Any) -> Model:
    from seehear.encoders.open_clip import load_open_clip

    return SingleSpaceModel(name, load_open_clip(_rest(name), device))


def _load_clap(name: str, device: str, **_: Any) -> Model:
    from seehear.encoders.clap import load_clap

    return SingleSpaceModel(name, load_clap(_rest(name), device))


def _load_pe_av(name: str, device: str, **_: Any) -> Model:
    from seehear.encoders.pe_av import load_pe_av

    return SingleSpaceModel(name, load_pe_av(_rest(name), device))


def _load_omni(name: str, device: str, **_: Any) -> Model:
    from seehear.encoders.embedding_gemma import load_omni

    folder = name.partition(":")[2]
    return SingleSpaceModel(name, load_omni(Path(folder) if folder else None, device))


def _load_fake(name: str, device: str, **_: Any) -> Model:
    from seehear.encoders.fake import FakeEncoder

    return SingleSpaceModel(name, FakeEncoder(name.partition(":")[2] or "1"))


def _load_fake_joined(name: str, device: str, **_: Any) -> Model:
    from seehear.encoders.fake import fake_joined

    return fake_joined()


LOADERS: dict[str, Callable[..., Model]] = {
    "tiny": _load_tiny,
    "standard": _load_pair,
    "standard-av": _load_pair,
    "multilingual": _load_pair,
    "omni": _load_omni,
    "open_clip": _load_open_clip,
    "clap": _load_clap,
    "pe_av": _load_pe_av,
    "fake": _load_fake,
    "fake-joined": _load_fake_joined,
}
"""The loader of each kind of model, by the name before the colon. Takes the whole name, the device,
and the keywords `cache` and `progress` of `load_model`."""


def _rest(name: str) -> str:
    """Return what follows the colon. Raises UnknownModelError if it is missing."""
    if not (rest := name.partition(":")[2]):
        raise UnknownModelError(_unknown(name))
    return rest


def _loaded(name: str, device: str, cache: Path | None, progress: BridgeProgress | None) -> Model:
    kind, colon, _ = name.partition(":")
    if kind in LOADERS and not (colon and kind in {"tiny", "fake-joined"}):
        return LOADERS[kind](name, device, cache=cache, progress=progress)
    if _is_folder(name):
        from seehear.encoders.tiny import load_tiny

        name = full_name(name)
        return SingleSpaceModel(name, load_tiny(Path(name), device=device))
    raise UnknownModelError(_unknown(name))


def full_name(name: str) -> str:
    """Return the name that a collection stores for a model: for a folder, its whole path."""
    kind = name.partition(":")[0]
    if kind in LOADERS:
        return name
    return str(Path(name).expanduser().resolve()) if _is_folder(name) else name


def is_fetched(name: str) -> bool:
    """Tell whether this model must be downloaded before loading. Looks at files only."""
    kind, _, rest = name.partition(":")
    for card in available_models():
        if card.name == name:
            return not card.present
    return kind in {"open_clip", "clap", "pe_av"} and not os.path.exists(os.path.expanduser(rest))  # noqa: PTH110, PTH111 - raise nothing


def _is_folder(name: str) -> bool:
    """Tell whether a name means a path: it looks like one, or such a folder exists."""
    separators = {os.sep, os.altsep or os.sep}
    looks = any(mark in name for mark in separators) or name.startswith(("~", "."))
    return looks or os.path.isdir(name)  # noqa: PTH112 - raises nothing


def _unknown(name: str) -> str:
    known = [card.name for card in available_models()]
    near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.5)
    near = near or [k for k in known if name.lower() in k.lower()][:3]
    advice = f"did you mean {' or '.join(near)}?" if near else f"choose one of {', '.join(known)}"
    return f"no model {name!r}; {advice} (`seehear models` lists them)"

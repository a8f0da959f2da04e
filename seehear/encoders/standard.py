"""Load models of two encoders, one of images and one of sounds, and a bridge.

`standard` takes Perception Encoder for images and the larger CLAP for sounds, `standard-av` PE-AV
for sounds, and `multilingual` SigLIP 2 for images. They are read from the hub; with a folder after
a colon, from copies of the two repositories in it, named as on the hub without the organisation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from seehear.encoders.base import Encoder
from seehear.encoders.bridge import BridgeProgress, cached_bridge, revision_for
from seehear.encoders.clap import load_clap
from seehear.encoders.composite import CompositeModel
from seehear.encoders.model_cards import (
    CLAP_LARGER,
    MULTILINGUAL,
    PE_AV_SMALL,
    PE_CORE_B,
    SIGLIP2_B_256,
    STANDARD,
    STANDARD_AV,
    ModelCard,
)
from seehear.encoders.open_clip import load_open_clip
from seehear.encoders.pe_av import load_pe_av
from seehear.hub import HubModel, unavailable

VISION_FOLDER = "PE-Core-B-16"
MULTILINGUAL_FOLDER = "ViT-B-16-SigLIP2-256"
AUDIO_FOLDER = "larger_clap_general"
LIGHTER_AUDIO_FOLDER = "clap-htsat-unfused"
AV_FOLDER = "pe-av-small"


@dataclass(frozen=True, slots=True)
class _Pair:
    """The two encoders of a model: their cards, and the names of their folders."""

    card: ModelCard
    vision: ModelCard
    vision_folder: str
    audio: ModelCard
    audio_folders: tuple[str, ...]
    load_audio: Callable[[str, str], Encoder]


_CLAP_FOLDERS = (AUDIO_FOLDER, LIGHTER_AUDIO_FOLDER)
_PAIRS = {
    pair.card.name: pair
    for pair in (
        _Pair(STANDARD, PE_CORE_B, VISION_FOLDER, CLAP_LARGER, _CLAP_FOLDERS, load_clap),
        _Pair(STANDARD_AV, PE_CORE_B, VISION_FOLDER, PE_AV_SMALL, (AV_FOLDER,), load_pe_av),
        _Pair(
            MULTILINGUAL, SIGLIP2_B_256, MULTILINGUAL_FOLDER, CLAP_LARGER, _CLAP_FOLDERS, load_clap
        ),
    )
}


def load_pair(
    name: str,
    device: str = "auto",
    *,
    bridges: Path | None = None,
    progress: BridgeProgress | None = None,
) -> CompositeModel:
    """Load `standard`, `standard-av` or `multilingual`, each also with `:<folder>`.

    `bridges` is the folder for the fitted bridge (None: the per-user cache folder). Fitting it
    takes minutes on a CPU, once, when the first sound is encoded, and reports to `progress`.
    Raises UnknownModelError, ModelUnavailableError or ModelIntegrityError.
    """
    kind, _, rest = name.partition(":")
    pair = _PAIRS[kind]
    card = pair.card
    if not rest:
        hub = HubModel(card.name, card.size_bytes, card.license, f"{card.name}:FOLDER")
        for file in card.weights:  # so that an error about a missing file names this model
            hub.file(file)
        vision_name = pair.vision.name.partition(":")[2]
        audio_name = pair.audio.name.partition(":")[2]
    else:
        folder = Path(rest).expanduser().resolve()
        name = f"{card.name}:{folder}"
        vision_name = _copy_in(folder, (pair.vision_folder,), name, card)
        audio_name = _copy_in(folder, pair.audio_folders, name, card)
    vision, audio = load_open_clip(vision_name, device), pair.load_audio(audio_name, device)
    return CompositeModel(
        name,
        vision,
        audio,
        lambda: cached_bridge(audio, vision, bridges, progress=progress),
        revision_for(None),
    )


def _copy_in(folder: Path, names: tuple[str, ...], model: str, card: ModelCard) -> str:
    """Return the first of these folders that is there. Raises ModelUnavailableError."""
    for name in names:
        if (folder / name).is_dir():
            return str(folder / name)
    raise unavailable(
        model,
        card.size_bytes,
        card.license,
        f"{card.name}:FOLDER",
        f"the folder holds no copy of {' or '.join(names)}",
    )

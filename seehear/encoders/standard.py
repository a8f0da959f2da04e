"""Load `standard` and `multilingual`: two encoders of images and of sounds, and a bridge.

The images are those of Perception Encoder (`standard`) or SigLIP 2 (`multilingual`), the sounds
those of CLAP. Both are read from the hub; `standard:<folder>` and `multilingual:<folder>` read them
from a folder with copies of the two repositories, named as on the hub: `PE-Core-B-16` or
`ViT-B-16-SigLIP2-256`, and `clap-htsat-unfused`.
"""

from __future__ import annotations

from pathlib import Path

from seehear.encoders.bridge import BridgeProgress, cached_bridge, revision_for
from seehear.encoders.clap import load_clap
from seehear.encoders.composite import CompositeModel
from seehear.encoders.model_cards import (
    CLAP_UNFUSED,
    MULTILINGUAL,
    PE_CORE_B,
    SIGLIP2_B_256,
    STANDARD,
    ModelCard,
)
from seehear.encoders.open_clip import load_open_clip
from seehear.hub import HubModel, unavailable

VISION_FOLDER = "PE-Core-B-16"
MULTILINGUAL_FOLDER = "ViT-B-16-SigLIP2-256"
AUDIO_FOLDER = "clap-htsat-unfused"


def load_standard(
    folder: Path | None = None,
    device: str = "auto",
    *,
    bridges: Path | None = None,
    progress: BridgeProgress | None = None,
) -> CompositeModel:
    """Load `standard` from the hub, or from copies on disk.

    `bridges` is the folder for the fitted bridge (None: the per-user cache folder). Fitting it
    takes minutes on a CPU, once, when the first sound is encoded, and reports to `progress`.
    Raises UnknownModelError, ModelUnavailableError or ModelIntegrityError.
    """
    return _load(STANDARD, PE_CORE_B, VISION_FOLDER, folder, device, bridges, progress)


def load_multilingual(
    folder: Path | None = None,
    device: str = "auto",
    *,
    bridges: Path | None = None,
    progress: BridgeProgress | None = None,
) -> CompositeModel:
    """Load `multilingual` as `load_standard` loads `standard`."""
    return _load(
        MULTILINGUAL, SIGLIP2_B_256, MULTILINGUAL_FOLDER, folder, device, bridges, progress
    )


def _load(
    card: ModelCard,
    vision_card: ModelCard,
    vision_folder: str,
    folder: Path | None,
    device: str,
    bridges: Path | None,
    progress: BridgeProgress | None,
) -> CompositeModel:
    if folder is None:
        hub = HubModel(card.name, card.size_bytes, card.license, f"{card.name}:FOLDER")
        for file in card.weights:  # so that an error about a missing file names this model
            hub.file(file)
        vision_name = vision_card.name.partition(":")[2]
        audio_name = CLAP_UNFUSED.name.partition(":")[2]
        name = card.name
    else:
        folder = folder.expanduser().resolve()
        name = f"{card.name}:{folder}"
        for part in (vision_folder, AUDIO_FOLDER):
            if not (folder / part).is_dir():
                raise unavailable(
                    name,
                    card.size_bytes,
                    card.license,
                    f"{card.name}:FOLDER",
                    f"the folder holds no copy of {part}",
                )
        vision_name, audio_name = str(folder / vision_folder), str(folder / AUDIO_FOLDER)
    vision, audio = load_open_clip(vision_name, device), load_clap(audio_name, device)
    return CompositeModel(
        name,
        vision,
        audio,
        lambda: cached_bridge(audio, vision, bridges, progress=progress),
        revision_for(None),
    )

"""Load the model `standard`: Perception Encoder for images, CLAP for sounds, and a bridge.

`standard` reads both from the hub at their pinned revisions; `standard:<folder>` reads them from a
folder with copies of the two repositories, `PE-Core-B-16` and `clap-htsat-unfused`.
"""

from __future__ import annotations

from pathlib import Path

from seehear.encoders.bridge import BridgeProgress, cached_bridge, revision_for
from seehear.encoders.clap import load_clap
from seehear.encoders.composite import CompositeModel
from seehear.encoders.hub import HubModel, unavailable
from seehear.encoders.model_cards import CLAP_UNFUSED, PE_CORE_B, STANDARD
from seehear.encoders.open_clip import load_open_clip

VISION_FOLDER = "PE-Core-B-16"
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
    if folder is None:
        hub = HubModel(
            STANDARD.name, STANDARD.size_bytes, STANDARD.license, f"{STANDARD.name}:FOLDER"
        )
        for file in STANDARD.weights:  # so that an error about a missing file names `standard`
            hub.file(file)
        vision_name = PE_CORE_B.name.partition(":")[2]
        audio_name = CLAP_UNFUSED.name.partition(":")[2]
        name = STANDARD.name
    else:
        folder = folder.expanduser().resolve()
        for part in (VISION_FOLDER, AUDIO_FOLDER):
            if not (folder / part).is_dir():
                raise unavailable(
                    f"{STANDARD.name}:{folder}",
                    STANDARD.size_bytes,
                    STANDARD.license,
                    f"{STANDARD.name}:FOLDER",
                    f"the folder holds no copy of {part}",
                )
        vision_name, audio_name = str(folder / VISION_FOLDER), str(folder / AUDIO_FOLDER)
        name = f"{STANDARD.name}:{folder}"
    vision, audio = load_open_clip(vision_name, device), load_clap(audio_name, device)
    return CompositeModel(
        name,
        vision,
        audio,
        lambda: cached_bridge(audio, vision, bridges, progress=progress),
        revision_for(None),
    )

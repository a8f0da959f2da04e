"""Describe each model before it is loaded: licence, size, pinned revision, presence.

Licences and revisions are those of the model cards on the hub. `tiny` has its own card beside its
weights.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from seehear.hub import HubFile
from seehear.types import Modality

TEXT_AND_IMAGES = frozenset({Modality.TEXT, Modality.IMAGE, Modality.VIDEO})
TEXT_AND_AUDIO = frozenset({Modality.TEXT, Modality.AUDIO})
TEXT_AUDIO_VIDEO = TEXT_AND_AUDIO | {Modality.VIDEO}
EVERYTHING = frozenset(Modality)

TINY_FOLDER = Path(__file__).parent.parent / "models" / "tiny"


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One row of `seehear models`."""

    name: str
    summary: str
    license: str
    size_bytes: int
    """Size of the weights as downloaded."""
    modalities: frozenset[Modality]
    loaded_bytes: int = 0
    """Size of the weights in memory, in float32, where they are stored in half precision."""
    multiplications: float = 0.0
    """Multiplications with additions that one image takes; 0 where it is not known."""
    languages: str = "English"
    """The language of texts that it reads, or "many"."""
    present: bool = False
    """True if it loads without a network: bundled, or in the hub's cache."""
    weights: tuple[HubFile, ...] = ()
    """The files that define the model, the weights first; empty for a bundled model."""


PE_CORE_B = ModelCard(
    name="open_clip:PE-Core-B-16/meta",
    summary="Perception Encoder base: text, photos and video",
    license="Apache-2.0",
    size_bytes=1_791_000_000,
    modalities=TEXT_AND_IMAGES,
    multiplications=17.5e9,
    weights=(
        HubFile(
            "timm/PE-Core-B-16",
            "open_clip_model.safetensors",
            "0038414f37721c5eafc1a5e0da802d291c909de3",
        ),
    ),
)
SIGLIP2_B = ModelCard(
    name="open_clip:ViT-B-16-SigLIP2/webli",
    summary="SigLIP 2 base: text in many languages, photos and video",
    license="Apache-2.0",
    size_bytes=1_501_000_000,
    modalities=TEXT_AND_IMAGES,
    multiplications=17.5e9,
    languages="many",
    weights=(
        HubFile(
            "timm/ViT-B-16-SigLIP2",
            "open_clip_model.safetensors",
            "eee10eff6dd8cabae2d7f379d4e8cfcd352030aa",
        ),
    ),
)
SIGLIP2_B_256 = ModelCard(
    name="open_clip:ViT-B-16-SigLIP2-256/webli",
    summary="SigLIP 2 base for images of 256 pixels: text in many languages, photos and video",
    license="Apache-2.0",
    size_bytes=1_501_000_000,
    modalities=TEXT_AND_IMAGES,
    multiplications=23e9,
    languages="many",
    # Not pinned: the first download is kept, and its commit is part of the model's revision.
    weights=(HubFile("timm/ViT-B-16-SigLIP2-256", "open_clip_model.safetensors", "main"),),
)
CLIP_B32 = ModelCard(
    name="open_clip:ViT-B-32/laion2b_s34b_b79k",
    summary="CLIP trained on LAION-2B, the smaller one: text, photos and video",
    license="MIT",
    size_bytes=605_000_000,
    modalities=TEXT_AND_IMAGES,
    weights=(
        HubFile(
            "laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
            "open_clip_model.safetensors",
            "1a25a446712ba5ee05982a381eed697ef9b435cf",
        ),
    ),
)
CLAP_UNFUSED = ModelCard(
    name="clap:laion/clap-htsat-unfused",
    summary="CLAP with an HTSAT audio tower: text and sounds",
    license="Apache-2.0",
    size_bytes=614_000_000,
    modalities=TEXT_AND_AUDIO,
    weights=(
        # The same weights as in the main branch, which has them only as a pickle.
        HubFile(
            "laion/clap-htsat-unfused",
            "model.safetensors",
            "79b58ed25fc00386262a2bea4b19fd21dc4310a0",
        ),
        HubFile(
            "laion/clap-htsat-unfused",
            "config.json",
            "8fa0f1c6d0433df6e97c127f64b2a1d6c0dcda8a",
        ),
    ),
)
CLAP_LARGER = ModelCard(
    name="clap:laion/larger_clap_general",
    summary="the larger CLAP, for sounds of all kinds: text and sounds",
    license="Apache-2.0",
    size_bytes=776_000_000,
    modalities=TEXT_AND_AUDIO,
    weights=(
        # The same weights as in the main branch, which has them only as a pickle.
        HubFile(
            "laion/larger_clap_general",
            "model.safetensors",
            "16c8cc3159a3c8a31e8ff5ef1f66b0d9ab3667db",
        ),
        HubFile(
            "laion/larger_clap_general",
            "config.json",
            "ada0c23a36c4e8582805bb38fec3905903f18b41",
        ),
    ),
)
PE_AV_SMALL = ModelCard(
    name="pe_av:facebook/pe-av-small",
    summary="Perception Encoder for sound and video: sounds by text or by video",
    license="Apache-2.0",
    # That of the file of pe-av-small-16-frame, a model of the same parts.
    size_bytes=3_388_000_000,
    modalities=TEXT_AUDIO_VIDEO,
    weights=tuple(
        HubFile("facebook/pe-av-small", name, "dd050762bb9704ae9cd996ca45532a98f81d817e")
        for name in ("model.safetensors", "config.json")
    ),
)
STANDARD = ModelCard(
    name="standard",
    summary="Perception Encoder base and CLAP together: text, photos, sounds and video",
    license="Apache-2.0",
    size_bytes=PE_CORE_B.size_bytes + CLAP_LARGER.size_bytes,
    modalities=EVERYTHING,
    multiplications=PE_CORE_B.multiplications,
    weights=PE_CORE_B.weights + CLAP_LARGER.weights,
)
STANDARD_AV = ModelCard(
    name="standard-av",
    summary="as standard, with another Perception Encoder for sounds: finds more of them by text, "
    "and sounds by video; slow without a GPU",
    license="Apache-2.0",
    size_bytes=PE_CORE_B.size_bytes + PE_AV_SMALL.size_bytes,
    modalities=EVERYTHING,
    multiplications=PE_CORE_B.multiplications,
    weights=PE_CORE_B.weights + PE_AV_SMALL.weights,
)
MULTILINGUAL = ModelCard(
    name="multilingual",
    summary="SigLIP 2 and CLAP together: text in many languages, photos and video; sounds by "
    "English text",
    license="Apache-2.0",
    size_bytes=SIGLIP2_B_256.size_bytes + CLAP_LARGER.size_bytes,
    modalities=EVERYTHING,
    multiplications=SIGLIP2_B_256.multiplications,
    languages="many",
    weights=SIGLIP2_B_256.weights + CLAP_LARGER.weights,
)
OMNI = ModelCard(
    name="omni",
    summary="EmbeddingGemma 2: text in many languages, photos, sounds and video in one space; "
    "finds sounds by words of these languages; slow without a GPU",
    license="Apache-2.0",
    size_bytes=1_489_000_000,
    loaded_bytes=2_978_000_000,
    modalities=EVERYTHING,
    multiplications=470e9,
    languages="many",
    weights=tuple(
        HubFile("google/embeddinggemma-2", name, "914f7f89142e33e77833254d9c9b90c3cef7303b")
        for name in ("model.safetensors", "config.json")
    ),
)

HUB_CARDS = (
    STANDARD,
    STANDARD_AV,
    MULTILINGUAL,
    OMNI,
    PE_CORE_B,
    PE_AV_SMALL,
    CLAP_LARGER,
    CLAP_UNFUSED,
    CLIP_B32,
    SIGLIP2_B,
    SIGLIP2_B_256,
)


def tiny_card() -> ModelCard:
    """Return the card of the bundled model; its size is that of its files."""
    files = [file for file in TINY_FOLDER.glob("*") if file.is_file()]
    return ModelCard(
        name="tiny",
        summary="bundled, small and fast: text, photos, sounds and video",
        # Some of its training data are for research and non-commercial use only; its card lists
        # each data set.
        license="non-commercial (its data)",
        size_bytes=sum(file.stat().st_size for file in files),
        modalities=EVERYTHING,
        # Twice its 0.4 billion: in its many narrow layers half of the time is not spent on these.
        multiplications=0.8e9,
        present=any(file.name == "manifest.json" for file in files),
    )


def known_cards() -> list[ModelCard]:
    """Return every model that seehear knows by name, and whether it is on this machine.

    Looks at files only: imports no torch and uses no network.
    """
    return [tiny_card(), *(replace(card, present=_cached(card)) for card in HUB_CARDS)]


def _cached(card: ModelCard) -> bool:
    from huggingface_hub import try_to_load_from_cache

    return all(
        isinstance(try_to_load_from_cache(file.repo, file.name, revision=file.revision), str)
        for file in card.weights
    )

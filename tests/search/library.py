"""A collection of made-up media for tests, filled without files or decoders."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from seehear.encoders.base import Model, SingleSpaceModel
from seehear.encoders.fake import FakeEncoder, image, tone, video
from seehear.media.fingerprints import Fingerprinter
from seehear.search import Engine
from seehear.stores import Catalog, VectorCache
from seehear.types import (
    AudioSample,
    EmbeddingSpace,
    Hit,
    ImageSample,
    MediaInfo,
    Modality,
    Query,
    QueryPart,
    Sample,
    Segment,
    Vectors,
    modality_of,
)
from tests.stores.one_by_one import put_asset, put_encoding

SUFFIXES = {
    Modality.TEXT: ".txt",
    Modality.IMAGE: ".jpg",
    Modality.AUDIO: ".wav",
    Modality.VIDEO: ".mp4",
}
Timed = tuple[float | None, float | None, Sample]


class Library:
    """A catalog under `folder`, its engine, and ways to add to it."""

    def __init__(self, folder: Path, model: Model | None = None) -> None:
        self.media = folder / "media"
        self.model = model or SingleSpaceModel("fake", FakeEncoder())
        self.catalog = Catalog.open(folder / "collection")
        self.root = self.catalog.locations.add_root(self.media)
        spaces: list[EmbeddingSpace] = []
        for modality in Modality:
            spaces += [s for s in self.model.spaces_of(modality) if s not in spaces]
        generation = self.catalog.generations.create(self.model.name, self.model.revision, spaces)
        self.catalog.generations.promote(generation.id)
        serving = self.catalog.generations.serving()
        assert serving is not None
        self.generation = serving
        self.cache = VectorCache(folder / "collection", self.catalog, self.generation)
        self.engine = Engine(self.catalog, self.cache, self.model)

    def add(
        self,
        name: str,
        *samples: Timed | Sample | Segment,
        modality: Modality | None = None,
        duration_s: float | None = None,
        taken_at: datetime | None = None,
        size_bytes: int = 1000,
        content: str | None = None,
        **details: str | float,
    ) -> int:
        """One file with its segments; returns the asset's id. `content` tells contents apart."""
        timed = [_timed(s) for s in samples]
        segments = [
            given
            if isinstance(given, Segment)
            else Segment(modality_of(s), start, stop, s if isinstance(s, str) else None)
            for given, (start, stop, s) in zip(samples, timed, strict=True)
        ]
        modality = modality or segments[0].modality
        stops = [stop for _, stop, _ in timed if stop is not None]
        info = MediaInfo(
            modality,
            SUFFIXES[modality][1:],
            width_px=640 if modality in (Modality.IMAGE, Modality.VIDEO) else None,
            height_px=480 if modality in (Modality.IMAGE, Modality.VIDEO) else None,
            duration_s=duration_s or (max(stops) if stops else None),
            taken_at=taken_at,
            details=details,
        )
        digest = hashlib.sha256((content or name).encode()).hexdigest()
        path = self.media / name
        with self.catalog.batch() as batch:
            asset = put_asset(batch, digest, size_bytes, info)
            batch.put_location(self.root.id, path, asset.id, size_bytes, 10**18, asset.id)
            vectors = self._encoded([s for _, _, s in timed])
            put_encoding(batch, self.generation.id, asset.id, segments, vectors)
            batch.put_fingerprints({asset.id: fingerprint(*timed)})
        return asset.id

    def keep_calibration(self, engine: Engine | None = None) -> None:
        """Keep what an index run keeps for searches."""
        blobs = (engine or self.engine).missing_calibration()
        self.catalog.generations.put_blobs(self.generation.id, blobs)

    def _encoded(
        self, samples: Sequence[Sample]
    ) -> dict[EmbeddingSpace, tuple[list[int], Vectors]]:
        rows: dict[EmbeddingSpace, list[tuple[int, np.ndarray]]] = {}
        for position, sample in enumerate(samples):
            kind = modality_of(sample)
            for space, vectors in self.model.encode(kind, [sample]).items():
                if np.any(vectors[0]):
                    rows.setdefault(space, []).append((position, vectors[0]))
        return {
            space: ([p for p, _ in pairs], np.stack([v for _, v in pairs]))
            for space, pairs in rows.items()
        }

    def search(self, *parts: Sample | QueryPart, **options: object) -> list[Hit]:
        """Search for samples, each a part of its own, or for parts."""
        made = tuple(
            part if isinstance(part, QueryPart) else QueryPart((part,), label=_label(part))
            for part in parts
        )
        return self.engine.search(Query(made, **options))  # type: ignore[arg-type]


def _timed(given: Timed | Sample | Segment) -> Timed:
    if isinstance(given, Segment):
        return given.start_s, given.stop_s, given.text or ""
    return given if isinstance(given, tuple) else (None, None, given)


def fingerprint(*timed: Timed) -> bytes:
    """What the decoder of a file with these samples would make."""
    made = Fingerprinter()
    for start, _, sample in timed:
        if isinstance(sample, ImageSample):
            made.image(sample.pixels)
        elif isinstance(sample, AudioSample):
            list(made.audio(iter([(0, sample.waveform)]), sample.sample_rate_hz))
        elif isinstance(sample, str):
            made.text(sample)
        else:
            for number, frame in enumerate(sample.frames):
                made.frame((start or 0.0) + number, frame.pixels)
    return made.data()


def scene(seed: int, px: int = 96) -> ImageSample:
    """A picture with structure, different for each seed, that can be drawn in any size."""
    waves = np.random.default_rng(seed).normal(size=(3, 6, 6))
    across = np.cos(np.pi * np.outer(np.arange(6), (np.arange(px) + 0.5) / px))
    planes = np.einsum("cij,iy,jx->yxc", waves, across, across)
    return ImageSample((128 + 30 * planes).clip(0, 255).astype(np.uint8))


def recording(seed: int, duration_s: float = 6.0, rate_hz: int = 16_000) -> AudioSample:
    """A sound of short notes, different for each seed."""
    rng, count = np.random.default_rng(seed), round(4 * duration_s)
    times = np.arange(round(duration_s * rate_hz)) / rate_hz
    wave = 0.001 * rng.standard_normal(len(times))
    for start, hertz, loud in zip(
        duration_s * rng.random(count), rng.uniform(150, 3500, count),
        rng.uniform(0.02, 0.2, count),
        strict=True,
    ):  # fmt: skip
        at = round(start * rate_hz)
        since = times[: min(len(times) - at, 3 * rate_hz)]  # then it has died away
        wave[at : at + len(since)] += loud * np.sin(2 * np.pi * hertz * since) * np.exp(-6 * since)
    return AudioSample(wave.clip(-1, 1).astype(np.float32), rate_hz)


def _label(sample: Sample) -> str:
    return sample if isinstance(sample, str) else str(modality_of(sample))


def names(hits: Sequence[Hit]) -> list[str]:
    return [hit.path.name for hit in hits]


def noisy(image: ImageSample, seed: int, amount: int = 12) -> ImageSample:
    """The same picture with different grain, as another shot of the same thing would have."""
    rng = np.random.default_rng(seed)
    grain = rng.integers(-amount, amount + 1, image.pixels.shape)
    return ImageSample((image.pixels.astype(int) + grain).clip(0, 255).astype(np.uint8))


def mixed(*concepts: str, duration_s: float = 2.0) -> AudioSample:
    """Several tones at once."""
    waves = [tone(name, duration_s).waveform for name in concepts]
    return AudioSample((sum(waves) / len(waves)).astype(np.float32), 16_000)  # type: ignore[union-attr]


def demo(folder: Path) -> Library:
    """Six concepts in all four modalities: "<concept>.jpg", ".wav", ".mp4", ".txt"."""
    library = Library(folder)
    for number, name in enumerate(("red", "green", "blue", "yellow", "purple", "white")):
        library.add(f"{name}.jpg", noisy(image(name), number), content=f"picture {name}")
        library.add(
            f"{name}.wav",
            (0.0, 2.0, tone(name, 2.0)),
            (1.0, 3.0, tone(name, 2.0)),
            content=f"sound {name}",
        )
        library.add(
            f"{name}.mp4",
            (0.0, 3.0, video(name)),
            (3.0, 6.0, video("grey")),
            (0.0, 2.0, tone(name, 2.0)),
            (4.0, 6.0, tone("grey", 2.0)),
            modality=Modality.VIDEO,
            content=f"clip {name}",
        )
        library.add(f"{name}.txt", f"notes about {name}", content=f"text {name}")
    return library

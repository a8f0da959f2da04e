"""Encode text and sound with CLAP models that the transformers library reads.

`clap:<hub id>[@<revision>]` reads the model from the hub, `clap:<folder>` a copy on disk; see
transformers_source.py.

Sound is turned into features by a faster copy of the library's feature extractor (the library
transforms frame by frame in Python); tests compare the two. The library draws at random where the
copy does not, because the same sound must always give the same vector: a window longer than the
model's input is cut in the middle, and a model with feature fusion treats no window as long.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seehear.encoders.autotune import AutotunedModule
from seehear.encoders.devices import choose_device
from seehear.encoders.model_cards import CLAP_LARGER, CLAP_UNFUSED, TEXT_AND_AUDIO
from seehear.encoders.torch_tools import (
    audible,
    check_samples,
    encode_parts,
    encode_texts,
    half_precision,
    scatter,
    to_device,
    vectors_of,
)
from seehear.encoders.transformers_source import Family, Tokens, load_pretrained
from seehear.errors import UnknownModelError
from seehear.types import AudioSample, EmbeddingSpace, Modality, Sample, SampleSpec, Vectors

if TYPE_CHECKING:
    import torch

ENCODING = 1
"""Part of the space's revision: increase it when the same weights begin to give other vectors."""

MAX_BATCH = 32
"""Windows or texts in one forward pass."""

MAX_TOKENS = 512
"""The text tower has no positions for more tokens."""

CLAP = Family(
    kind="clap",
    title="CLAP",
    classes="Clap",
    cards=(CLAP_LARGER, CLAP_UNFUSED),
    extra_files=("vocab.json", "merges.txt"),
)
_BROKEN = "larger_clap_music"
_QUIETEST = 1e-10  # the library's floor, -100 dB


class ClapEncoder:
    """Encode text and sound in the space of one CLAP model."""

    def __init__(
        self, space: EmbeddingSpace, *, model: Any, processor: Any, device: torch.device
    ) -> None:
        self.space = space
        self.modalities = TEXT_AND_AUDIO
        self.device = device
        self._model = model
        self._hear = AutotunedModule(audio_tower(model), f"{space.key} sounds", device)
        self._text_tower = text_tower(model)
        self.features = ClapFeatures.of(processor.feature_extractor)
        window_s = self.features.longest / self.features.sample_rate_hz
        self.spec = SampleSpec(
            sample_rate_hz=self.features.sample_rate_hz, window_s=window_s, hop_s=window_s / 2
        )
        positions = model.config.text_config.max_position_embeddings
        # RoBERTa numbers positions from the one after its padding token.
        longest = min(MAX_TOKENS, positions - model.config.text_config.pad_token_id - 1)
        self._tokens = Tokens(processor.tokenizer, longest)

    def encode(self, modality: Modality, samples: Sequence[Sample]) -> Vectors:
        """Embed samples of one modality: float32 (n, dim), L2-normalised, in order.

        Raises UsageError for another modality or sample rate.
        """
        check_samples(self.space.name, self.modalities, modality, samples)
        if modality is Modality.TEXT:
            texts = [s for s in samples if isinstance(s, str)]
            return encode_texts(texts, MAX_BATCH, self.space.dim, self._read)
        return self._audio([s for s in samples if isinstance(s, AudioSample)])

    def _read(self, texts: list[str]) -> Vectors:
        return self._forward(self._text_tower, *self._tokens(texts))

    def _audio(self, audio: Sequence[AudioSample]) -> Vectors:
        import torch

        present = audible(self.space.name, self.spec.sample_rate_hz, audio)

        def encode(batch: Sequence[int]) -> Vectors:
            features = np.stack([self.features(audio[position].waveform) for position in batch])
            long = torch.zeros((len(batch), 1), dtype=torch.bool)
            return self._forward(self._hear, torch.from_numpy(features), long)

        rows = encode_parts(present, MAX_BATCH, self.device, encode)
        return scatter(present, rows, len(audio), self.space.dim)

    def _forward(self, tower: Callable[..., torch.Tensor], *batch: torch.Tensor) -> Vectors:
        import torch

        with torch.inference_mode(), half_precision(self.device):
            return vectors_of(tower(*(to_device(part, self.device) for part in batch)))


def audio_tower(model: Any) -> torch.nn.Module:
    """Make one module of a CLAP's sound side: features and whether they are long, to rows."""
    from torch import nn

    class SoundTower(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tower = model.audio_model
            self.projection = model.audio_projection

        def forward(self, features: torch.Tensor, long: torch.Tensor) -> torch.Tensor:
            heard = self.tower(input_features=features, is_longer=long)
            rows: torch.Tensor = self.projection(heard.pooler_output)
            return rows

    return SoundTower().eval()


def text_tower(model: Any) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Make a function of a CLAP's text side: tokens and their mask, to rows."""

    def read(pieces: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        rows: torch.Tensor = model.get_text_features(
            input_ids=pieces, attention_mask=mask
        ).pooler_output
        return rows

    return read


@dataclass(frozen=True, slots=True)
class ClapFeatures:
    """Turn a waveform into log-mel features, as transformers' ClapFeatureExtractor does."""

    sample_rate_hz: int
    longest: int
    """Most samples in the model's input."""
    hop: int
    window: NDArray[np.float64]
    mel: NDArray[np.float64]
    """float64 (frequency bins, mel bands)."""
    padding: str
    copies: int
    """4 for models with feature fusion, which take a window four times; 1 for the others."""

    @classmethod
    def of(cls, extractor: Any) -> ClapFeatures:
        """Copy the settings of the library's feature extractor."""
        fusion = extractor.truncation == "fusion"
        length = extractor.fft_window_size
        return cls(
            sample_rate_hz=extractor.sampling_rate,
            longest=extractor.nb_max_samples,
            hop=extractor.hop_length,
            window=np.hanning(length + 1)[:-1],
            mel=extractor.mel_filters if fusion else extractor.mel_filters_slaney,
            padding=extractor.padding,
            copies=4 if fusion else 1,
        )

    def __call__(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn float32 (samples,), at least one, into float32 (copies, frames, mel bands) in dB."""
        wave = np.pad(self._fitted(waveform).astype(np.float64), len(self.window) // 2, "reflect")
        frames = np.lib.stride_tricks.sliding_window_view(wave, len(self.window))[:: self.hop]
        spectrum = np.fft.rfft(frames * self.window).astype(np.complex64)
        power = np.abs(spectrum).astype(np.float64) ** 2
        bands = 10.0 * np.log10(np.maximum(power @ self.mel, _QUIETEST))
        return np.repeat(bands.astype(np.float32)[None], self.copies, axis=0)

    def _fitted(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return exactly the input length: cut in the middle, repeated or padded."""
        spare = len(waveform) - self.longest
        if spare >= 0:
            return waveform[spare // 2 : spare // 2 + self.longest]
        times = self.longest // len(waveform)
        if self.padding == "repeat":
            return np.tile(waveform, times + 1)[: self.longest]
        if self.padding == "repeatpad":
            waveform = np.tile(waveform, times)
        return np.pad(waveform, (0, self.longest - len(waveform)))


def load_clap(name: str, device: str = "auto") -> ClapEncoder:
    """Load the encoder with `name`, the part after `clap:`.

    Raises UnknownModelError, ModelUnavailableError or ModelIntegrityError.
    """
    chosen = choose_device(device)
    if Path(name.partition("@")[0]).name.lower() == _BROKEN:
        raise UnknownModelError(
            f"the model clap:{name} is refused: the projection of its texts is broken, so words "
            f"find no sounds with it; take {CLAP_LARGER.name}, or for music "
            f"clap:laion/{_BROKEN}_and_speech"
        )
    found = load_pretrained(CLAP, name)
    revision = f"{found.revision}-{ENCODING}"
    space = EmbeddingSpace(found.name, revision, found.config.projection_dim)
    model = found.model.to(chosen)
    return ClapEncoder(space, model=model, processor=found.processor, device=chosen)

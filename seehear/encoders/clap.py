"""Encode text and sound with CLAP models that the transformers library reads.

`clap:<hub id>[@<revision>]` reads the model from the hub, pinned for the one in model_cards.py; for
others the cached copy, else the main branch at the time of fetching. `clap:<folder>` reads a copy
on disk.

Sound is turned into features by a faster copy of the library's feature extractor (the library
transforms frame by frame in Python); tests compare the two. The library draws at random where the
copy does not, because the same sound must always give the same vector: a window longer than the
model's input is cut in the middle, and a model with feature fusion treats no window as long.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seehear.encoders.autotune import AutotunedModule
from seehear.encoders.devices import choose_device
from seehear.encoders.model_cards import CLAP_UNFUSED, TEXT_AND_AUDIO
from seehear.encoders.torch_tools import (
    check_samples,
    chunks,
    half_precision,
    quiet_libraries,
    scatter,
    to_device,
    vectors_of,
    weight_errors,
)
from seehear.errors import ModelIntegrityError, UnknownModelError, UsageError
from seehear.hub import HubFile, HubModel, check_folder, revision_of, unavailable
from seehear.silence import is_silent
from seehear.types import AudioSample, EmbeddingSpace, Modality, Sample, SampleSpec, Vectors

if TYPE_CHECKING:
    import torch

ENCODING = 1
"""Part of the space's revision: increase it when the same weights begin to give other vectors."""

MAX_BATCH = 32
"""Windows or texts in one forward pass."""

MAX_TOKENS = 512
"""The text tower has no positions for more tokens."""

_WEIGHT_NAMES = ("model.safetensors", "pytorch_model.bin")
_NEEDED_FILES = (
    ("preprocessor_config.json", "processor_config.json"),
    ("tokenizer.json", "vocab.json"),
)
_EXTRA_FILES = ("tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt")
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
        self._tokenizer = processor.tokenizer
        self._tokenizing = threading.Lock()  # fast tokenizers keep padding as state
        self._hear = AutotunedModule(audio_tower(model), f"{space.key} sounds", device)
        self._read = text_tower(model)
        self.features = ClapFeatures.of(processor.feature_extractor)
        window_s = self.features.longest / self.features.sample_rate_hz
        self.spec = SampleSpec(
            sample_rate_hz=self.features.sample_rate_hz, window_s=window_s, hop_s=window_s / 2
        )
        positions = model.config.text_config.max_position_embeddings
        # RoBERTa numbers positions from the one after its padding token.
        self._max_tokens = min(MAX_TOKENS, positions - model.config.text_config.pad_token_id - 1)

    def encode(self, modality: Modality, samples: Sequence[Sample]) -> Vectors:
        """Embed samples of one modality: float32 (n, dim), L2-normalised, in order.

        Raises UsageError for another modality or sample rate.
        """
        check_samples(self.space.name, self.modalities, modality, samples)
        if modality is Modality.TEXT:
            return self._texts([s for s in samples if isinstance(s, str)])
        return self._audio([s for s in samples if isinstance(s, AudioSample)])

    def _texts(self, texts: Sequence[str]) -> Vectors:
        present = [position for position, text in enumerate(texts) if text.strip()]
        rows = []
        for batch in chunks(present, MAX_BATCH):
            with self._tokenizing:
                tokens = self._tokenizer(
                    [texts[position] for position in batch],
                    padding=True,
                    truncation=True,
                    max_length=self._max_tokens,
                    return_tensors="pt",
                )
            rows.append(self._forward(self._read, tokens["input_ids"], tokens["attention_mask"]))
        return scatter(present, rows, len(texts), self.space.dim)

    def _audio(self, audio: Sequence[AudioSample]) -> Vectors:
        import torch

        for sound in audio:
            if sound.sample_rate_hz != self.spec.sample_rate_hz:
                raise UsageError(
                    f"model {self.space.name} takes sound at {self.spec.sample_rate_hz} Hz, "
                    f"not at {sound.sample_rate_hz} Hz"
                )
        present = [
            position
            for position, sound in enumerate(audio)
            if not is_silent(sound.waveform, sound.sample_rate_hz)
        ]
        rows = []
        for batch in chunks(present, MAX_BATCH):
            features = np.stack([self.features(audio[position].waveform) for position in batch])
            long = torch.zeros((len(batch), 1), dtype=torch.bool)
            rows.append(self._forward(self._hear, torch.from_numpy(features), long))
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
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _build(f"clap:{folder.name}", folder, _weights_in(folder), chosen)
    repo, _, revision = name.partition("@")
    if repo.count("/") != 1 or repo.startswith(("/", ".", "~")):
        raise UnknownModelError(
            f"no model clap:{name}: it is not a folder here, and hub models are named "
            "organisation/name, such as clap:laion/clap-htsat-unfused"
        )
    return _build(f"clap:{repo}", *_from_hub(repo, revision), chosen)


def _from_hub(repo: str, revision: str) -> tuple[Path, Path]:
    """Return the folder of the configuration and the file of weights."""
    known = CLAP_UNFUSED if CLAP_UNFUSED.weights[0].repo == repo and not revision else None
    hub = HubModel(
        f"clap:{repo}",
        known.size_bytes if known else None,
        known.license if known else f"as stated at huggingface.co/{repo}",
        "clap:FOLDER",
    )
    at = known.weights[1].revision if known else revision or "main"
    weights = hub.file(known.weights[0]) if known else hub.first_file(repo, _WEIGHT_NAMES, at)
    config = hub.file(HubFile(repo, "config.json", at))
    for either in _NEEDED_FILES:
        hub.first_file(repo, either, at)
    for extra in _EXTRA_FILES:
        hub.extra_file(HubFile(repo, extra, at))
    return config.parent, weights


def _weights_in(folder: Path) -> Path:
    check_folder(folder)
    if not (folder / "config.json").is_file():
        raise UnknownModelError(f"no CLAP model in {folder}: it has no config.json")
    for name in _WEIGHT_NAMES:
        if (folder / name).is_file():
            return folder / name
    raise unavailable(f"clap:{folder}", None, "unknown", "clap:FOLDER", "the folder has no weights")


def _build(name: str, folder: Path, weights: Path, device: torch.device) -> ClapEncoder:
    import torch

    library = _transformers()
    with quiet_libraries(), _quiet_transformers():
        try:
            config = library.ClapConfig.from_pretrained(folder, local_files_only=True)
            processor = library.ClapProcessor.from_pretrained(folder, local_files_only=True)
            model, report = library.ClapModel.from_pretrained(
                weights.parent,
                config=config,
                dtype=torch.float32,
                use_safetensors=weights.suffix == ".safetensors",
                weights_only=True,
                local_files_only=True,
                output_loading_info=True,
            )
        except weight_errors() as error:
            raise ModelIntegrityError(
                f"{weights.parent} does not hold a CLAP model that can be read: "
                f"{' '.join(str(error).split())[:200]}"
            ) from None
    if missing := sorted(report["missing_keys"]):
        raise ModelIntegrityError(
            f"{weights} lacks {len(missing)} tensors of a CLAP model, {missing[0]} among them"
        )
    model.to(device).eval().requires_grad_(False)
    space = EmbeddingSpace(name, f"{revision_of(weights)}-{ENCODING}", config.projection_dim)
    return ClapEncoder(space, model=model, processor=processor, device=device)


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
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()

"""Encode text, sound and video with Perception Encoder Audiovisual (PE-AV).

`pe_av:<hub id>[@<revision>]` reads the model from the hub, `pe_av:<folder>` a copy on disk; see
transformers_source.py.

The model has a head for each pair of modalities. This encoder takes those of the space of sounds:
sounds were trained against texts and against videos there, texts and videos against other heads.
The library pads a batch to its longest sound, which changes the vectors of the shorter ones; here
a batch holds only sounds of equal length, and only shots of equally many frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from seehear.encoders.devices import choose_device
from seehear.encoders.model_cards import PE_AV_SMALL, TEXT_AUDIO_VIDEO
from seehear.encoders.torch_tools import (
    audible,
    batches_alike,
    check_samples,
    encode_batches,
    encode_texts,
    half_precision,
    to_device,
    vectors_of,
)
from seehear.encoders.transformers_source import Family, Tokens, load_pretrained
from seehear.types import (
    AudioSample,
    EmbeddingSpace,
    Modality,
    Sample,
    SampleSpec,
    Vectors,
    VideoSample,
)

if TYPE_CHECKING:
    import torch

ENCODING = 1
"""Part of the space's revision: increase it when the same weights begin to give other vectors."""

WINDOW_S = 10.0

MAX_TEXTS = 32
"""Texts in one forward pass."""
MAX_AUDIO_S = 40
"""Seconds of sound in one forward pass: 10 s take 120 MB in each of the first layers."""
MAX_FRAMES = 32
"""Frames in one forward pass."""
MAX_TOKENS = 512
"""Longer texts are cut."""

PE_AV = Family(
    kind="pe_av",
    title="PE-AV",
    classes="PeAudioVideo",
    cards=(PE_AV_SMALL,),
    extra_files=(
        "preprocessor_config.json",
        "processor_config.json",
        "video_preprocessor_config.json",
    ),
)


class PeAvEncoder:
    """Encode text, sound and video in the space of the sounds of one PE-AV.

    Keeps three towers of the model, and not the one that joins sound with video.
    """

    def __init__(
        self, space: EmbeddingSpace, *, model: Any, processor: Any, device: torch.device
    ) -> None:
        self.space = space
        self.modalities = TEXT_AUDIO_VIDEO
        self.device = device
        self._towers = {
            Modality.TEXT: (model.text_model, model.audio_model.text_audio_head),
            Modality.AUDIO: (model.audio_model.audio_encoder, model.audio_model.audio_head),
            Modality.VIDEO: (model.video_model.video_encoder, model.video_model.video_head),
        }
        for parts in self._towers.values():
            for part in parts:
                part.to(device)
        self._processor = processor
        self._tokens = Tokens(processor.tokenizer, MAX_TOKENS)
        size = processor.video_processor.size
        self.spec = SampleSpec(
            image_px=max(size.height or 0, size.width or 0, size.shortest_edge or 0),
            sample_rate_hz=processor.feature_extractor.sampling_rate,
            window_s=WINDOW_S,
            hop_s=WINDOW_S / 2,
        )

    def encode(self, modality: Modality, samples: Sequence[Sample]) -> Vectors:
        """Embed samples of one modality: float32 (n, dim), L2-normalised, in order.

        Raises UsageError for another modality or sample rate.
        """
        check_samples(self.space.name, self.modalities, modality, samples)
        if modality is Modality.TEXT:
            texts = [s for s in samples if isinstance(s, str)]
            return encode_texts(texts, MAX_TEXTS, self.space.dim, self._read)
        if modality is Modality.AUDIO:
            return self._audio([s for s in samples if isinstance(s, AudioSample)])
        return self._shots([s for s in samples if isinstance(s, VideoSample)])

    def _read(self, texts: list[str]) -> Vectors:
        tokens, mask = self._tokens(texts)
        return self._forward(Modality.TEXT, tokens, attention_mask=mask)

    def _audio(self, audio: Sequence[AudioSample]) -> Vectors:
        extract = self._processor.feature_extractor
        hop: int = extract.hop_length
        rate_hz = self.spec.sample_rate_hz
        present = audible(self.space.name, rate_hz, audio)

        def hops(position: int) -> int:
            return -(-len(audio[position].waveform) // hop)

        def hear(batch: Sequence[int]) -> Vectors:
            waveforms = [audio[position].waveform for position in batch]
            features = extract(waveforms, sampling_rate=rate_hz, return_tensors="pt")
            return self._forward(Modality.AUDIO, features["input_values"])

        batches = batches_alike(present, hops, MAX_AUDIO_S * rate_hz // hop)
        return encode_batches(batches, hear, len(audio), self.space.dim)

    def _shots(self, shots: Sequence[VideoSample]) -> Vectors:
        def see(batch: Sequence[int]) -> Vectors:
            # One by one, because the frames of a shot may differ in size.
            frames = [frame.pixels[None] for position in batch for frame in shots[position].frames]
            pixels = self._processor.video_processor(
                frames,
                do_sample_frames=False,
                input_data_format="channels_last",
                return_tensors="pt",
            )["pixel_values_videos"]
            return self._forward(Modality.VIDEO, pixels.reshape(len(batch), -1, *pixels.shape[2:]))

        positions = range(len(shots))
        batches = batches_alike(positions, lambda n: len(shots[n].frames), MAX_FRAMES)
        return encode_batches(batches, see, len(shots), self.space.dim)

    def _forward(self, modality: Modality, batch: torch.Tensor, **more: torch.Tensor) -> Vectors:
        import torch

        tower, head = self._towers[modality]
        with torch.inference_mode(), half_precision(self.device):
            more = {name: to_device(part, self.device) for name, part in more.items()}
            found = tower(to_device(batch, self.device), **more)
            # Texts are read at their first token, as the library's `forward` does; its own
            # `get_text_audio_embeds` fails in transformers 5.24.
            is_text = modality is Modality.TEXT
            pooled = found.last_hidden_state[:, 0] if is_text else found.pooler_output
            return vectors_of(head(pooled))


def load_pe_av(name: str, device: str = "auto") -> PeAvEncoder:
    """Load the encoder with `name`, the part after `pe_av:`.

    Raises UnknownModelError, ModelUnavailableError or ModelIntegrityError.
    """
    chosen = choose_device(device)
    found = load_pretrained(PE_AV, name)
    revision = f"{found.revision}-{ENCODING}"
    space = EmbeddingSpace(found.name, revision, found.config.text_config.hidden_size)
    return PeAvEncoder(space, model=found.model, processor=found.processor, device=chosen)

"""Encode text, images, sound and video with EmbeddingGemma 2: the model `omni`.

`omni` reads the pinned model from the hub, `omni:<folder>` a copy on disk; see
transformers_source.py.

One tower reads texts in more than a hundred languages, and images, sounds and frames as soft
tokens among their words. The vector is the mean over all tokens. Every text gets the prompt that
the model was trained with for queries, because a text may be a question or be found by one; images,
sounds and videos get none.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seehear.encoders.devices import choose_device
from seehear.encoders.model_cards import EVERYTHING, OMNI
from seehear.encoders.torch_tools import (
    audible,
    batches_alike,
    check_samples,
    chunks,
    encode_batches,
    encode_texts,
    half_precision,
    to_device,
    vectors_of,
)
from seehear.encoders.transformers_source import Family, Tokens, load_pretrained
from seehear.errors import ModelIntegrityError
from seehear.types import (
    AudioSample,
    EmbeddingSpace,
    ImageSample,
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

PROMPT = "task: search result | query: "
"""What stands before every text."""

WINDOW_S = 10.0

MAX_TEXTS = 32
"""Texts in one forward pass."""
MAX_IMAGES = 8
"""Images in one forward pass: 280 soft tokens each, of 2,520 patches."""
MAX_AUDIO_S = 80
"""Seconds of sound in one forward pass."""
MAX_FRAMES = 32
"""Frames in one forward pass."""
MAX_TOKENS = 2_048
"""Longer texts are cut; the model reads up to 8,192 tokens."""

EMBEDDING_GEMMA = Family(
    kind="omni",
    title="EmbeddingGemma 2",
    classes="EmbeddingGemma2",
    cards=(OMNI,),
    extra_files=("processor_config.json", "chat_template.jinja"),
)


class EmbeddingGemmaEncoder:
    """Encode samples of all four modalities in the space of one EmbeddingGemma 2."""

    def __init__(
        self, space: EmbeddingSpace, *, model: Any, processor: Any, device: torch.device
    ) -> None:
        self.space = space
        self.modalities = EVERYTHING
        self.device = device
        self._model = model
        self._processor = processor
        self._tokens = Tokens(processor.tokenizer, MAX_TOKENS)
        self._processing = threading.Lock()  # it writes its own texts with the tokenizer
        still = processor.image_processor
        patches = still.max_soft_tokens * still.pooling_kernel_size**2
        self.spec = SampleSpec(
            image_px=math.isqrt(patches) * still.patch_size,
            sample_rate_hz=processor.feature_extractor.sampling_rate,
            window_s=WINDOW_S,
            hop_s=WINDOW_S / 2,
        )

    def encode(self, modality: Modality, samples: Sequence[Sample]) -> Vectors:
        """Embed samples of one modality: float32 (n, dim), L2-normalised, in order.

        Raises UsageError for another sample rate.
        """
        check_samples(self.space.name, self.modalities, modality, samples)
        if modality is Modality.TEXT:
            texts = [s for s in samples if isinstance(s, str)]
            return encode_texts(texts, MAX_TEXTS, self.space.dim, self._read)
        if modality is Modality.AUDIO:
            return self._audio([s for s in samples if isinstance(s, AudioSample)])
        if modality is Modality.VIDEO:
            return self._shots([s for s in samples if isinstance(s, VideoSample)])
        return self._images([s for s in samples if isinstance(s, ImageSample)])

    def _read(self, texts: list[str]) -> Vectors:
        tokens, mask = self._tokens([PROMPT + text for text in texts])
        return self._forward({"input_ids": tokens, "attention_mask": mask})

    def _images(self, images: Sequence[ImageSample]) -> Vectors:
        def see(batch: Sequence[int]) -> Vectors:
            return self._media(images=[[_channels_first(images[n].pixels)] for n in batch])

        present = [position for position, image in enumerate(images) if image.pixels.size]
        return encode_batches(chunks(present, MAX_IMAGES), see, len(images), self.space.dim)

    def _audio(self, audio: Sequence[AudioSample]) -> Vectors:
        def hear(batch: Sequence[int]) -> Vectors:
            return self._media(audio=[audio[position].waveform for position in batch])

        rate_hz = self.spec.sample_rate_hz
        present = audible(self.space.name, rate_hz, audio)
        batches = batches_alike(
            present, lambda n: len(audio[n].waveform), round(MAX_AUDIO_S * rate_hz)
        )
        return encode_batches(batches, hear, len(audio), self.space.dim)

    def _shots(self, shots: Sequence[VideoSample]) -> Vectors:
        most = min(MAX_FRAMES, self._processor.video_processor.max_frames or MAX_FRAMES)
        frames = [_frames_of(shot, most) for shot in shots]

        def see(batch: Sequence[int]) -> Vectors:
            return self._media(videos=[frames[n] for n in batch], do_sample_frames=False)

        batches = batches_alike(range(len(shots)), lambda n: len(frames[n]), MAX_FRAMES)
        return encode_batches(batches, see, len(shots), self.space.dim)

    def _media(self, **samples: Any) -> Vectors:
        with self._processing:
            inputs = self._processor(**samples, return_tensors="pt")
        return self._forward(dict(inputs))

    def _forward(self, inputs: dict[str, torch.Tensor]) -> Vectors:
        """Return the mean over the tokens of each input, float32 (n, dim), L2-normalised."""
        import torch

        with torch.inference_mode(), half_precision(self.device, float16=False):
            inputs = {name: to_device(part, self.device) for name, part in inputs.items()}
            rows = self._model(**inputs).last_hidden_state.float()
            mask = inputs["attention_mask"].unsqueeze(-1)
            return vectors_of((rows * mask).sum(dim=1) / mask.sum(dim=1))


def load_omni(folder: Path | None = None, device: str = "auto") -> EmbeddingGemmaEncoder:
    """Load the encoder from the hub, or from a copy on disk.

    Raises UnknownModelError, ModelUnavailableError or ModelIntegrityError.
    """
    chosen = choose_device(device)
    found = load_pretrained(EMBEDDING_GEMMA, str(folder or OMNI.weights[0].repo))
    config = found.config
    if config.vision_config is None or config.audio_config is None:
        raise ModelIntegrityError(
            f"{folder} holds an EmbeddingGemma 2 without the part for images or the one for "
            "sounds; copy the whole model"
        )
    revision = f"{found.revision}-{ENCODING}"
    space = EmbeddingSpace(found.name, revision, config.text_config.embedding_dim)
    model = found.model.to(chosen)
    return EmbeddingGemmaEncoder(space, model=model, processor=found.processor, device=chosen)


def _frames_of(shot: VideoSample, most: int) -> NDArray[np.uint8]:
    """Return at most that many frames, evenly chosen: uint8 (frames, 3, height, width).

    Frames of other sizes are scaled to the size of the first one, because they share a video.
    """
    import torch
    from torchvision.transforms.functional import resize

    count = len(shot.frames)
    kept = [shot.frames[n] for n in np.linspace(0, count - 1, min(count, most), dtype=int)]
    frames = [torch.from_numpy(_channels_first(frame.pixels)) for frame in kept]
    size = list(frames[0].shape[1:])
    same = [f if list(f.shape[1:]) == size else resize(f, size, antialias=True) for f in frames]
    stacked: NDArray[np.uint8] = torch.stack(same).numpy()
    return stacked


def _channels_first(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return uint8 (3, height, width); the library guesses wrongly of images of three rows."""
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))

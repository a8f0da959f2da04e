"""Encode text, images and video with any architecture of the open_clip library.

Preprocessing and tokenizer are the library's own; open_clip_source.py finds the weights. Weights
are read from safetensors, or from PyTorch files with `weights_only=True`, so that no file can run
code.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from seehear.encoders.autotune import AutotunedModule
from seehear.encoders.base import shot_vectors
from seehear.encoders.devices import choose_device
from seehear.encoders.model_cards import TEXT_AND_IMAGES
from seehear.encoders.open_clip_pixels import GpuImageTransform
from seehear.encoders.open_clip_source import ResolvedWeights, resolve
from seehear.encoders.torch_tools import (
    check_samples,
    encode_parts,
    encode_texts,
    half_precision,
    quiet_libraries,
    scatter,
    to_device,
    vectors_of,
    weight_errors,
    without_random_weights,
)
from seehear.errors import ModelIntegrityError
from seehear.hub import revision_of, unavailable
from seehear.types import (
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

MAX_BATCH = 64
"""Images, frames or texts in one forward pass: a shot may have many frames."""


class OpenClipEncoder:
    """Encode text, images and video in the space of one open_clip model."""

    def __init__(
        self,
        space: EmbeddingSpace,
        *,
        model: Any,
        preprocess: Callable[[Any], torch.Tensor],
        tokenizer: Callable[[list[str]], torch.Tensor],
        spec: SampleSpec,
        device: torch.device,
        on_gpu: GpuImageTransform | None = None,
    ) -> None:
        self.space = space
        self.modalities = TEXT_AND_IMAGES
        self.spec = spec
        self.device = device
        self._model = model
        self._preprocess = preprocess
        self._tokenizer = tokenizer
        self._tokenizing = threading.Lock()  # fast tokenizers keep padding as state
        self._on_gpu = on_gpu
        self._encode_text = encode_text_unpadded(model) or model.encode_text
        self._encode_image: Callable[..., torch.Tensor] = model.encode_image
        if image_tower_alone(model):
            self._encode_image = AutotunedModule(model.visual, f"{space.key} pictures", device)

    def encode(self, modality: Modality, samples: Sequence[Sample]) -> Vectors:
        """Embed samples of one modality: float32 (n, dim), L2-normalised, in order.

        Raises UsageError for a sample of another modality.
        """
        check_samples(self.space.name, self.modalities, modality, samples)
        if modality is Modality.TEXT:
            texts = [s for s in samples if isinstance(s, str)]
            return encode_texts(texts, MAX_BATCH, self.space.dim, self._read)
        if modality is Modality.IMAGE:
            return self._images([s for s in samples if isinstance(s, ImageSample)])
        return self._shots([s for s in samples if isinstance(s, VideoSample)])

    def _read(self, texts: list[str]) -> Vectors:
        with self._tokenizing:
            tokens = self._tokenizer(texts)
        return self._forward(self._encode_text, tokens)

    def _images(self, images: Sequence[ImageSample]) -> Vectors:
        import torch

        present = [position for position, image in enumerate(images) if image.pixels.size]

        def encode(batch: Sequence[int]) -> Vectors:
            pixels = torch.stack([self.prepare(images[position]) for position in batch])
            return self._forward(self._encode_image, pixels)

        rows = encode_parts(present, MAX_BATCH, self.device, encode)
        return scatter(present, rows, len(images), self.space.dim)

    def _shots(self, shots: Sequence[VideoSample]) -> Vectors:
        """Embed each shot as the renormalised mean of its frames' vectors."""
        frames = self._images([frame for shot in shots for frame in shot.frames])
        return shot_vectors(shots, frames)

    def prepare(self, image: ImageSample) -> torch.Tensor:
        """Return an image as the model's input, float32 (3, height, width).

        On the GPU, if the transform runs there, else by the library; see open_clip_pixels.py.
        """
        if self._on_gpu is not None:
            return self._on_gpu(image.pixels)
        from torchvision.transforms.functional import to_pil_image

        return self._preprocess(to_pil_image(image.pixels))

    def _forward(self, tower: Callable[..., torch.Tensor], batch: torch.Tensor) -> Vectors:
        import torch

        with torch.inference_mode(), half_precision(self.device):
            return vectors_of(tower(to_device(batch, self.device)))


def encode_text_unpadded(model: Any) -> Callable[..., torch.Tensor] | None:
    """Return a faster `encode_text` that leaves out the padding, or None if that changes results.

    Its rows are not normalised.

    Texts are padded to 32 or 77 tokens and mostly have ten. In a causal tower whose output is read
    at the end token, nothing after the longest text of a batch has an effect.
    """
    import torch
    from open_clip.model import CLIP
    from open_clip.transformer import TextTransformer

    native = type(model) is CLIP
    tower: Any = model if native else getattr(model, "text", None)
    if not native and type(tower) is not TextTransformer:
        return None
    pooling = tower.text_pool_type if native else tower.pool_type
    padded = not native and (tower.use_pad_mask or tower.cls_emb is not None)
    if pooling != "argmax" or tower.attn_mask is None or padded:
        return None

    def encode_text(tokens: torch.Tensor) -> torch.Tensor:
        ends = tokens.argmax(dim=-1)
        length = int(ends.max()) + 1
        x = tower.token_embedding(tokens[:, :length]) + tower.positional_embedding[:length]
        x = tower.transformer(x, attn_mask=tower.attn_mask[:length, :length])
        rows: torch.Tensor = tower.ln_final(x)[torch.arange(len(x), device=x.device), ends]
        projection = tower.text_projection
        if projection is not None:
            linear = isinstance(projection, torch.nn.Linear)
            rows = projection(rows) if linear else rows @ projection
        return rows

    return encode_text


def image_tower_alone(model: Any) -> bool:
    """Tell whether encoding an image only calls `model.visual` and normalises."""
    from open_clip.model import CLIP, CustomTextCLIP

    return type(model) in (CLIP, CustomTextCLIP) and not getattr(
        model.visual, "output_tokens", False
    )


def load_open_clip(name: str, device: str = "auto") -> OpenClipEncoder:
    """Load the encoder with `name`, the part after `open_clip:`.

    Raises UnknownModelError, ModelUnavailableError or ModelIntegrityError.
    """
    chosen = choose_device(device)
    return _build(resolve(name), chosen)


def _build(source: ResolvedWeights, device: torch.device) -> OpenClipEncoder:
    import open_clip
    from open_clip.transform import PreprocessCfg, image_transform_v2

    name = f"open_clip:{source.label}"
    with quiet_libraries():
        try:
            with without_random_weights():  # all weights are loaded below: loading is strict
                model = open_clip.create_model(
                    source.architecture,
                    load_weights=False,
                    pretrained_text=False,
                    pretrained_image=False,
                    force_quick_gelu=source.quick_gelu,
                    force_preprocess_cfg=source.preprocessing,
                )
            tokenizer = open_clip.get_tokenizer(source.architecture)
            config = open_clip.get_model_config(source.architecture)
        except OSError as error:  # the configuration of a tokenizer or text tower is on the hub
            first = str(error).strip().splitlines()[0]
            raise unavailable(
                name, None, "see its card", "open_clip:FOLDER", f"a part of it is not: {first}"
            ) from None
        try:
            with warnings.catch_warnings():
                # This warning is about files that are refused below anyway.
                warnings.filterwarnings("ignore", message="Detected pickle protocol")
                open_clip.load_checkpoint(model, str(source.weights), weights_only=True)
        except weight_errors() as error:
            raise ModelIntegrityError(
                f"{source.weights} does not hold weights of {source.architecture}: "
                f"{' '.join(str(error).split())[:200]}"
            ) from None
    model.to(device).eval().requires_grad_(False)
    size = model.visual.image_size
    settings = PreprocessCfg(**model.visual.preprocess_cfg)
    spec = SampleSpec(
        image_px=max(size) if isinstance(size, tuple | list) else int(size),
        # English has about 1.4 tokens per word; the tokenizer would cut longer passages.
        passage_words=max(8, min(60, int((tokenizer.context_length - 2) / 1.4))),
    )
    revision = f"{revision_of(source.weights)}-{ENCODING}"
    space = EmbeddingSpace(name, revision, int(config["embed_dim"]))
    return OpenClipEncoder(
        space,
        model=model,
        preprocess=image_transform_v2(settings, is_train=False),
        tokenizer=tokenizer,
        spec=spec,
        device=device,
        on_gpu=GpuImageTransform.of(settings, device) if device.type == "cuda" else None,
    )

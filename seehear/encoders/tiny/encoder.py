"""Encode text, images, sound and shots of video in one space, offline, with `tiny`."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from seehear.encoders.base import LEAST_KNOWN, shot_vectors
from seehear.encoders.tiny.checkpoint import Checkpoint, open_folder
from seehear.encoders.tiny.text_tower import TextTower
from seehear.encoders.tiny.tokenizer import Tokenizer
from seehear.encoders.torch_tools import check_samples, encode_parts, to_device
from seehear.errors import ModelIntegrityError
from seehear.silence import is_silent
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
    from torch import Tensor, nn

    from seehear.encoders.autotune import AutotunedModule

# Samples in one pass. On a CPU, few enough that the widest feature map stays in its cache: with 32
# images half of the time was spent waiting for memory.
_AT_ONCE = 8
_AT_ONCE_ON_CUDA = 128

_ALL = frozenset(Modality)
TINY = Path(__file__).resolve().parents[2] / "models" / "tiny"


def load_tiny(path: Path | None = None, device: str = "auto", *, half: bool = False) -> TinyEncoder:
    """Load the bundled model, or a model folder of the same kind, as `seehear train` writes.

    `device` is "auto", "cpu", "cuda", "cuda:1" or "mps". On CUDA the image and audio towers
    compute in float16; `half` requests that elsewhere, too. Torch is loaded when the first image
    or sound is encoded.
    Raises ModelUnavailableError or ModelIntegrityError with a reason in one line.
    """
    return TinyEncoder(open_folder(path or TINY), device=device, half=half)


class TinyEncoder:
    """Encode all four modalities with the towers of one model folder."""

    def __init__(self, folder: Checkpoint, *, device: str = "auto", half: bool = False) -> None:
        self._folder = folder
        self._device = device
        self._half = half
        self._towers: dict[str, AutotunedModule] = {}
        self._building = threading.Lock()
        self._space = EmbeddingSpace(folder.name, folder.revision, folder.config.dim)
        self._tokenizer = Tokenizer(folder.vocabulary, folder.config.text.most_tokens)
        self._text = TextTower(*folder.text(), self._tokenizer)

    @property
    def space(self) -> EmbeddingSpace:
        return self._space

    @property
    def modalities(self) -> frozenset[Modality]:
        return _ALL

    @property
    def spec(self) -> SampleSpec:
        return self._folder.config.spec

    def encode(self, modality: Modality, samples: Sequence[Sample]) -> Vectors:
        """Embed samples of one modality: float32 (n, dim), L2-normalised, in order.

        A text without words or mostly of unknown words, a silent window and a window without
        samples give rows of zeros.
        Raises UsageError for a sample of another modality.
        """
        check_samples(self._space.name, self.modalities, modality, samples)
        if not samples:
            return np.zeros((0, self._space.dim), np.float32)
        if modality is Modality.TEXT:
            texts = [s for s in samples if isinstance(s, str)]
            shares = zip(texts, self.known_shares(texts), strict=True)
            return self._text.encode(
                [text if share > LEAST_KNOWN else "" for text, share in shares]
            )
        if modality is Modality.IMAGE:
            return self._encode_images([s for s in samples if isinstance(s, ImageSample)])
        if modality is Modality.AUDIO:
            return self._encode_audio([s for s in samples if isinstance(s, AudioSample)])
        shots = [s for s in samples if isinstance(s, VideoSample)]
        return shot_vectors(shots, self._encode_images([f for shot in shots for f in shot.frames]))

    def known_shares(self, texts: Sequence[str]) -> list[float]:
        """Return how much of each text the text tower knows, from 0 to 1."""
        return list(map(self._tokenizer.known_share, texts))

    def encode_patches(self, image: ImageSample) -> Vectors:
        """Embed what is seen in each patch of an image: float32 (rows, columns, dim)."""
        import torch

        tower = self._tower("image")
        size = 2 * self._folder.config.image_px  # patches half as wide are told apart better
        with torch.inference_mode():
            pixels = to_device(resize_batch(image.pixels, size), tower.device)
            found: Vectors = tower.plain.patches(pixels)[0].float().cpu().numpy()  # type: ignore[operator]
        return found

    def load(self, modality: Modality) -> None:
        """Load torch and the tower of a modality; texts need neither.

        Raises ModelIntegrityError where the weights do not fit.
        """
        if modality is Modality.AUDIO:
            from seehear.encoders.tiny.log_mel import load_spectrograms

            load_spectrograms()
            self._tower("audio")
        elif modality is not Modality.TEXT:
            self._tower("image")

    def _encode_images(self, samples: Sequence[ImageSample]) -> Vectors:
        import torch

        tower = self._tower("image")
        size = self._folder.config.image_px

        def encode(some: Sequence[ImageSample]) -> Vectors:
            with torch.inference_mode():
                pixels = torch.cat([resize_batch(sample.pixels, size) for sample in some])
                rows: Vectors = tower(to_device(pixels, tower.device)).float().cpu().numpy()
            return rows

        return np.concatenate(encode_parts(samples, _at_once(tower), tower.device, encode))

    def _encode_audio(self, samples: Sequence[AudioSample]) -> Vectors:
        import torch

        from seehear.encoders.tiny.log_mel import spectrograms, waveform_16k

        result = np.zeros((len(samples), self._space.dim), np.float32)
        heard = [
            row
            for row, sample in enumerate(samples)
            if not is_silent(sample.waveform, sample.sample_rate_hz)
        ]
        if not heard:
            return result
        tower = self._tower("audio")

        def encode(some: Sequence[AudioSample]) -> Vectors:
            with torch.inference_mode():
                mels, counts = spectrograms(
                    [waveform_16k(sample.waveform, sample.sample_rate_hz) for sample in some]
                )
                out = tower(*(to_device(part, tower.device) for part in (mels, counts)))
                rows: Vectors = out.float().cpu().numpy()
            return rows

        audible = [samples[row] for row in heard]
        parts = encode_parts(audible, _at_once(tower), tower.device, encode)
        result[heard] = np.concatenate(parts)
        return result

    def _tower(self, name: str) -> AutotunedModule:
        from seehear.encoders.autotune import AutotunedModule
        from seehear.encoders.devices import choose_device

        with self._building:
            if name not in self._towers:
                device = choose_device(self._device)
                half = self._half or device.type == "cuda"
                tower = build_tower(self._folder, name, str(device), half=half)
                self._towers[name] = AutotunedModule(tower, f"{self._space.key} {name}", device)
            return self._towers[name]


def _at_once(tower: AutotunedModule) -> int:
    return _AT_ONCE_ON_CUDA if tower.device.type == "cuda" else _AT_ONCE


def build_tower(
    folder: Checkpoint, name: str, device: str = "auto", *, half: bool = False
) -> nn.Module:
    """Build the "image" or "audio" tower of a folder as a torch module in evaluation mode.

    Raises ModelIntegrityError where the folder's arrays do not have the stated sizes.
    """
    import torch

    from seehear.encoders.devices import choose_device
    from seehear.encoders.tiny.towers import BACKBONES, AudioTower, ImageTower

    config = folder.config
    tower: nn.Module
    if name == "image":
        if config.image.backbone not in BACKBONES:
            raise ModelIntegrityError(
                f"{folder.name} has the backbone {config.image.backbone!r}, "
                "unknown to this version; upgrade seehear"
            )
        tower = ImageTower(config.dim, **asdict(config.image))
    else:
        sizes = config.audio
        tower = AudioTower(config.dim, sizes.hidden, scale=sizes.scale, blocks=sizes.blocks)
    state = {key: torch.from_numpy(array) for key, array in folder.tower(name).items()}
    try:
        tower.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ModelIntegrityError(
            f"the {name} tower of {folder.name} is of another shape: {reason[:160]}"
        ) from error
    tower = tower.eval().to(choose_device(device))
    tower = tower.to(memory_format=torch.channels_last)
    return tower.half() if half else tower


def resize_batch(pixels: NDArray[np.uint8], size: int) -> Tensor:
    """Resize pixels (h, w, 3) to uint8 (1, 3, size, size), the whole image, ignoring its ratio.

    A crop would lose what captions mention at the edges; training resizes in the same way.
    """
    import torch
    from torch.nn import functional

    # from_numpy makes a view: copy read-only memory, although nothing below writes to it.
    tensor = torch.from_numpy(np.array(pixels, copy=not pixels.flags.writeable))
    tensor = tensor.permute(2, 0, 1)[None]
    if tensor.shape[-2:] == (size, size):
        return tensor
    return functional.interpolate(
        tensor, size=(size, size), mode="bilinear", antialias=True, align_corners=False
    )

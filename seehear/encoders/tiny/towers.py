"""Define the image and audio towers as torch modules: a backbone of convolutions, a projection.

The audio tower is YAMNet's MobileNet v1: it runs over a log-mel spectrogram as over an image, fully
convolutionally over the whole window, and pools over time with learned attention. The image tower
has that backbone or EfficientNet-Lite0. Neither has batch normalisation: it is folded into the
convolutions of the weights from which training starts.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

MOBILENET, EFFICIENTNET = "mobilenet-v1", "efficientnet-lite0"

# MobileNet v1: output channels and stride of the 13 depthwise-separable blocks.
_BLOCKS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1),
    (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1),
)  # fmt: skip
# EfficientNet-Lite0: expansion, side of the depthwise kernel, output channels and stride of the 16
# inverted residual blocks.
_INVERTED_BLOCKS = (
    (1, 3, 16, 1), (6, 3, 24, 2), (6, 3, 24, 1), (6, 5, 40, 2), (6, 5, 40, 1), (6, 3, 80, 2),
    (6, 3, 80, 1), (6, 3, 80, 1), (6, 5, 112, 1), (6, 5, 112, 1), (6, 5, 112, 1), (6, 5, 192, 2),
    (6, 5, 192, 1), (6, 5, 192, 1), (6, 5, 192, 1), (6, 3, 320, 1),
)  # fmt: skip
_HEAD_CHANNELS = 1280
STEM_CHANNELS = 32
MEL_BANDS = 64
SAMPLE_RATE_HZ = 16_000
FRAME_HOP = 160
FRAME_LENGTH = 400
_FFT = 512
_MEL_RANGE_HZ = (125.0, 7500.0)
LOG_FLOOR = 0.001


class SameConv(nn.Conv2d):
    """Convolution with a kernel of odd side and stride 1 or 2, padded as TensorFlow pads.

    For an even side, TensorFlow's extra pixel is on the right and at the bottom.

    Torch pads both sides alike, which would shift every feature map by half a pixel per stage. In
    that case the kernel gets a row or column of zeros on its other side: that gives the same sums,
    and needs no copy of the whole image into a larger one.
    """

    def forward(self, x: Tensor) -> Tensor:
        weight = padded_kernel(self.weight, x.shape, int(self.stride[0]))
        around = self.kernel_size[0] // 2
        return functional.conv2d(x, weight, self.bias, self.stride, around, 1, self.groups)


def padded_kernel(weight: Tensor, shape: Sequence[int], stride: int) -> Tensor:
    """Pad a kernel (out, in, k, k) for an input of `shape` (n, in, h, w) and padding k // 2."""
    above, left = (int(stride == 2 and size % 2 == 0) for size in shape[-2:])
    return functional.pad(weight, (left, 0, above, 0)) if above or left else weight


class MobileNetV1(nn.Module):
    """Map (n, channels, h, w) to (n, width(1024), h/32, w/32), all activations ReLU6.

    Tests use a smaller `blocks` and `scale`.
    """

    def __init__(self, channels: int, *, scale: float = 1.0, blocks: int = len(_BLOCKS)) -> None:
        super().__init__()
        inner = max(8, int(STEM_CHANNELS * scale))
        layers: list[nn.Module] = [SameConv(channels, inner, 3, stride=2), nn.ReLU6()]
        for outer, stride in _BLOCKS[:blocks]:
            out = max(8, int(outer * scale))
            layers += [SameConv(inner, inner, 3, stride=stride, groups=inner), nn.ReLU6()]
            layers += [nn.Conv2d(inner, out, 1), nn.ReLU6()]
            inner = out
        self.layers = nn.Sequential(*layers)
        self.width = inner

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.layers(x)
        return result

    def depth(self, blocks: int) -> int:
        """Return how many layers the stem and the first blocks have."""
        return 2 + 4 * blocks


class InvertedBlock(nn.Module):
    """Widen, convolve each channel, narrow without activation; add the input where it fits."""

    def __init__(self, inner: int, outer: int, expansion: int, side: int, stride: int) -> None:
        super().__init__()
        wide = inner * expansion
        widen = [nn.Conv2d(inner, wide, 1), nn.ReLU6()] if expansion > 1 else []
        alone = SameConv(wide, wide, side, stride=stride, groups=wide)
        self.layers = nn.Sequential(*widen, alone, nn.ReLU6(), nn.Conv2d(wide, outer, 1))
        self.adds = stride == 1 and inner == outer

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.layers(x)
        return x + result if self.adds else result


class EfficientNetLite0(nn.Module):
    """Map (n, channels, h, w) to (n, width(1280), h/32, w/32): MBConv blocks without attention.

    EfficientNet (arXiv:1905.11946) as its authors thinned it for small processors: ReLU6 in place
    of swish, no squeeze-and-excitation. Tests use a smaller `blocks` and `scale`.
    """

    def __init__(
        self, channels: int, *, scale: float = 1.0, blocks: int = len(_INVERTED_BLOCKS)
    ) -> None:
        super().__init__()
        inner = max(8, int(STEM_CHANNELS * scale))
        layers: list[nn.Module] = [SameConv(channels, inner, 3, stride=2), nn.ReLU6()]
        for expansion, side, outer, stride in _INVERTED_BLOCKS[:blocks]:
            out = max(8, int(outer * scale))
            layers.append(InvertedBlock(inner, out, expansion, side, stride))
            inner = out
        self.width = max(8, int(_HEAD_CHANNELS * scale))
        layers += [nn.Conv2d(inner, self.width, 1), nn.ReLU6()]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.layers(x)
        return result

    def depth(self, blocks: int) -> int:
        """Return how many layers the stem and the first blocks have."""
        return 2 + blocks


Backbone = MobileNetV1 | EfficientNetLite0
BACKBONES: dict[str, type[MobileNetV1] | type[EfficientNetLite0]] = {
    MOBILENET: MobileNetV1,
    EFFICIENTNET: EfficientNetLite0,
}


def convolutions(backbone: nn.Module) -> list[nn.Conv2d]:
    """Return the convolutions of a backbone in order, as files of its weights list them."""
    return [layer for layer in backbone.modules() if isinstance(layer, nn.Conv2d)]


class Projection(nn.Module):
    """Map (n, width) to (n, dim): a linear map plus a two-layer correction."""

    def __init__(self, width: int, dim: int, hidden: int) -> None:
        super().__init__()
        self.direct = nn.Linear(width, dim)
        self.inner = nn.Linear(width, hidden)
        self.outer = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.direct(x) + self.outer(functional.gelu(self.inner(x)))
        return result


class ImageTower(nn.Module):
    """Map uint8 or float pixels (n, 3, h, w) in [0, 255] to unit vectors (n, dim)."""

    def __init__(
        self,
        dim: int,
        hidden: int,
        *,
        backbone: str = MOBILENET,
        scale: float = 1.0,
        blocks: int = len(_BLOCKS),
    ) -> None:
        super().__init__()
        self.backbone: Backbone = BACKBONES[backbone](3, scale=scale, blocks=blocks)
        self.projection = Projection(self.backbone.width, dim, hidden)

    def features(self, pixels: Tensor) -> Tensor:
        """Return pooled features (n, width)."""
        return self._feature_map(pixels).mean(dim=(2, 3))

    def patches(self, pixels: Tensor) -> Tensor:
        """Return unit vectors of the cells of the last feature map: (n, h / 32, w / 32, dim)."""
        return self.project(self._feature_map(pixels).permute(0, 2, 3, 1))

    def _feature_map(self, pixels: Tensor) -> Tensor:
        dtype = self.projection.direct.weight.dtype
        x = (pixels.to(dtype) / 128.0 - 1.0).contiguous(memory_format=torch.channels_last)
        found: Tensor = self.backbone(x)
        return found

    def project(self, features: Tensor) -> Tensor:
        """Map pooled features (n, width) to unit vectors (n, dim)."""
        return functional.normalize(self.projection(features).float(), dim=-1)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.project(self.features(pixels))


class LogMel(nn.Module):
    """Map float waveforms (n, samples) at 16 kHz to log-mel (n, frames, 64), as YAMNet does."""

    def __init__(self) -> None:
        super().__init__()
        from torchaudio.transforms import MelSpectrogram

        self.mel = MelSpectrogram(
            SAMPLE_RATE_HZ,
            n_fft=_FFT,
            win_length=FRAME_LENGTH,
            hop_length=FRAME_HOP,
            f_min=_MEL_RANGE_HZ[0],
            f_max=_MEL_RANGE_HZ[1],
            n_mels=MEL_BANDS,
            power=1.0,
            center=False,
            mel_scale="htk",
        )

    def forward(self, waveform: Tensor) -> Tensor:
        result: Tensor = torch.log(self.mel(waveform) + LOG_FLOOR).transpose(1, 2)
        return result


class AudioTower(nn.Module):
    """Map log-mel (n, frames, 64) and true frame counts (n,) to unit vectors (n, dim)."""

    def __init__(
        self, dim: int, hidden: int, *, scale: float = 1.0, blocks: int = len(_BLOCKS)
    ) -> None:
        super().__init__()
        self.backbone = MobileNetV1(1, scale=scale, blocks=blocks)
        width = self.backbone.width
        self.attention = nn.Linear(width, 1)
        nn.init.zeros_(self.attention.weight)
        self.projection = Projection(2 * width, dim, hidden)
        self.stride = 2 ** (1 + sum(stride == 2 for _, stride in _BLOCKS[:blocks]))

    def frames(self, spectrogram: Tensor) -> Tensor:
        """Return features in time, averaged over the bands: (n, frames / stride, width)."""
        dtype = self.attention.weight.dtype
        x = spectrogram.to(dtype)[:, None]
        result: Tensor = self.backbone(x).mean(dim=3).transpose(1, 2)
        return result

    def pool(self, frames: Tensor, counts: Tensor) -> Tensor:
        """Return mean and attention-weighted mean over time (n, 2 * width), without the padding."""
        steps = torch.arange(frames.shape[1], device=frames.device)
        # A step counts when most of its frames are sound; the first always does.
        real = (steps[None] * self.stride + self.stride // 2) < counts[:, None]
        real[:, 0] = True
        mask = real.to(frames.dtype)[..., None]
        mean = (frames * mask).sum(1) / mask.sum(1)
        logits = self.attention(frames).float().masked_fill(~real[..., None], -1e4)
        weights = torch.softmax(logits, dim=1).to(frames.dtype)
        return torch.cat([mean, (frames * weights).sum(1)], dim=1)

    def project(self, pooled: Tensor) -> Tensor:
        """Map pooled features (n, 2 * width) to unit vectors (n, dim)."""
        return functional.normalize(self.projection(pooled).float(), dim=-1)

    def forward(self, spectrogram: Tensor, counts: Tensor) -> Tensor:
        return self.project(self.pool(self.frames(spectrogram), counts))

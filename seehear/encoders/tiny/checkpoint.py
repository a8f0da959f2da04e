"""Read and write a model folder: weights, vocabulary and the manifest with their hashes.

    manifest.json       format, architecture and its sizes, revision, hash of each file
    model.safetensors   arrays; large ones as int8 rows with one float16 scale per row
    vocabulary.txt      one token per line

The bundled `tiny` and the output of `seehear train` are such folders. Nothing here needs torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seehear.errors import ModelIntegrityError, ModelUnavailableError, UsageError
from seehear.files import check_local, check_output, irregular_entry, output_file
from seehear.types import SampleSpec

ARCHITECTURE = "seehear-dual-encoder"
FORMAT_VERSION = 1
MANIFEST, WEIGHTS, VOCABULARY = "manifest.json", "model.safetensors", "vocabulary.txt"

_SCALE = ".scale"
_LEAST_QUANTISED = 16_384  # smaller arrays stay float16: they are small and more sensitive
_STEPS = 127.0

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class TowerConfig:
    """Sizes of one convolutional tower; tests use smaller `scale` and `blocks`."""

    hidden: int = 512
    backbone: str = "mobilenet-v1"
    """One of `towers.BACKBONES`; sounds have MobileNet v1."""
    scale: float = 1.0
    blocks: int = 13


@dataclass(frozen=True, slots=True)
class TextConfig:
    """Sizes of the text tower."""

    width: int = 256
    hidden: int = 128
    blocks: int = 2
    heads: int = 4
    inner: int = 512
    most_tokens: int = 96


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Sizes of the three towers and of their inputs."""

    dim: int = 384
    image: TowerConfig = field(default_factory=TowerConfig)
    audio: TowerConfig = field(default_factory=TowerConfig)
    text: TextConfig = field(default_factory=TextConfig)
    image_px: int = 160
    window_s: float = 10.0
    hop_s: float = 5.0

    @property
    def spec(self) -> SampleSpec:
        return SampleSpec(image_px=self.image_px, window_s=self.window_s, hop_s=self.hop_s)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An opened and verified model folder, with its arrays as stored.

    Arrays are converted to float32 when a tower needs them: a text query needs a fifth of them.
    """

    name: str
    revision: str
    config: ModelConfig
    packed: Arrays
    vocabulary: tuple[str, ...]
    provenance: Mapping[str, Any]

    @property
    def arrays(self) -> Arrays:
        """All arrays, as float32."""
        return unpack(self.packed)

    def tower(self, prefix: str) -> Arrays:
        """Return the float32 arrays of one tower ("text", "image", "audio"), without its prefix."""
        start = prefix + "."
        return unpack(
            {n.removeprefix(start): a for n, a in self.packed.items() if n.startswith(start)}
        )

    def text(self) -> tuple[DequantisedRows, Arrays]:
        """Return the text tower: its embedding, of which few rows are used, and the rest."""
        name = "text.embedding"
        embedding = DequantisedRows(self.packed[name], self.packed.get(name + _SCALE))
        rest = {n: a for n, a in self.packed.items() if not n.startswith(name)}
        return embedding, replace(self, packed=rest).tower("text")


class DequantisedRows:
    """A packed array whose rows are converted to float32 when they are read."""

    def __init__(self, steps: NDArray[Any], scales: NDArray[Any] | None = None) -> None:
        self._steps = steps
        self._scales = scales

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        packed = {"rows": self._steps[rows]}
        if self._scales is not None:
            packed["rows" + _SCALE] = self._scales[rows]
        return unpack(packed)["rows"]


def pack(arrays: Mapping[str, NDArray[np.float32]]) -> Arrays:
    """Pack float32 arrays for storage: large ones as int8 rows with a float16 scale each.

    The result is in C order: safetensors writes an array's memory as it lies, whatever its strides,
    and towers that were trained in channels_last have others.
    """
    packed: Arrays = {}
    for name, array in arrays.items():
        if array.ndim < 2 or array.size < _LEAST_QUANTISED:
            packed[name] = array.astype(np.float16, order="C")
            continue
        rows = array.reshape(array.shape[0], -1)
        scales = np.maximum(np.abs(rows).max(axis=1) / _STEPS, 1e-7).astype(np.float16)
        scales = np.maximum(scales, np.finfo(np.float16).tiny)
        steps = np.clip(np.rint(rows / scales[:, None].astype(np.float32)), -_STEPS, _STEPS)
        packed[name] = steps.astype(np.int8, order="C").reshape(array.shape)
        packed[name + _SCALE] = scales
    return packed


def unpack(packed: Mapping[str, NDArray[Any]]) -> Arrays:
    """Unpack stored arrays to float32; the result is the same on every machine."""
    arrays: Arrays = {}
    for name, array in packed.items():
        if name.endswith(_SCALE):
            continue
        values = array.astype(np.float32)
        if array.dtype == np.int8:
            scales = packed[name + _SCALE].astype(np.float32)
            values *= scales.reshape(-1, *([1] * (array.ndim - 1)))
        arrays[name] = values
    return arrays


def save_folder(
    folder: Path,
    name: str,
    config: ModelConfig,
    arrays: Mapping[str, NDArray[np.float32]],
    vocabulary: Sequence[str],
    provenance: Mapping[str, Any],
    *,
    force: bool = False,
) -> str:
    """Write a model folder and return its revision, the start of a hash over its files.

    Files are written under temporary names and renamed, the manifest last: a folder whose
    writing was interrupted does not verify. `force` replaces files that exist. Raises UsageError
    for files that must not be written, OSError.
    """
    from safetensors.numpy import save

    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        WEIGHTS: save(pack(arrays), metadata={"architecture": ARCHITECTURE}),
        VOCABULARY: ("\n".join(vocabulary) + "\n").encode("utf-8"),
    }
    files = {
        file: {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}
        for file, content in contents.items()
    }
    identity = json.dumps([asdict(config), files], sort_keys=True)
    revision = hashlib.sha256(identity.encode()).hexdigest()[:12]
    manifest = {
        "format_version": FORMAT_VERSION,
        "architecture": ARCHITECTURE,
        "name": name,
        "revision": revision,
        "config": asdict(config),
        "files": files,
        "provenance": dict(provenance),
    }
    contents[MANIFEST] = (json.dumps(manifest, indent=2) + "\n").encode("utf-8")
    for file, content in contents.items():
        with output_file(folder / file, force=force) as partial:
            partial.write_bytes(content)
    return revision


def check_save(folder: Path, *, force: bool = False) -> None:
    """Raise UsageError for a folder that `save_folder` must not write to (`files.check_output`)."""
    check_local(folder)
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        kind = "link" if folder.is_symlink() else "file"
        raise UsageError(f"{folder} is a {kind}; choose a folder for the new model")
    for name in (MANIFEST, WEIGHTS, VOCABULARY) if folder.is_dir() else ():
        check_output(folder / name, force=force)


def open_folder(folder: Path) -> Checkpoint:
    """Read and verify a model folder.

    Raises ModelUnavailableError where it is not a model folder, ModelIntegrityError where a file is
    missing, truncated, or of another hash or architecture than the manifest states.
    """
    manifest = _read_manifest(folder)
    contents = {file: _verified(folder / file, manifest) for file in (WEIGHTS, VOCABULARY)}
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        packed = load(contents[WEIGHTS])
        _check_scales(packed)
        config = _config(manifest["config"])
        vocabulary = tuple(contents[VOCABULARY].decode("utf-8").splitlines())
        return Checkpoint(
            name=str(manifest["name"]),
            revision=str(manifest["revision"]),
            config=config,
            packed=packed,
            vocabulary=vocabulary,
            provenance=manifest.get("provenance", {}),
        )
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ModelIntegrityError(f"{folder} does not hold a whole model: {error}") from error


def _check_scales(packed: Arrays) -> None:
    """Raise KeyError for int8 rows without their scales."""
    for name, array in packed.items():
        if array.dtype == np.int8 and name + _SCALE not in packed:
            raise KeyError(name + _SCALE)


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        if (odd := irregular_entry(folder)) is not None:
            raise ModelIntegrityError(f"{odd} is not a regular file; copy the model again")
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise ModelUnavailableError(
            f"{folder} is not a model folder: it has no {MANIFEST}"
        ) from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelIntegrityError(f"{path} cannot be read: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("architecture") != ARCHITECTURE:
        found = manifest.get("architecture") if isinstance(manifest, dict) else None
        raise ModelIntegrityError(
            f"{folder} holds a model of architecture {found!r}, not {ARCHITECTURE!r}; "
            "train it again with this version"
        )
    if manifest.get("format_version") != FORMAT_VERSION:
        raise ModelIntegrityError(
            f"{folder} is of format {manifest.get('format_version')}, this seehear reads "
            f"{FORMAT_VERSION}; upgrade seehear or export the model again"
        )
    return manifest


def _verified(path: Path, manifest: Mapping[str, Any]) -> bytes:
    try:
        expected = manifest["files"][path.name]
        size_bytes, digest = int(expected["size_bytes"]), str(expected["sha256"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelIntegrityError(f"the manifest beside {path} does not list it") from error
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelIntegrityError(f"{path} cannot be read: {error}") from error
    if len(content) != size_bytes:
        raise ModelIntegrityError(
            f"{path} has {len(content)} bytes instead of {size_bytes}: it was cut off or replaced; "
            "install seehear again or export the model again"
        )
    if hashlib.sha256(content).hexdigest() != digest:
        raise ModelIntegrityError(
            f"{path} differs from its manifest's hash; install seehear again or export the model "
            "again"
        )
    return content


def _config(value: Mapping[str, Any]) -> ModelConfig:
    return ModelConfig(
        **{
            **value,
            "image": TowerConfig(**value["image"]),
            "audio": TowerConfig(**value["audio"]),
            "text": TextConfig(**value["text"]),
        }
    )

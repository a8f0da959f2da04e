"""Run the text tower with numpy alone: a sentence is embedded in milliseconds, without torch.

Token embeddings, two gated convolution blocks over neighbouring tokens (arXiv:1612.08083), pooling
by several learned attentions, a projection. `training.text_torch` is the same tower in torch; a
test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seehear.encoders.base import normalised
from seehear.encoders.tiny.checkpoint import DequantisedRows
from seehear.encoders.tiny.tokenizer import Tokenizer
from seehear.types import Floats, Vectors

_SENTENCES_AT_ONCE = 128  # keeps the activations of one step in the second-level cache
_EPSILON = 1e-5


class TextTower:
    """Turn texts into unit vectors, with the arrays named `text.*` of a model folder."""

    def __init__(
        self,
        embedding: DequantisedRows | Floats,
        arrays: Mapping[str, Floats],
        tokenizer: Tokenizer,
    ) -> None:
        """`embedding` has a row for each token; `arrays` are the tower's other arrays."""
        self._embedding = embedding
        self._arrays = {name: np.asarray(array, np.float32) for name, array in arrays.items()}
        self._tokenizer = tokenizer
        self._blocks = sum(name.endswith("taps") for name in arrays)
        self._dim = len(self._arrays["direct.bias"])

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return float32 (n, dim), L2-normalised; a text without words gives a row of zeros."""
        ids = [self._tokenizer(text) for text in texts]
        result = np.zeros((len(ids), self._dim), np.float32)
        # Sentences of equal length make a batch: no padding, no masks.
        by_length: dict[int, list[int]] = {}
        for row, pieces in enumerate(ids):
            by_length.setdefault(len(pieces), []).append(row)
        for length, rows in by_length.items():
            if not length:
                continue
            for start in range(0, len(rows), _SENTENCES_AT_ONCE):
                some = rows[start : start + _SENTENCES_AT_ONCE]
                result[some] = self._forward(np.array([ids[row] for row in some]))
        return normalised(result)

    def _forward(self, ids: NDArray[np.int64]) -> Floats:
        """Turn token numbers (n, length) into vectors (n, dim), not yet normalised."""
        arrays = self._arrays
        n, length = ids.shape
        x: NDArray[Any] = self._embedding[ids.reshape(-1)]
        for block in range(self._blocks):
            prefix = f"blocks.{block}."
            taps = arrays[prefix + "taps"]
            h = _layer_norm(x, arrays[prefix + "norm.weight"], arrays[prefix + "norm.bias"])
            h = h @ arrays[prefix + "into.weight"].T + arrays[prefix + "into.bias"]
            hidden = taps.shape[0]
            value = _mix(h[:, :hidden].reshape(n, length, hidden), taps)
            gated = value.reshape(n * length, hidden) * _sigmoid(h[:, hidden:])
            x = x + gated @ arrays[prefix + "out.weight"].T + arrays[prefix + "out.bias"]
        logits = (x @ arrays["attention.weight"].T + arrays["attention.bias"]).reshape(
            n, length, -1
        )
        logits -= logits.max(axis=1, keepdims=True)
        weights = np.exp(logits)
        weights /= weights.sum(axis=1, keepdims=True)
        pooled = np.matmul(weights.transpose(0, 2, 1), x.reshape(n, length, -1)).reshape(n, -1)
        inner = _gelu(pooled @ arrays["inner.weight"].T + arrays["inner.bias"])
        result: Floats = (
            pooled @ arrays["direct.weight"].T
            + arrays["direct.bias"]
            + inner @ arrays["outer.weight"].T
            + arrays["outer.bias"]
        )
        return result


def _mix(x: Floats, taps: Floats) -> Floats:
    """Convolve each channel over tokens, zero-padded: (n, length, h) by (h, taps), same shape."""
    width = taps.shape[1]
    half = width // 2
    length = x.shape[1]
    result = x * taps[:, half]
    for tap in range(width):
        shift = tap - half
        if shift == 0 or abs(shift) >= length:
            continue
        if shift > 0:
            result[:, :-shift] += x[:, shift:] * taps[:, tap]
        else:
            result[:, -shift:] += x[:, :shift] * taps[:, tap]
    return result


def _layer_norm(x: Floats, weight: Floats, bias: Floats) -> Floats:
    centred = x - np.add.reduce(x, axis=1, keepdims=True) / x.shape[1]
    variance = np.einsum("ij,ij->i", centred, centred)[:, None] / x.shape[1]
    result: Floats = centred * (weight / np.sqrt(variance + _EPSILON)) + bias
    return result


def _sigmoid(x: Floats) -> Floats:
    result: Floats = 0.5 * np.tanh(0.5 * x) + 0.5
    return result


def _gelu(x: Floats) -> Floats:
    # The tanh form: numpy has no error function.
    result: NDArray[Any] = 0.5 * x * (1.0 + np.tanh(0.7978845608 * (x + 0.044715 * x * x * x)))
    return result

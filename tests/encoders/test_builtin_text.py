"""The numpy text tower against its torch twin, and without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from seehear.encoders.tiny.checkpoint import open_folder, save_folder
from seehear.encoders.tiny.encoder import TINY
from seehear.encoders.tiny.text_tower import TextTower
from seehear.encoders.tiny.tokenizer import Tokenizer
from seehear.finetune.tower import arrays_of
from tests.encoders.small_builtin import SMALL, VOCABULARY_OF_SMALL, small_arrays, small_text
from training.text_torch import embed_texts

SENTENCES = [
    "dog",
    "a brown dog runs over green grass",
    "it rains",
    "piano by the window, while it rains: a dog runs over grass and over grass",
    "zebra",
    "A  DOG!",
]


def _numpy_tower() -> tuple[TextTower, Tokenizer]:
    tokenizer = Tokenizer(VOCABULARY_OF_SMALL, SMALL.text.most_tokens)
    arrays = arrays_of(small_text(), "text")
    bare = {name.removeprefix("text."): array for name, array in arrays.items()}
    return TextTower(bare.pop("embedding"), bare, tokenizer), tokenizer


def test_numpy_tower_equals_its_torch_twin() -> None:
    tower, tokenizer = _numpy_tower()

    expected = embed_texts(small_text(), tokenizer, SENTENCES, batch_size=4).numpy()

    assert tower.encode(SENTENCES) == pytest.approx(expected, abs=1e-5)


def test_rows_of_the_embedding_are_those_of_the_whole() -> None:
    folder = open_folder(TINY)
    embedding, rest = folder.text()
    whole = folder.tower("text")
    wanted = np.array([0, 27_000, 5, 5])
    np.testing.assert_array_equal(embedding[wanted], whole.pop("embedding")[wanted])
    assert whole.keys() == rest.keys()


def test_company_changes_nothing() -> None:
    tower, _ = _numpy_tower()

    together = tower.encode(SENTENCES * 60)
    alone = np.concatenate([tower.encode([sentence]) for sentence in SENTENCES])

    assert together.reshape(60, len(SENTENCES), -1)[37] == pytest.approx(alone, abs=1e-6)


def test_text_without_words_is_near_nothing() -> None:
    tower, _ = _numpy_tower()

    vectors = tower.encode(["", "dog", " ... "])

    assert np.linalg.norm(vectors, axis=1) == pytest.approx([0, 1, 0], abs=1e-6)
    assert tower.encode([]).shape == (0, SMALL.dim)


def test_order_of_words_matters() -> None:
    tower, _ = _numpy_tower()

    one, other = tower.encode(["a dog runs over grass", "grass runs over a dog"])

    assert float(one @ other) < 0.9999


@pytest.mark.parametrize("bundled", [False, True])
def test_text_is_encoded_without_torch(bundled: bool, tmp_path: Path) -> None:
    folder = tmp_path
    if bundled:
        if not (TINY / "manifest.json").is_file():
            pytest.skip("the bundled weights are not built")
        folder = TINY
    else:
        save_folder(folder, "small", SMALL, small_arrays(), VOCABULARY_OF_SMALL, {})
    program = (
        "import sys; from pathlib import Path; from seehear.encoders.tiny import load_tiny; "
        "from seehear.types import Modality; "
        f"v = load_tiny(Path({str(folder)!r})).encode(Modality.TEXT, ['a dog', '']); "
        "heavy = [m for m in ('torch', 'torchaudio', 'transformers', 'PIL') if m in sys.modules]; "
        "sys.exit(f'loaded {heavy}' if heavy or v.shape[0] != 2 else 0)"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120
    )

    assert done.returncode == 0, done.stderr

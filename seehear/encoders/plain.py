"""Load an encoder, try it with a plain sample, and report its errors.

An encoder that cannot encode even a grey image is itself at fault: a kernel that does not load, a
driver that does not fit, a GPU that is lost. The file that it was encoding is not to blame.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from seehear.encoders.base import Loads, Model
from seehear.errors import ModelError, SeehearError, one_line
from seehear.libraries import fault_of
from seehear.types import AudioSample, ImageSample, Modality, Sample, SampleSpec, VideoSample


def plain_sample(modality: Modality, spec: SampleSpec) -> Sample:
    """Return a word, a grey image, a hum or a video of one grey frame, of the shape of `spec`."""
    if modality is Modality.TEXT:
        return "plain"
    if modality is Modality.AUDIO:
        times = np.arange(round(spec.window_s * spec.sample_rate_hz), dtype=np.float32)
        return AudioSample(np.float32(0.1) * np.sin(times / np.float32(7)), spec.sample_rate_hz)
    grey = ImageSample(np.full((spec.image_px, spec.image_px, 3), 128, dtype=np.uint8))
    return grey if modality is Modality.IMAGE else VideoSample((grey,))


def load_encoder(model: Model, modality: Modality) -> None:
    """Load what a model needs to encode a modality, if it can load ahead of time.

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
    """Turn any error of an encoder into one error of seehear.

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

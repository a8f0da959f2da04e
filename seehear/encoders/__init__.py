"""Encode media samples as vectors in contrastive spaces.

`load_model` loads a model by name; nothing heavy is imported before that.
"""

from seehear.encoders.base import (
    Encoder,
    Model,
    Route,
    SingleSpaceModel,
    encode_patches,
    known_shares,
    normalised,
)
from seehear.encoders.model_cards import ModelCard
from seehear.encoders.registry import available_models, full_name, is_fetched, load_model

__all__ = [
    "Encoder",
    "Model",
    "ModelCard",
    "Route",
    "SingleSpaceModel",
    "available_models",
    "encode_patches",
    "full_name",
    "is_fetched",
    "known_shares",
    "load_model",
    "normalised",
]

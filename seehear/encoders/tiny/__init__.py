"""The bundled model `tiny` and every folder of the same kind. See seehear/models/tiny/README.md."""

from seehear.encoders.tiny.encoder import TinyEncoder, load_tiny

__all__ = ["TinyEncoder", "load_tiny"]

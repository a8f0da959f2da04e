"""The bundled model `tiny` and other folders of its kind. See seehear/models/tiny/README.md."""

from seehear.encoders.tiny.encoder import TinyEncoder, load_tiny

__all__ = ["TinyEncoder", "load_tiny"]

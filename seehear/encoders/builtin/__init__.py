"""The bundled model `tiny` and every folder of the same kind. See seehear/models/tiny/README.md."""

from seehear.encoders.builtin.encoder import BuiltinEncoder, load_tiny

__all__ = ["BuiltinEncoder", "load_tiny"]

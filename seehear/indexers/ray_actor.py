"""The actor that encodes on a machine of a Ray cluster.

Ray sends this module's code along, instead of importing it there: a machine with another version
of seehear, or without it, can say so. So it imports nothing of seehear at its top.
"""

from __future__ import annotations

from typing import Any


class EncoderActor:
    """One encoder. `prepare` comes first; chunks are encoded in several threads."""

    _encoder: Any

    def prepare(self, version: str, setup: bytes) -> str | None:
        """Load the model; return why this machine cannot be used, or None.

        `setup` is a pickled EncoderSetup.
        """
        import pickle
        from importlib import import_module

        try:
            found = import_module("seehear").__version__
        except ImportError:
            return f"it has no seehear; install seehear {version} there"
        if found != version:
            return f"it has seehear {found}; install seehear {version} there"
        from seehear.errors import SeehearError, one_line
        from seehear.indexers.encoding import ChunkEncoder
        from seehear.libraries import naming_faults

        try:
            with naming_faults():
                self._encoder = ChunkEncoder(pickle.loads(setup))
        except SeehearError as error:
            return one_line(error)
        return None

    def encode(self, chunk: Any) -> Any:
        """Return the EncodedChunk of an EncodeChunk."""
        return self._encoder.encode(chunk)

    def stop(self) -> None:
        """End the chunks in progress early."""
        self._encoder.stop()

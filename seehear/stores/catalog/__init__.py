"""The catalog: what was indexed, where it lies and what it encodes to. The single truth."""

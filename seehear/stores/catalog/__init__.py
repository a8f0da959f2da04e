"""The catalog: what was indexed, its locations and its vectors. The only copy of this data."""

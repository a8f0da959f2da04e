"""Vector indexes: caches of the catalog, which FAISS searches."""

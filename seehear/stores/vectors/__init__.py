"""Vector indexes: caches of the catalog, searched by FAISS."""

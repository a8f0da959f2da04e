"""Read files that lie beyond this machine where they lie: list a root, read whole or in ranges.

    paths       RemotePath: how such a path is kept and shown
    remote      what a root lists, what state a file is in, its content; by fsspec
    errors      SourceError: why a root or a file cannot be read, in one line
    ahead       fetch several files at a time, before they are decoded

The rest of seehear knows no protocol: it asks this room. Credentials come from the usual places of
each library and are never kept. Files of this machine do not come here.
"""

from __future__ import annotations

from seehear.sources.errors import SourceError
from seehear.sources.paths import RemotePath, is_remote, path_of, scheme_of, stored_path

__all__ = ["RemotePath", "SourceError", "is_remote", "path_of", "scheme_of", "stored_path"]

"""Where a person's collection lies, found with no import that a start does not have anyway."""

from __future__ import annotations

import os
from collections.abc import Mapping


def collection_folder(environment: Mapping[str, str]) -> str:
    """Return SEEHEAR_COLLECTION, or the per-user data folder."""
    if chosen := environment.get("SEEHEAR_COLLECTION"):
        return os.path.expanduser(chosen)  # noqa: PTH111
    import platformdirs

    data = platformdirs.user_data_dir("seehear", appauthor=False)
    return os.path.join(data, "collection")  # noqa: PTH118

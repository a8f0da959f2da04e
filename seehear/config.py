"""Define the settings, with their defaults and reasons.

Only the command line and the service read the environment, by `Settings.from_environment`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from seehear.default_folders import collection_folder
from seehear.errors import UsageError

DEFAULT_MODEL = "tiny"
DEFAULT_SPEECH_MODEL = "whisper-base"
DEFAULT_BATCH_SIZE = 32
"""Samples per encoder call: large enough to share among a few cores."""


MODEL_ALIASES = ("text-embedding-3-small", "text-embedding-3-large", "text-embedding-ada-002")
"""Names of models that clients of OpenAI's API ask for."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a collection, besides its folder."""

    model: str = DEFAULT_MODEL
    device: str = "auto"
    """One of "auto", "cpu", "cuda", "cuda:1", "mps"."""
    search_device: str | None = None
    """Device on which large indexes are searched; None means `device`."""
    batch_size: int = DEFAULT_BATCH_SIZE
    speech_model: str | None = None
    """Name or folder of the model that hears speech; None means the one that the collection
    remembers, or the default."""
    decode_workers: int | None = None
    """Worker processes that decode; None means one per core that may be used, at most 8."""
    decode_memory_bytes: int = 4 << 30
    """Address space of one decode worker; a decoder that needs more ends only its worker."""
    decode_timeout_s: float = 120.0
    """Longest wait in seconds for one sample of one file; then the decoder is killed."""
    follow_links: bool = False
    """Also read files outside the indexed folders that links in them lead to."""
    model_aliases: tuple[str, ...] = MODEL_ALIASES
    """Names by which clients of `/v1/embeddings` may ask for the model, besides its own and
    "default"."""
    database: str | None = field(default=None, repr=False)
    """URL of a PostgreSQL database for the catalog; None means a SQLite file in the collection's
    folder. Not shown, because it may contain a password."""

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise UsageError(f"the batch size must be at least 1, not {self.batch_size}")
        if self.decode_workers is not None and self.decode_workers < 1:
            raise UsageError(f"decode workers must be at least 1, not {self.decode_workers}")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Return the defaults, overridden by environment variables.

        SEEHEAR_MODEL, SEEHEAR_SPEECH_MODEL, SEEHEAR_DEVICE, SEEHEAR_BATCH_SIZE, SEEHEAR_WORKERS,
        SEEHEAR_FOLLOW_LINKS (1 or 0), SEEHEAR_DATABASE and SEEHEAR_MODEL_ALIASES (with commas).
        Raises UsageError for a value that is not valid.
        """
        env = os.environ if environment is None else environment
        batch_size = _integer(env, "SEEHEAR_BATCH_SIZE")
        return cls(
            model=env.get("SEEHEAR_MODEL", DEFAULT_MODEL),
            device=env.get("SEEHEAR_DEVICE", "auto"),
            batch_size=DEFAULT_BATCH_SIZE if batch_size is None else batch_size,
            speech_model=env.get("SEEHEAR_SPEECH_MODEL") or None,
            decode_workers=_integer(env, "SEEHEAR_WORKERS"),
            follow_links=bool(_integer(env, "SEEHEAR_FOLLOW_LINKS")),
            database=env.get("SEEHEAR_DATABASE") or None,
            model_aliases=MODEL_ALIASES
            if "SEEHEAR_MODEL_ALIASES" not in env
            else tuple(filter(None, map(str.strip, env["SEEHEAR_MODEL_ALIASES"].split(",")))),
        )


def default_collection(environment: Mapping[str, str] | None = None) -> Path:
    """Return SEEHEAR_COLLECTION, or the per-user data folder."""
    return Path(collection_folder(os.environ if environment is None else environment))


def default_cache(environment: Mapping[str, str] | None = None) -> Path:
    """Return SEEHEAR_CACHE, or the per-user cache folder.

    It contains what is computed once for a model or a machine, and can be deleted at any time.
    """
    env = os.environ if environment is None else environment
    if chosen := env.get("SEEHEAR_CACHE"):
        return Path(chosen).expanduser()
    import platformdirs  # only here: `import seehear` does not load it

    return Path(platformdirs.user_cache_dir("seehear", appauthor=False))


def _integer(env: Mapping[str, str], name: str) -> int | None:
    text = env.get(name)
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"{name} must be a whole number, not {text!r}") from None

"""Define the settings, with their defaults and reasons.

Only the command line and the service read the environment, by `Settings.from_environment`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from seehear.default_folders import collection_folder
from seehear.errors import UsageError

DEFAULT_MODEL = "tiny"
DEFAULT_SPEECH_MODEL = "whisper-base"
DEFAULT_BATCH_SIZE = 32
"""Samples per encoder call: large enough to share among a few cores."""


VECTOR_STORES = ("local", "pgvector", "milvus://HOST:PORT")
MILVUS_PORT = 19530
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
    vectors: str = field(default="local", repr=False)
    """What holds the vectors that are searched: "local", indexes of this process; "pgvector", the
    extension of the PostgreSQL `database`; or the URL of a Milvus server, which needs a `database`
    too: milvus://USER:PASSWORD@HOST:PORT/DATABASE, or milvus+tls:// for an encrypted connection.
    Not shown, because it may contain a password."""

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise UsageError(f"the batch size must be at least 1, not {self.batch_size}")
        if self.decode_workers is not None and self.decode_workers < 1:
            raise UsageError(f"decode workers must be at least 1, not {self.decode_workers}")

        milvus = MilvusAddress.of(self.vectors)
        if milvus is None and self.vectors not in VECTOR_STORES[:2]:
            raise UsageError(
                f"vectors are kept by {' or '.join(VECTOR_STORES)}, not by"
                f' "{self.vectors.partition("://")[0]}"; see SEEHEAR_VECTORS'
            )
        if self.vectors != "local" and self.database is None:
            raise UsageError(
                f"SEEHEAR_VECTORS={milvus or self.vectors} needs a catalog in PostgreSQL; name it"
                " with SEEHEAR_DATABASE"
            )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Return the defaults, overridden by environment variables.

        SEEHEAR_MODEL, SEEHEAR_SPEECH_MODEL, SEEHEAR_DEVICE, SEEHEAR_BATCH_SIZE, SEEHEAR_WORKERS,
        SEEHEAR_FOLLOW_LINKS (1 or 0), SEEHEAR_DATABASE, SEEHEAR_VECTORS and SEEHEAR_MODEL_ALIASES
        (with commas). MILVUS_TOKEN ("user:password", or a key), or MILVUS_USER and MILVUS_PASSWORD,
        are used for a Milvus server whose URL names no user.
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
            vectors=_with_user(env.get("SEEHEAR_VECTORS") or "local", env),
            model_aliases=MODEL_ALIASES
            if "SEEHEAR_MODEL_ALIASES" not in env
            else tuple(filter(None, map(str.strip, env["SEEHEAR_MODEL_ALIASES"].split(",")))),
        )


@dataclass(frozen=True, slots=True)
class MilvusAddress:
    """Where a Milvus server is, and who asks."""

    host: str
    port: int
    database: str
    tls: bool
    token: str = field(default="", repr=False)
    """ "user:password", or a key; empty for a server that asks for none."""

    @classmethod
    def of(cls, url: str) -> MilvusAddress | None:
        """Read a URL; None for one of another kind. Raises UsageError."""
        if not url.startswith(("milvus://", "milvus+tls://")):
            return None
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port or MILVUS_PORT
        except ValueError:
            host, port = None, 0
        if not host or parts.query or parts.fragment or "/" in parts.path[1:]:
            raise UsageError(
                "the URL of a Milvus server is milvus://HOST:PORT or milvus://HOST:PORT/DATABASE;"
                " see SEEHEAR_VECTORS"
            )
        given = [unquote(one) for one in (parts.username, parts.password) if one]
        tls = parts.scheme == "milvus+tls"
        return cls(host, port, unquote(parts.path[1:]), tls, ":".join(given))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        scheme = "milvus+tls" if self.tls else "milvus"
        return f"{scheme}://{host}:{self.port}" + (f"/{self.database}" if self.database else "")


def _with_user(vectors: str, env: Mapping[str, str]) -> str:
    """Put the user that the environment names into the URL of a Milvus server without one."""
    scheme, separator, rest = vectors.partition("://")
    if not scheme.startswith("milvus") or "@" in rest:
        return vectors
    user, password = env.get("MILVUS_USER", ""), env.get("MILVUS_PASSWORD", "")
    if token := env.get("MILVUS_TOKEN"):
        user, _, password = token.partition(":")
    if not user:
        return vectors
    who = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
    return f"{scheme}{separator}{who}@{rest}"


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

"""Get files of models: from the hub's cache, else from the hub, at a pinned revision.

The cache is checked first, so a model that is on this machine loads without a network and never
changes under a collection. Downloads show the hub's own progress bars; the licence is logged.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from seehear.errors import ModelIntegrityError, ModelUnavailableError, one_line
from seehear.files import irregular_entry

_log = logging.getLogger(__name__)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_REACH_S = 5.0
"""Longest wait in seconds for the hub's first answer. The hub's client retries for over 20 s."""


_may_fetch: ContextVar[bool] = ContextVar("may_fetch", default=True)


@contextmanager
def without_fetching() -> Iterator[None]:
    """Load models in this block only from files that are on this machine.

    For models that a collection names: whoever made its catalog must not cause a download.
    """
    before = _may_fetch.set(False)
    try:
        yield
    finally:
        _may_fetch.reset(before)


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file of a hub repository at a fixed revision (a full commit hash)."""

    repo: str
    name: str
    revision: str


def unavailable(
    name: str,
    size_bytes: int | None,
    license: str,  # noqa: A002 -- the word that model cards use
    local: str,
    reason: str,
    option: str = "--model",
) -> ModelUnavailableError:
    """Make the error for missing weights: what they are, and the ways to go on.

    `local` is the name that would point to a copy on disk, `option` how a person gives it.
    """
    size = "of unknown size" if size_bytes is None else _readable(size_bytes)
    return ModelUnavailableError(
        f"model {name} ({size}, licence {license}) is not on this machine and {reason}; connect "
        f"to the network and try again, or point to a copy on disk ({option} {local})"
        + (", or use the bundled model (--model tiny)" if option == "--model" else "")
    )


def _readable(size_bytes: int) -> str:
    if size_bytes >= 1_000_000_000:
        return f"{size_bytes / 1e9:.1f} GB"
    return f"{size_bytes / 1e6:.0f} MB"


class HubModel:
    """The files of one model on the hub, and the error message if they cannot be had."""

    def __init__(
        self,
        name: str,
        size_bytes: int | None,
        license: str,  # noqa: A002
        local: str,
        option: str = "--model",
    ) -> None:
        self.name = name
        self.option = option
        self.size_bytes = size_bytes
        self.license = license
        self.local = local
        self._reached = False
        self._may_fetch = _may_fetch.get()

    def file(self, wanted: HubFile) -> Path:
        """Return one file, from the cache or the hub. Raises ModelUnavailableError."""
        path = self.optional_file(wanted)
        if path is None:
            raise self._unavailable(f"{wanted.repo} has no file {wanted.name} on the hub")
        return path

    def first_file(self, repo: str, names: Sequence[str], revision: str) -> Path:
        """Return the first of several files that the repository has.

        Raises ModelUnavailableError.
        """
        for name in names:
            if (path := self.cached(HubFile(repo, name, revision))) is not None:
                return path
        for name in names:
            if (path := self.optional_file(HubFile(repo, name, revision))) is not None:
                return path
        raise self._unavailable(f"{repo} has none of {', '.join(names)} on the hub")

    def extra_file(self, wanted: HubFile) -> Path | None:
        """Return a file that a repository may lack; None also where the hub cannot be reached."""
        if self._known_missing(wanted):
            return None
        try:
            return self.optional_file(wanted)
        except ModelUnavailableError:
            return None

    def optional_file(self, wanted: HubFile) -> Path | None:
        """Return one file, or None where the repository lacks it.

        Raises ModelUnavailableError where the hub cannot be reached.
        """
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import (
            GatedRepoError,
            HfHubHTTPError,
            LocalEntryNotFoundError,
            RemoteEntryNotFoundError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )

        if (path := self.cached(wanted)) is not None:
            return path
        self._reach()
        _log.info(
            "fetching %s of %s (licence %s) from the hub", wanted.name, wanted.repo, self.license
        )
        try:
            return Path(hf_hub_download(wanted.repo, wanted.name, revision=wanted.revision))
        except RemoteEntryNotFoundError:
            return None
        except GatedRepoError:
            reason = f"the hub gives {wanted.repo} only to people who accept its terms there"
        except RepositoryNotFoundError:
            reason = f"the hub has no repository {wanted.repo}"
        except RevisionNotFoundError:
            reason = f"{wanted.repo} has no revision {wanted.revision} on the hub"
        except LocalEntryNotFoundError:
            reason = "the hub cannot be reached"
        except (HfHubHTTPError, OSError) as error:
            reason = f"fetching it failed ({one_line(error)})"
        raise self._unavailable(reason)

    def cached(self, wanted: HubFile) -> Path | None:
        """Return the file in the hub's cache, or None. Uses no network."""
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(wanted.repo, wanted.name, revision=wanted.revision)
        return Path(found) if isinstance(found, str) else None

    def _known_missing(self, wanted: HubFile) -> bool:
        """Tell whether the cache knows that the repository lacks a file."""
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(wanted.repo, wanted.name, revision=wanted.revision)
        return found is not None and not isinstance(found, str)

    def _reach(self) -> None:
        """Check once, with a short wait, whether the hub answers. Raises ModelUnavailableError."""
        if self._reached:
            return
        if not self._may_fetch:
            size = "of unknown size" if self.size_bytes is None else _readable(self.size_bytes)
            raise ModelUnavailableError(
                f"the collection was indexed with the model {self.name} ({size}, licence "
                f"{self.license}), which is not on this machine; fetch it with "
                f"`seehear index FOLDER {self.option} {self.name}`"
            )
        from huggingface_hub import constants, get_session
        from huggingface_hub.errors import OfflineModeIsEnabled

        try:
            get_session().head(constants.ENDPOINT, timeout=_REACH_S)
        except OfflineModeIsEnabled:
            raise self._unavailable("the hub is switched off here (HF_HUB_OFFLINE)") from None
        except Exception:  # its type depends on the HTTP client of the installed hub library
            raise self._unavailable("the hub cannot be reached") from None
        self._reached = True

    def _unavailable(self, reason: str) -> ModelUnavailableError:
        return unavailable(
            self.name, self.size_bytes, self.license, self.local, reason, self.option
        )


def check_folder(folder: Path) -> None:
    """Raise ModelIntegrityError for a model folder that holds a pipe, a device or a broken link."""
    try:
        odd = irregular_entry(folder)
    except OSError as error:
        raise ModelIntegrityError(f"{folder} cannot be read: {error.strerror or error}") from None
    if odd is not None:
        raise ModelIntegrityError(f"{odd} is not a regular file; copy the model again")


def revision_of(path: Path) -> str:
    """Return what identifies weights: the commit for a file in the hub's cache, else its SHA-256.

    Returns the first 12 digits.
    """
    parts = path.parts
    if "snapshots" in parts[:-1]:
        commit = parts[len(parts) - 1 - parts[::-1].index("snapshots") + 1]
        if _COMMIT.fullmatch(commit):
            return commit[:12]
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]

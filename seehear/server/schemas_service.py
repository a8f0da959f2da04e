"""Define what tells of the service itself: its state, signing in, index runs."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from seehear.server.schemas import Strict, Words


class RootOut(BaseModel):
    label: str
    online: bool
    indexable: bool = Field(description="True if `POST /v1/index` may index it.")


class Status(BaseModel):
    """What the collection holds; nothing yet while the model is loading."""

    version: str
    collection: str | None = Field(
        default=None, description="The name of the collection where the service has several."
    )
    ready: bool = Field(description="False while the model is loading: `message` says more.")
    message: str | None = None
    model: str | None = None
    revision: str | None = None
    assets: int = 0
    segments: int = 0
    locations: int = 0
    files: dict[str, int] = Field(
        default={},
        description="Files that were met, each in one state: complete, partial, without_content, "
        "failed, skipped.",
    )
    failures: int = 0
    size_bytes: int = 0
    by_modality: dict[str, int] = {}
    subtitles: int = Field(
        default=0, description="Subtitle files beside their video, which are no assets."
    )
    unsupported: dict[str, int] = Field(
        default={}, description="Files of kinds that are not read, by suffix."
    )
    read: dict[str, dict[str, Any]] = Field(
        default={},
        description="How far each reader has come (`speech`, `writing`): `files` that it may read, "
        "those `read`, `found` and `failed`, its `passages`, `speech_s`, `engines`.",
    )
    hears: bool = Field(
        default=False, description="True if files can be sent as `say`: the extra is installed."
    )
    reveals: bool = Field(
        default=False, description="True if files can be shown in their folder (`--reveal`)."
    )
    index: str = "empty"
    roots: list[RootOut] = []
    limits: dict[str, Any]


class CollectionOut(BaseModel):
    """One of the collections of a service."""

    name: str
    address: str = Field(description="Of its page; its endpoints are below: `/NAME/v1/search`.")
    ready: bool = Field(description="False while it is not open: `message` says why.")
    message: str | None = None
    assets: int = 0
    locations: int = 0
    by_modality: dict[str, int] = {}


class Collections(BaseModel):
    """The collections of a service."""

    collections: list[CollectionOut]


class Folders(BaseModel):
    """Folders that `under` accepts, by label."""

    folders: list[str]
    complete: bool = Field(description="False if there are more folders than listed.")


class IndexRequest(Strict):
    """Which of the roots given with `--root` to index; leave out to index all."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{}, {"retry_failed": True}]}
    )

    roots: list[Words] = Field([], max_length=100)
    retry_failed: bool = False
    read: list[Literal["speech", "writing", "none"]] | None = Field(
        None,
        max_length=2,
        description="What readers shall read from now on; leave out to keep it.",
    )
    read_for_s: float | None = Field(
        None, gt=0, description="Stop reading after so many seconds; the next run goes on."
    )


class JobProgress(BaseModel):
    stage: str = Field(
        description="scan, encode, clean, cut, mark, prepare, read, done; in this order."
    )
    files_done: int = Field(description="Only grows within a stage; equals the total at the end.")
    files_total: int | None = Field(None, description="New and changed files; null during scan.")
    failed: int
    files_per_s: float
    left_s: float | None = None
    current: str | None = Field(None, description="Name of a file being indexed.")
    audio_left_s: float = Field(0.0, description="Seconds of sound that are still to hear.")
    images_left: int = Field(0, description="Pictures, frames and pages still to look at.")


class JobReport(BaseModel):
    added: int
    updated: int
    moved: int
    removed: int
    unchanged: int
    partial: int = Field(description="Files that are indexed as far as they can be read.")
    without_content: int = Field(description="Files that are found by their name only.")
    skipped: int
    unsupported: dict[str, int] = Field(
        description="How many of the skipped files are of kinds that are not read, by suffix."
    )
    failed: int
    interrupted: bool
    seconds: float
    offline: list[str]
    notes: list[str] = Field(
        [],
        description="What went otherwise than asked, without paths: folders that could not be "
        "listed, invalid lines in ignore files.",
    )
    failures: list[dict[str, str]] = Field(
        description="The first 100 failed files: `name`, `stage`, `reason`."
    )
    read: dict[str, Any] | None = Field(
        None,
        description="What readers did: `readers` by name, `failures`, `faults` (why a reader "
        "cannot be used), `left_s`, `out_of_time`; null without readers.",
    )


class Job(BaseModel):
    """An index run."""

    id: str
    state: Literal["running", "done", "stopped", "failed"]
    roots: list[str]
    progress: JobProgress | None = None
    report: JobReport | None = None
    error: str | None = None


class Jobs(BaseModel):
    jobs: list[Job]


class Session(BaseModel):
    """Says if the page must sign in."""

    required: bool
    signed_in: bool


class SignIn(Strict):
    """The token that the service was started with."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"token": "sixteen characters, or more"}]}
    )

    token: str = Field(max_length=1000)


class Health(BaseModel):
    status: str

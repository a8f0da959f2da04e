"""Define the answers to those who look through the collection without a query."""

from __future__ import annotations

from pydantic import BaseModel, Field

from seehear.types import Modality


class BrowseGroup(BaseModel):
    """The files of one day, folder or kind."""

    key: str = Field(description="`2024-06-01` (or `2024-06`, `2024`), a folder, or a kind.")
    count: int


class Browsing(BaseModel):
    """How the files of a collection are grouped, in order."""

    groups: list[BrowseGroup]
    total: int
    version: str = Field(description="Changes with the collection; send it for `items`.")


class BrowsedOut(BaseModel):
    """One file, as it is shown to those who look through the collection."""

    asset_id: int
    segment_id: int | None = Field(description="Of its beginning, for `like` of a search.")
    modality: Modality
    format: str
    name: str
    folder: str
    snippet: str | None = Field(None, description="How a text begins.")
    width_px: int | None = None
    height_px: int | None = None
    duration_s: float | None = None
    taken_at: str | None = Field(None, description="Local time, as far as it is known.")
    city: str | None = None
    country: str | None = None
    camera: str | None = None
    people: str | None = Field(None, description="Names, separated by semicolons.")
    thumbnail: str | None = Field(None, description="Address of a preview picture.")
    media: str = Field(description="Address of the file itself.")


class BrowseItems(BaseModel):
    """A window of the files of a collection."""

    items: list[BrowsedOut]
    version: str


class Suggestions(BaseModel):
    """Queries that the collection has an answer to."""

    queries: list[str]

"""Define the requests and answers of items, and of lists of assets, as pydantic models."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from seehear.server.parameters import read_json
from seehear.server.schemas import Strict, Words
from seehear.types import Modality

ItemId = Annotated[str, Field(min_length=1, max_length=500)]
Value = bool | int | float | str | list[str] | None


def _from_json(value: Any) -> Any:
    """Return what a field of a form holds: a form has texts only."""
    return read_json(value) if isinstance(value, str) else value


class NewItemIn(Strict):
    """An item to add: a text, or the next file of the form."""

    id: ItemId | None = None
    text: Words | None = None
    fields: dict[str, Value] = Field({}, description="Fields of one's own, by name.")


class AddRequest(Strict):
    """Items to add, all of one kind: texts, or the files of the form in their order."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"items": [{"id": "note-1", "text": "A red shoe.", "fields": {"price": 80}}]}
            ]
        }
    )

    items: Annotated[list[NewItemIn], BeforeValidator(_from_json)] = Field(min_length=1)
    keep: bool = Field(False, description="Keep the bytes of media; texts are kept always.")
    replace: bool = Field(False, description="Replace items whose id is in use.")


class AddAnswer(BaseModel):
    """The ids of what was added, in the order of the request."""

    ids: list[str]


class FieldsRequest(Strict):
    """Fields to change; null removes one."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"fields": {"price": 75, "colour": None}}]}
    )

    fields: dict[str, Value]


class ItemOut(BaseModel):
    """An item that was added through the service or from a program."""

    id: str
    asset_id: int
    modality: Modality
    format: str
    fields: dict[str, Value]
    text: str | None = Field(description="The whole text, if it is one.")
    kept: str | None = Field(description="The file name of what is kept of it.")
    added_at: str
    changed_at: str


class ItemsAnswer(BaseModel):
    """A page of items."""

    items: list[ItemOut]
    cursor: str | None = Field(description="What to ask with for the next page.")


class ListedAsset(BaseModel):
    """An asset in a list; `/v1/assets/{asset_id}` has more."""

    asset_id: int
    modality: Modality
    format: str
    size_bytes: int
    width_px: int | None
    height_px: int | None
    duration_s: float | None
    taken_at: str | None


class AssetsAnswer(BaseModel):
    """A page of assets: contents of files, and items."""

    assets: list[ListedAsset]
    cursor: str | None = Field(description="What to ask with for the next page.")


class Deleted(BaseModel):
    """How many files or items were taken out of the collection."""

    deleted: int


class ServedModel(BaseModel):
    """A model by a name that requests may use."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "seehear"


class ModelsAnswer(BaseModel):
    """The names of models in the shape of OpenAI's API."""

    object: Literal["list"] = "list"
    data: list[ServedModel]

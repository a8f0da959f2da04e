"""Define the request and the answer of OpenAI's embeddings API as pydantic models."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from seehear.server.schemas import Words


class OpenAIEmbeddingsRequest(BaseModel):
    """A request in the shape of OpenAI's API; other fields are ignored."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={"examples": [{"model": "default", "input": ["a red car", "birdsong"]}]},
    )

    input: Words | list[Words] = Field(description="One or more texts; token numbers are refused.")
    model: str = Field(
        "default", max_length=200, description="The served model's name, or `default`."
    )
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(None, ge=1, description="Must be the model's own dimension.")
    user: str | None = None


class OpenAIEmbedding(BaseModel):
    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class OpenAIUsage(BaseModel):
    prompt_tokens: int
    total_tokens: int


class OpenAIEmbeddings(BaseModel):
    """An answer in the shape of OpenAI's API."""

    object: Literal["list"] = "list"
    data: list[OpenAIEmbedding]
    model: str
    usage: OpenAIUsage

"""Complete the OpenAPI document: examples, forms, and the errors to expect."""

from __future__ import annotations

from typing import Any

from seehear.server.schemas import EmbedRequest, Problem, SearchRequest

_MEANINGS = {
    400: ("bad_request", "the request cannot be read"),
    401: ("unauthorised", "send the token: Authorization: Bearer TOKEN"),
    403: ("foreign_origin", "requests from other sites are refused"),
    404: ("no_such_asset", "no asset has the number 7"),
    408: ("too_slow", "the request did not arrive in time"),
    409: ("already_running", "an index run is already in progress"),
    413: ("media_too_large", "film.mp4: is longer than 30 minutes"),
    415: ("content_type", "send application/json or multipart/form-data"),
    422: ("bad_query", "the query is empty; give a text, a file, or hits in `like`"),
    503: ("busy", "too many queries at once; try again"),
}


Responses = dict[int | str, dict[str, Any]]


def problems(*statuses: int, besides: Responses | None = None) -> Responses:
    """Return the `responses` of an endpoint: `besides`, and these errors.

    400, 408, 421 and 422 may come of any endpoint: a request that cannot be read, one that does not
    arrive, a wrong Host header, a parameter that the endpoint does not have.
    """
    described: Responses = dict(besides or {})
    for status in dict.fromkeys((*statuses, 400, 408, 421, 422)):
        code, message = _MEANINGS.get(
            status, ("wrong_host", "unknown host name; add it with `seehear serve --name`")
        )
        kind = "invalid_request_error" if status < 500 else "server_error"
        described[status] = {
            "model": Problem,
            "description": message[0].upper() + message[1:] + ".",
            "content": {
                "application/json": {
                    "example": {"error": {"code": code, "message": message, "type": kind}}
                }
            },
        }
    return described


def _inlined(model: type[Any]) -> dict[str, Any]:
    """Return a model's JSON schema without references, for bodies that FastAPI does not read."""
    schema: dict[str, Any] = model.model_json_schema()
    definitions = schema.pop("$defs", {})

    def replaced(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                rest = {key: value for key, value in node.items() if key != "$ref"}
                return replaced(definitions[node["$ref"].rpartition("/")[2]]) | rest
            return {key: replaced(value) for key, value in node.items()}
        if isinstance(node, list):
            return [replaced(item) for item in node]
        return node

    inlined: dict[str, Any] = replaced(schema)
    return inlined


def _form(model: type[Any], file_fields: dict[str, str]) -> dict[str, Any]:
    """Return the schema of a form with these fields, without `parts`, and with files."""
    fields = dict(_inlined(model)["properties"])
    fields.pop("parts", None)
    files = {
        name: {
            "type": "array",
            "items": {"type": "string", "format": "binary"},
            "description": meaning,
        }
        for name, meaning in file_fields.items()
    }
    return {"type": "object", "properties": fields | files}


def _body(
    model: type[Any], examples: dict[str, Any], form: dict[str, Any], form_example: dict[str, Any]
) -> dict[str, Any]:
    return {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": _inlined(model), "examples": examples},
                "multipart/form-data": {"schema": form, "example": form_example},
            },
        }
    }


SEARCH = _body(
    SearchRequest,
    {
        "words": {"summary": "Search by words", "value": {"text": "a red car at night", "k": 5}},
        "excluding": {
            "summary": "Leave something out; search two kinds in one folder",
            "value": {
                "text": "the sea",
                "without": "people",
                "modalities": ["image", "video"],
                "under": "Pictures/2024",
            },
        },
        "weighted": {
            "summary": "Give each part a weight",
            "value": {"parts": [{"text": "red", "weight": 2}, {"text": "car"}], "explain": True},
        },
        "refined": {
            "summary": "Find more like some hits and less like others",
            "value": {"text": "a bird", "like": [12, 40], "unlike": [7]},
        },
    },
    _form(
        SearchRequest,
        {
            "file": "Files of any kind to search by.",
            "image": "Images to search by; other kinds are refused.",
            "audio": "Sounds to search by; other kinds are refused.",
            "video": "Videos to search by; other kinds are refused.",
            "without_file": "Files that hits must not be like.",
        },
    ),
    {"text": ["at night"], "k": 5},
)

EMBED = _body(
    EmbedRequest,
    {"texts": {"summary": "Embed two texts", "value": {"texts": ["a red car", "birdsong"]}}},
    _form(EmbedRequest, {"file": "One file of any kind, instead of texts."}),
    {"texts": ["a red car"]},
)

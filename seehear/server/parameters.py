"""Check the parameters of addresses and the keys of JSON: names, and that each is given once."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any, get_args, get_origin
from urllib.parse import parse_qsl, urlencode

from fastapi import HTTPException, Request, Response, params
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute

from seehear.arguments import own_named
from seehear.errors import UsageError
from seehear.server.folder_labels import printable
from seehear.server.problems import ServiceError

JSON = "application/json"

_LISTED = frozenset({"modalities"})
"""Parameters of several values that may also be written with commas, as other interfaces do."""
_MOST_PARAMETERS = 1_000


class CheckedRoute(APIRoute):
    """Refuse an address with a parameter that the endpoint does not have, or with one twice.

    Refuse JSON that has a key twice, of which every parser takes another one.

    The words of the other interfaces (`kinds=image,video`) stand for the endpoint's own.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()
        fields = {one.alias: one.field_info for one in get_flat_params(self.dependant)}
        lists = {
            name: _is_list(field.annotation)
            for name, field in fields.items()
            if not isinstance(field, params.Path)  # no endpoint reads headers or cookies so
        }

        async def checked(request: Request) -> Response:
            query = request.scope["query_string"]
            if query:
                own = own_parameters(self.path, query, lists)
                request = Request({**request.scope, "query_string": own}, request.receive)
            return await answer(_CheckedRequest(request.scope, request.receive))

        return checked if "/v1/" in self.path else answer


class _CheckedRequest(Request):
    """A request whose body FastAPI asks for as JSON."""

    async def json(self) -> Any:
        try:
            return read_json(await self.body())
        except ServiceError as error:  # FastAPI lets no other one through
            raise HTTPException(error.status, error.message) from None


def content_kind(request: Request) -> str:
    """Return the type of a request's body, without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def read_json(text: bytes | str) -> Any:
    """Parse JSON. Raises ServiceError 422 for a key that is given twice, ValueError as Python's."""
    return json.loads(text, object_pairs_hook=_each_once)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _refused(f"{printable(twice)} is given twice: give it once")
    return found


def own_parameters(path: str, query: bytes, lists: dict[str, bool]) -> bytes:
    """Return the query of an address by the names of its endpoint: True in `lists` for a list.

    Raises ServiceError 422 for an unknown name, and for what is given twice.
    """
    try:
        pairs = parse_qsl(
            query.decode("latin-1"), keep_blank_values=True, max_num_fields=_MOST_PARAMETERS
        )
    except ValueError:
        raise _refused(f"the address has more than {_MOST_PARAMETERS:,} parameters") from None
    try:
        named = own_named(pairs, lists, f"{path} has no parameter")
    except UsageError as error:
        raise _refused(str(error)) from None
    own: list[tuple[str, str]] = []
    for name, value in named:
        if not lists[name] and any(name == known for known, _ in own):
            raise _refused(f"{name} is given twice: give it once")
        values = [one for one in value.split(",") if one] if name in _LISTED else [value]
        own += [(name, one) for one in values]
    return urlencode(own).encode()


def _refused(message: str) -> ServiceError:
    return ServiceError(422, "invalid", message[:500])


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) is list or any(map(_is_list, get_args(annotation)))

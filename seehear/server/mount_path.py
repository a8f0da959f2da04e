"""Tell where an application is mounted: what its addresses begin with, and what comes after that.

An application that another one mounts at /photos, or that a proxy serves there, is told so by
`root_path` in ASGI's scope, and gives all of its addresses with it.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from starlette.types import Scope

mount_path: ContextVar[str] = ContextVar("mount_path", default="")
"""What the addresses of the application that answers begin with, such as "/photos"."""


def mount_path_of(scope: Scope) -> str:
    """Return what the addresses of the application of a request begin with; "" at the root."""
    return quote(scope.get("root_path", "").rstrip("/"))


def path_below(scope: Scope) -> str:
    """Return the path of a request as its application knows it, such as "/v1/search"."""
    path: str = scope["path"]
    below = path.removeprefix(scope.get("root_path", ""))
    # As Starlette's routes see it: what is checked must be what answers.
    return below if below.startswith("/") or not below else path


def full_address(path: str) -> str:
    """Return the address of a path of this application, from the root of the host on."""
    return mount_path.get() + path

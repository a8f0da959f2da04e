"""The HTTP service and its web page (extra `server`), and the MCP server (extra `mcp`).

    from seehear.server import create_app     # an ASGI application over one collection
    from seehear.server import serve          # the same, run by uvicorn until interrupted

Both names are imported when they are first used: the core does not need FastAPI.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seehear.limits import ServiceLimits
    from seehear.server.app import create_app
    from seehear.server.run import serve

__all__ = ["ServiceLimits", "create_app", "serve"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from seehear.libraries import naming_faults

    with naming_faults():
        from seehear import limits
        from seehear.server import app, run
    found: dict[str, object] = {
        "create_app": app.create_app,
        "serve": run.serve,
        "ServiceLimits": limits.ServiceLimits,
    }
    return found[name]

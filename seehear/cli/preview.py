"""Thumbnails of hits in the terminal: `seehear search --preview`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from seehear.cli.output import INDENT, note, printable
from seehear.errors import MediaError, UsageError
from seehear.suggestions import did_you_mean
from seehear.types import Modality

if TYPE_CHECKING:
    from seehear.cli.contact_sheet import Draw
    from seehear.media.terminal import Graphics
    from seehear.types import Hit

FORCED = "SEEHEAR_PREVIEW"
"""Names the way to draw, for a terminal that does not say what it can (or a pipe)."""
COLUMNS, ROWS = 32, 9
"""Most of a thumbnail, in characters."""

_BY_PROGRAM = {
    "ghostty": "kitty",
    "iterm.app": "iterm2",
    "iterm2": "iterm2",
    "wezterm": "iterm2",
    "vscode": "iterm2",
}
_BY_TERM = (
    ("kitty", "kitty"), ("ghostty", "kitty"), ("foot", "sixel"), ("mlterm", "sixel"),
    ("contour", "sixel"), ("sixel", "sixel"),
)  # fmt: skip


def previews(draw: Draw) -> Callable[[Hit], str | None] | None:
    """Return the function that draws a hit, or None, with one line that says why not.

    Raises UsageError for an unknown way to draw.
    """
    from seehear.media.terminal import Graphics

    way = _way()
    if way is None:
        note(
            "This terminal shows no pictures. Use --sheet FILE.html for a page with pictures, or "
            f"set {FORCED} to {', '.join(Graphics)}"
        )
        return None
    try:
        graphics = Graphics(way)
    except ValueError:
        hint = did_you_mean(way, Graphics)
        raise UsageError(f'No {FORCED} "{way}".{hint} Use {", ".join(Graphics)}') from None
    if graphics in (Graphics.BLOCKS, Graphics.SIXEL):
        from importlib.util import find_spec

        if find_spec("timg") is None:
            note(
                "--preview in this terminal needs one package more: pip install 'seehear[preview]'"
            )
            return None
    return partial(_drawn, graphics=graphics, draw=draw)


def _way() -> str | None:
    """Return the best way to draw here, or None if the terminal cannot draw."""
    if forced := os.environ.get(FORCED):
        return forced.lower()
    term = os.environ.get("TERM", "")
    if not sys.stdout.isatty() or term in ("", "dumb"):
        return None
    if "KITTY_WINDOW_ID" in os.environ:
        return "kitty"
    for name in ("TERM_PROGRAM", "LC_TERMINAL"):
        if way := _BY_PROGRAM.get(os.environ.get(name, "").lower()):
            return way
    return next((way for part, way in _BY_TERM if part in term), "blocks")


def _drawn(hit: Hit, graphics: Graphics, draw: Draw) -> str | None:
    """Return the picture of a hit, or why it is missing."""
    from seehear.media.terminal import terminal_image

    if hit.modality is Modality.TEXT:
        return None  # its passage stands there already
    try:
        image, _ = draw(hit)
    except (MediaError, OSError) as error:
        return f"{INDENT}(no preview: {printable(' '.join(str(error).split()))})"
    text = terminal_image(image, graphics, COLUMNS, ROWS)
    return "\n".join(INDENT + line for line in text.split("\n"))

"""The contact sheet: one HTML file that a browser opens, with every picture inside it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

from seehear.cli.output import clock, display_path
from seehear.errors import MediaError
from seehear.files import write_output
from seehear.libraries import fault_of
from seehear.types import Hit, Modality

Draw = Callable[[Hit], tuple[bytes, str]]
"""Draws a hit: gives the picture and its content type. Raises MediaError."""

_STYLE = """
:root { color-scheme: light dark; background: Canvas; color: CanvasText;
  font: 15px/1.45 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 1200px; padding: 0 1rem; }
h1 { font-size: 1.3rem; font-weight: 600; }
ol { display: grid; grid-template-columns: repeat(auto-fill, minmax(230px, 1fr)); gap: 1rem;
     list-style: none; padding: 0; }
li { border: 1px solid color-mix(in srgb, currentColor 20%, transparent); border-radius: 10px;
     overflow: hidden; }
li.weak .view { opacity: .6; }
.view { aspect-ratio: 4 / 3; background: color-mix(in srgb, currentColor 8%, transparent);
        display: grid; place-items: center; overflow: hidden; }
.view img { width: 100%; height: 100%; object-fit: cover; }
.view blockquote { margin: 1rem; font-style: italic; }
.view a { display: contents; }
.caption { padding: .6rem .8rem; overflow-wrap: anywhere; }
a { color: light-dark(#4a3fb0, #b1a6ff); }
audio { width: 100%; height: 2.2rem; }
meter { width: 100%; }
"""


def write_sheet(
    path: Path, title: str, hits: Sequence[Hit], draw: Draw, *, force: bool = False
) -> None:
    """Write the sheet; `force` replaces a file that exists.

    Raises UsageError if the file must not be written, StoreError if it cannot be written.
    """
    items = "\n".join(_item(hit, draw) for hit in hits) or "<p>Nothing found.</p>"
    page = (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>seehear: {escape(title)}</title><style>{_STYLE}</style>"
        f"<body><main><h1>{escape(title)}</h1><ol>{items}</ol></main></body></html>\n"
    )
    write_output(path, [page.encode("utf-8", "backslashreplace")], force=force)


def _item(hit: Hit, draw: Draw) -> str:
    # A path that is too long for a line breaks at its separators.
    path = "/<wbr>".join(map(escape, display_path(hit.path).split("/")))
    times = f" · {clock(hit.moment[0])}–{clock(hit.moment[1])}" if hit.moment else ""
    kind = (
        str(hit.modality)
        if hit.matched_modality == hit.modality
        else f"{hit.modality} ({hit.matched_modality})"
    )
    weak = ' class="weak"' if hit.weak else ""
    return (
        f'<li{weak}><div class="view">{_view(hit, draw)}</div><div class="caption">'
        f'<meter aria-label="score" min="0" max="1" value="{hit.score:.3f}">{hit.score:.2f}</meter>'
        f"<strong>{hit.rank}.</strong> {_linked(hit, path)}<br>"
        f"<small>{escape(kind)}{times} · {hit.score:.2f}</small>{_player(hit)}</div></li>"
    )


def _address(hit: Hit) -> str:
    """Return the address of the file at its moment, which browsers play, or at its page."""
    times = f"#t={hit.moment[0]:.2f},{hit.moment[1]:.2f}" if hit.moment else ""
    return escape(hit.path.absolute().as_uri() + (f"#page={hit.page}" if hit.page else times))


def _linked(hit: Hit, shown: str, more: str = "") -> str:
    """Return HTML as a link to the file of a hit; an item has no file."""
    return shown if hit.id is not None else f'<a href="{_address(hit)}"{more}>{shown}</a>'


def _player(hit: Hit) -> str:
    if hit.modality is not Modality.AUDIO or hit.id is not None:
        return ""
    return f'<audio controls preload="none" src="{_address(hit)}"></audio>'


def _view(hit: Hit, draw: Draw) -> str:
    """Return the HTML of a thumbnail, the moment's frame, a spectrogram or the passage."""
    if hit.matched_modality is Modality.TEXT and hit.modality is Modality.TEXT:
        return f"<blockquote>{escape((hit.snippet or '')[:240])}</blockquote>"
    try:
        image, kind = draw(hit)
    except (MediaError, OSError) as error:
        if (fault := fault_of(error)) is not None:
            raise fault from error
        return f"<small>{escape(str(error))}</small>"
    data = base64.b64encode(image).decode("ascii")
    drawn = f'<img alt="" src="data:{kind};base64,{data}">'
    return _linked(hit, drawn, ' tabindex="-1" aria-hidden="true"')

"""Commands about moments: show what an address names."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from seehear.cli import output
from seehear.cli.commands_search import PreviewOption
from seehear.cli.options import CollectionOption, JsonOption, open_collection
from seehear.cli.output import clock, display_path
from seehear.errors import UsageError
from seehear.serialize import asset_to_dict


def show(
    address: Annotated[
        str,
        typer.Argument(
            metavar="ADDRESS",
            help="Address of a moment, such as seehear://4d0f8c21a97be356/123#t=12.5,19.",
        ),
    ],
    open_it: Annotated[
        bool, typer.Option("--open", help="Open it: with mpv or VLC at its time, if one is there.")
    ] = False,
    preview: PreviewOption = False,
    collection: CollectionOption = None,
    json: JsonOption = False,
) -> None:
    """Show what the address of a moment names: its file, its time and its words.

    `seehear search --addresses` prints addresses, and so do --json, Python, HTTP and assistants.
    """
    if json and preview:
        raise UsageError("Use either --json or --preview, not both")
    with open_collection(collection) as library:
        hit = library.hit_at(address)
        asset = library.asset(hit.asset_id)
        assert asset is not None
        if json:
            facts = asset_to_dict(asset) | {"path": str(hit.path), "address": hit.address}
            told = {"start_s": hit.start_s, "stop_s": hit.stop_s, "page": hit.page}
            output.print_json(facts | told | {"text": hit.text})
        else:
            rows: dict[str, Any] = {
                "file": display_path(hit.path),
                "type": f"{asset.modality} ({asset.format})",
                "moment": hit.moment and " - ".join(map(clock, hit.moment)),
                "page": hit.page,
                "length": asset.duration_s and clock(asset.duration_s),
                "taken": asset_to_dict(asset)["taken_at"],
                "text": hit.text and " ".join(hit.text.split()),
            }
            for name, value in rows.items():
                if value:
                    output.print_line(f"{name:<8}{value}")
        if preview:
            from seehear.cli.preview import previews

            drawn = (draw := previews(library.thumbnail)) and draw(hit)
            output.write_lines([drawn] if drawn else [])
        if open_it:
            from seehear.cli.show_hits import open_file

            open_file(hit)


def register(app: typer.Typer) -> None:
    app.command()(show)

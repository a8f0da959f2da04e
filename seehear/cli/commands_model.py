"""Commands about models: list them, train your own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seehear.cli import output
from seehear.cli.options import DeviceOption, JsonOption


def models(json: JsonOption = False) -> None:
    """List the models, with size and licence."""
    from seehear.encoders import available_models

    cards = available_models()
    if json:
        output.print_json(
            [
                {
                    "name": card.name,
                    "summary": card.summary,
                    "licence": card.license,
                    "size_bytes": card.size_bytes,
                    "modalities": [str(m) for m in card.modalities],
                    "present": card.present,
                }
                for card in cards
            ]
        )
        return
    # A name is there to be typed: it stands whole, however narrow the terminal.
    for card in cards:
        size = output.size(card.size_bytes) if card.size_bytes else "size varies"
        here = "installed" if card.present else "downloaded on first use"
        typer.echo(f"{card.name}\n    {card.summary}\n    {size} · {card.license} · {here}")


def train(
    pairs: Annotated[
        Path,
        typer.Option(
            "--pairs", metavar="FILE", help='JSON Lines of {"path": FILE, "text": SENTENCE}.'
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the new model.")],
    init: Annotated[
        str, typer.Option("--init", metavar="NAME", help="Model to start from.")
    ] = "tiny",
    epochs: Annotated[
        int, typer.Option("--epochs", metavar="N", min=1, help="Passes over the pairs.")
    ] = 5,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first pair that cannot be read.")
    ] = False,
    device: DeviceOption = None,
    json: JsonOption = False,
) -> None:
    """Fine-tune a model on your own files and sentences.

    Use it with --model FOLDER.
    """
    from seehear.training import fine_tune

    report = fine_tune(
        pairs, init=init, out=out, epochs=epochs, strict=strict, device=device or "auto"
    )
    if json:
        output.print_json(report.as_json())
    else:
        for line in report.lines():
            output.note(line)


def register(app: typer.Typer) -> None:
    for command in (models, train):
        app.command()(command)

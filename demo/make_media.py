"""Make the demo folder: photographs, sounds, clips with sound tracks, and notes.

    python demo/make_media.py demo/media

The photographs are those that scikit-image carries inside its wheel. The sounds are synthesised by
`demo/sounds.py`; the clips are made of both, and each shows one thing and then another, so that a
moment can be found inside it. LICENCES.md in the folder has a line for each file.
"""

from __future__ import annotations

import sys
import wave
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from skimage import data

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from demo import sounds
from demo.speech import say

Picture = NDArray[np.uint8]

PHOTOS = {
    "astronaut": "Eileen Collins, NASA; public domain",
    "camera": "a man with a camera, Lav Varshney; CC0",
    "cat": "Chelsea the cat, Stefan van der Walt; CC0",
    "clock": "a wall clock, blurred by motion; BSD-3-Clause",
    "coffee": "a cup of coffee, Rachel Michetti; CC0",
    "coins": "Greek coins from Pompeii, Brooklyn Museum; no known restrictions",
    "grass": "grass, linolafett; CC0",
    "gravel": "gravel, CC0Textures; CC0",
    "brick": "a brick wall, CC0Textures; CC0",
    "horse": "a horse's silhouette; BSD-3-Clause",
    "hubble_deep_field": "the Hubble deep field, NASA; public domain",
    "moon": "the surface of the moon; BSD-3-Clause",
    "motorcycle": "a motorcycle, Middlebury stereo data 2014, D. Scharstein et al.",
    "page": "a printed page; BSD-3-Clause",
    "retina": "a human retina, Mikael Häggström; CC0",
    "rocket": "a SpaceX rocket at launch; CC0",
    "colorwheel": "a colour wheel; BSD-3-Clause",
}

# Each clip: the pictures it shows one after the other, with the sound under each.
CLIPS = {
    "morning.mp4": (("coffee", sounds.clock_ticking), ("cat", sounds.cat_meowing)),
    "mission.mp4": (("astronaut", sounds.piano_melody), ("rocket", sounds.rocket_launch)),
    "garage.mkv": (("coins", sounds.coins_jingling), ("motorcycle", sounds.motorcycle_engine)),
}

NOTES = {
    "walk-by-the-sea.md": """# A walk by the sea

We walked along the beach in the evening. The waves came in slowly, gulls were crying above us, and
far out a sailing boat crossed the setting sun.
""",
    "coffee.md": """# How I brew coffee

Grind eighteen grams of beans, heat the water to ninety-three degrees, and pour it slowly in
circles over the filter. The cup should smell of chocolate and oranges.
""",
    "space.md": """# Notes on space flight

A rocket carries astronauts into orbit around the Earth. The launch shakes the ground for miles;
eight minutes later the engines stop and everything floats.
""",
    "cat-diary.md": """# Diary of the cat

The cat slept on the sofa until noon, then sat at the window, watched the birds in the garden, and
meowed until somebody opened the can.
""",
}

MESSAGE = "Turn left at the old lighthouse, and walk along the harbour until you see the blue door."
"""What is said in one of the sounds."""
SIGN = ("Harbour Street", "BAKERY")
"""What is painted on a wall in one of the photographs."""
SONG = """[ti:The lantern]
[ar:seehear]
[00:00.50]Carry a lantern across the snow
[00:03.00]follow the river where the willows grow
[00:05.50]somebody waits at the end of the road
"""
"""The words of the piano's melody, each line with its time."""

SIZE = (480, 360)
FRAMES_PER_S = 12


def photo(name: str) -> Picture:
    """One of scikit-image's photographs: uint8 (height, width, 3)."""
    pixels = {
        "motorcycle": lambda: data.stereo_motorcycle()[0],
        "horse": lambda: (~data.horse()).astype(np.uint8) * 255,
    }.get(name, getattr(data, name, None))
    assert pixels is not None, name
    return np.asarray(Image.fromarray(pixels()).convert("RGB"))


def shop_sign() -> Image.Image:
    """A brick wall with a sign on it, a little aslant, as a camera would see it."""
    wall = Image.fromarray(photo("brick")).resize((1200, 900), Image.Resampling.BICUBIC)
    board = Image.new("RGB", (760, 260), (32, 64, 48))
    draw = ImageDraw.Draw(board)
    for words, top, size in zip(SIGN, (24, 110), (56, 110), strict=True):
        font = ImageFont.load_default(size)
        left = (board.width - draw.textlength(words, font)) / 2
        draw.text((left, top), words, (240, 232, 208), font)
    mask = Image.new("L", board.size, 255).rotate(3, Image.Resampling.BICUBIC, expand=True)
    wall.paste(board.rotate(3, Image.Resampling.BICUBIC, expand=True), (210, 300), mask)
    return wall.filter(ImageFilter.GaussianBlur(1))


def write_wav(path: Path, sound: sounds.Sound) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sounds.RATE_HZ)
        file.writeframes((sound * 32_767).astype("<i2").tobytes())


def zoom(picture: Picture, duration_s: float) -> list[Picture]:
    """A slow zoom into a picture, so that a clip moves as clips do."""
    image = Image.fromarray(picture)
    count = int(duration_s * FRAMES_PER_S)
    frames = []
    for i in range(count):
        cut = 0.12 * i / count
        box = (
            image.width * cut / 2,
            image.height * cut / 2,
            image.width * (1 - cut / 2),
            image.height * (1 - cut / 2),
        )
        frames.append(np.asarray(image.resize(SIZE, Image.Resampling.BILINEAR, box=box)))
    return frames


def write_clip(path: Path, frames: list[Picture], sound: sounds.Sound) -> None:
    """H.264 pictures and AAC sound."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FRAMES_PER_S)
        video.width, video.height, video.pix_fmt = *SIZE, "yuv420p"
        video.bit_rate = 600_000
        audio = container.add_stream("aac", rate=sounds.RATE_HZ, layout="mono")
        for pixels in frames:
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(video.encode())
        for start in range(0, len(sound), 1024):
            block = av.AudioFrame.from_ndarray(sound[None, start : start + 1024], "fltp", "mono")
            block.sample_rate, block.pts = sounds.RATE_HZ, start
            block.time_base = Fraction(1, sounds.RATE_HZ)
            container.mux(audio.encode(block))
        container.mux(audio.encode())


def main(folder: Path) -> None:
    licences = ["# Licences of the demo media", ""]
    for kind in ("photos", "sounds", "clips", "notes"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for name, licence in PHOTOS.items():
        Image.fromarray(photo(name)).save(folder / "photos" / f"{name}.jpg", quality=92)
        licences.append(f"- photos/{name}.jpg: {licence}; from scikit-image")
    shop_sign().save(folder / "photos" / "shop.jpg", quality=90)
    licences.append("- photos/shop.jpg: made by seehear from the photo brick; CC0")
    for sound in sounds.ALL:
        write_wav(folder / "sounds" / f"{sound.__name__}.wav", sound())
        licences.append(f"- sounds/{sound.__name__}.wav: synthesised by seehear; CC0")
    if find_spec("espeakng_loader") is not None:  # not made for every system
        write_wav(folder / "sounds" / "message.wav", say(MESSAGE))
        licences.append("- sounds/message.wav: said by eSpeak NG for seehear; CC0")
    (folder / "sounds" / "piano_melody.lrc").write_text(SONG, encoding="utf-8")
    licences.append("- sounds/piano_melody.lrc: written for seehear; CC0")
    for name, scenes in CLIPS.items():
        frames = [frame for shown, _ in scenes for frame in zoom(photo(shown), 6.0)]
        track = np.concatenate([sound(6.0) for _, sound in scenes])
        write_clip(folder / "clips" / name, frames, track)
        shown = " and ".join(shown for shown, _ in scenes)
        licences.append(f"- clips/{name}: made by seehear from the photos {shown}; CC0")
    for name, text in NOTES.items():
        (folder / "notes" / name).write_text(text, encoding="utf-8")
        licences.append(f"- notes/{name}: written for seehear; CC0")
    (folder / "LICENCES.md").write_text("\n".join(licences) + "\n", encoding="utf-8")
    # The licences name every file, so they would be a hit for everything.
    (folder / ".seehearignore").write_text("LICENCES.md\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Make what bench_reading reads: sentences in an hour of sounds, and words on photographs."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import wave
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seehear import media
from seehear.readers import SAMPLE_RATE_HZ
from seehear.types import Floats, ImageSample
from training.shards import ShardItem, read_items

SENTENCES = """
The broken ankle needs at least six weeks to heal. | broken ankle weeks | how long until the leg injury is better
Please bring the blue umbrella, it will rain this afternoon. | blue umbrella | take something against the wet weather
The train to the harbour leaves from platform nine. | train harbour platform | where the railway to the port departs
My grandmother kept her letters in a wooden box. | grandmother letters box | old mail stored by an elderly relative
The bakery on the corner sells warm bread every morning. | bakery bread morning | shop with fresh loaves at breakfast
We measured the temperature of the lake three times a day. | temperature lake | how warm the water was
Nobody expected the mayor to resign after the election. | mayor resign election | politician steps down following the vote
The museum closes its doors at half past five. | museum closes | opening hours of the art gallery
Her violin was stolen from the car during the concert. | violin stolen concert | thief took a musical instrument
The engineers repaired the bridge before the winter came. | engineers bridge winter | construction work on the river crossing
A small fire started in the kitchen of the restaurant. | fire kitchen restaurant | flames where the food is cooked
The doctor told him to drink more water and sleep longer. | doctor water sleep | medical advice about rest and fluids
Two planes waited on the runway because of the fog. | planes runway fog | aircraft delayed by bad visibility
The children planted tomatoes behind the school. | children tomatoes school | pupils grow vegetables in a garden
Our neighbour paints portraits of horses. | neighbour paints horses | artist next door makes pictures of animals
The password for the printer is written on the wall. | password printer wall | where to find the secret code of the machine
She crossed the desert with four camels and a guide. | desert camels guide | journey through the dry sand
The price of coffee has doubled since last summer. | price coffee doubled | hot drinks have become expensive
He lost his passport on the way to the airport. | passport airport | travel document missing before the flight
The telescope shows the rings of Saturn clearly. | telescope rings saturn | looking at a planet in the night sky
We need eleven more chairs for the wedding. | chairs wedding | seats for the marriage celebration
The captain ordered everyone to leave the sinking ship. | captain sinking ship | people abandon a boat that goes down
Her brother studies the history of medicine in Vienna. | brother history medicine vienna | sibling learns about doctors of the past
The orchestra rehearses on Tuesdays in the old church. | orchestra rehearses church | musicians practise every week
A storm tore the roof off the farmhouse. | storm roof farmhouse | strong wind destroyed a house
The librarian found a map inside the dictionary. | librarian map dictionary | something hidden between the pages of a book
They sold the company to an investor from Norway. | company investor norway | business bought by a foreigner
The dentist has an appointment free on Monday. | dentist appointment monday | when my teeth can be looked at
Keep the medicine away from children and pets. | medicine children pets | store drugs in a safe place
The volcano erupted twice in the last century. | volcano erupted century | mountain with lava and ashes
Our team scored in the final minute of the game. | team scored minute game | late goal decides the match
The tailor shortened the sleeves of my jacket. | tailor sleeves jacket | clothes were altered to fit
Please turn off the lights when you leave the office. | lights leave office | save electricity at work
The lawyer explained the contract page by page. | lawyer contract page | legal document was described in detail
A fox stole three eggs from the henhouse. | fox eggs henhouse | wild animal robbed the chickens
The bus driver sang a song for the passengers. | bus driver song passengers | music on public transport
He promised to return the ladder by Friday. | promised ladder friday | giving back a borrowed tool
The scientist discovered a new kind of beetle. | scientist discovered beetle | researcher found an unknown insect
Fresh snow covered the tracks of the wolf. | snow tracks wolf | footprints of an animal disappeared in winter
The elevator stopped between the second and third floor. | elevator stopped floor | people stuck in a lift
"""  # noqa: E501
VOICED = re.compile(
    r"speak|say|sing|voice|vocal|talk|whisper|\bm[ae]n\b|wom[ae]n|child|chant|choir|crowd|people|"
    r"person|laugh|radio|read|restaurant|supermarket|station|school|street|baby|opera|song|robot|"
    r"playing on|cabin|church|beatbox|human|game music|pop|market|airport|bar|cafe|office|parrot|"
    r"cheer"
)
"""Labels of sounds in which somebody may speak or sing."""
SPEECH_SETS = frozenset(("speech", "ravdess", "people", "sms-tools"))
LOUDER_DB = 10.0
"""How much louder a sentence is than the sound around it."""
VOICES = ("slt", "rms", "awb")
WORDS = re.findall(r"[a-z]{4,9}", SENTENCES)


@dataclass(frozen=True, slots=True)
class HiddenSentence:
    """One sentence in one long sound."""

    text: str
    key_words: str
    paraphrase: str
    start_s: float
    waveform: Floats


def silent_of_speech(data: Path, most: int) -> Iterator[tuple[ShardItem, Floats]]:
    """Yield sounds in which, by their labels, nobody speaks: at most so many, of all sets alike."""
    found = [
        (item, content)
        for item, content in read_items(data, "audio")
        if item.dataset not in SPEECH_SETS
        and not VOICED.search(" ".join((item.label or "", *item.captions, *item.keywords)).lower())
    ]
    order = np.random.default_rng(0).permutation(len(found))[:most]
    for row in order.tolist():
        item, content = found[row]
        yield item, media.load_audio(content, SAMPLE_RATE_HZ, max_s=60.0).waveform


def hidden_sentences(data: Path, each_s: float) -> Iterator[HiddenSentence]:
    """Yield the sentences, each spoken once within so many seconds of other sounds."""
    background = _background(data, each_s)
    rng = np.random.default_rng(1)
    for number, line in enumerate(SENTENCES.strip().splitlines()):
        text, key_words, paraphrase = (part.strip() for part in line.split("|"))
        spoken = _spoken(text, VOICES[number % len(VOICES)])
        around = next(background).copy()
        at = int(rng.integers(SAMPLE_RATE_HZ, len(around) - len(spoken) - SAMPLE_RATE_HZ))
        here = around[at : at + len(spoken)]
        level = max(_level(here), 0.01) * 10 ** (LOUDER_DB / 20)
        here += spoken * (level / _level(spoken))
        loudest = float(np.abs(around).max())
        around /= max(1.0, loudest)
        # Where the first word begins, not where the file of the synthesiser does.
        first = int(np.flatnonzero(np.abs(spoken) > 0.05 * np.abs(spoken).max())[0])
        yield HiddenSentence(text, key_words, paraphrase, (at + first) / SAMPLE_RATE_HZ, around)


def _background(data: Path, each_s: float) -> Iterator[Floats]:
    held = np.zeros(0, dtype=np.float32)
    length = round(each_s * SAMPLE_RATE_HZ)
    while True:
        for _, waveform in silent_of_speech(data, 10_000):
            held = np.concatenate([held, waveform])
            while len(held) >= length:
                yield held[:length]
                held = held[length:]


def _level(waveform: Floats) -> float:
    return float(np.sqrt(np.mean(waveform**2))) if len(waveform) else 0.0


def _spoken(text: str, voice: str) -> Floats:
    """Return a sentence as flite or espeak-ng says it."""
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "spoken.wav")
        if shutil.which("flite"):
            command = ["flite", "-voice", voice, "-t", text, "-o", file]
        elif shutil.which("espeak-ng"):
            command = ["espeak-ng", "-w", file, text]
        else:
            raise SystemExit("needs flite or espeak-ng: apt install flite")
        subprocess.run(command, check=True, capture_output=True)
        with wave.open(file) as sound:
            assert sound.getnframes() > 0
        return media.load_audio(file, SAMPLE_RATE_HZ).waveform


def photographs(data: Path, sets: Sequence[str], most: int, width_px: int) -> list[ImageSample]:
    """Return photographs of some sets, scaled to a width."""
    from PIL import Image

    found: list[ImageSample] = []
    for item, content in read_items(data, "images"):
        if item.dataset in sets and len(found) < most:
            image = Image.fromarray(media.load_image(content, 10_000).pixels)
            size = width_px, round(width_px * image.height / image.width)
            found.append(ImageSample(np.asarray(image.resize(size, Image.Resampling.BICUBIC))))
    return found


def with_words(image: ImageSample, letters_px: int, seed: int) -> tuple[ImageSample, list[str]]:
    """Return a photograph with three lines of two words each, of letters of that height."""
    from PIL import Image, ImageDraw, ImageFont

    rng = np.random.default_rng([seed, letters_px])
    words = [str(word) for word in rng.choice(sorted(set(WORDS)), 6, replace=False)]
    drawn = Image.fromarray(image.pixels.copy())
    draw = ImageDraw.Draw(drawn)
    # A capital letter of a common face is .72 of the size that it is asked for by.
    font = ImageFont.load_default(round(letters_px / 0.72))
    top = int(rng.integers(10, max(11, drawn.height - 8 * letters_px)))
    left = int(rng.integers(10, max(11, drawn.width - 16 * letters_px)))
    dark = np.asarray(drawn.convert("L"))[top : top + 6 * letters_px].mean() < 128
    ink, edge = ("white", "black") if dark else ("black", "white")
    for line in range(3):
        text = " ".join(words[2 * line : 2 * line + 2])
        place = left, top + 2 * line * letters_px
        draw.text(place, text, fill=ink, font=font, stroke_width=letters_px // 12, stroke_fill=edge)
    return ImageSample(np.asarray(drawn)), words

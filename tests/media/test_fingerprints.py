"""Copies are told from others that are merely like them."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

from seehear import media
from seehear.config import Settings
from seehear.media import fingerprint_image
from seehear.media.fingerprints import NOTHING, VERSION, Fingerprinter, agreement, read
from seehear.types import Floats, SampleSpec
from tests.search.library import recording, scene

RATE = 16_000
Pixels = NDArray[np.uint8]


def picture(pixels: Image.Image | Pixels) -> bytes:
    made = Fingerprinter()
    made.image(np.asarray(pixels))
    return made.data()


def sound(wave: Floats, rate_hz: int = RATE) -> bytes:
    made = Fingerprinter()
    blocks = ((at, wave[at : at + 1000]) for at in range(0, len(wave), 1000))
    assert sum(len(block) for _, block in made.audio(blocks, rate_hz)) == len(wave)
    return made.data()


def text(words: str) -> bytes:
    made = Fingerprinter()
    made.text(words)
    return made.data()


def film(frames: list[Pixels], wave: Floats | None = None, start_s: float = 0.0) -> bytes:
    made = Fingerprinter()
    for number, pixels in enumerate(frames):
        made.frame(start_s + number, pixels)
    if wave is not None:
        list(made.audio(iter([(0, wave)]), RATE))
    return made.data()


def same(one: bytes, other: bytes) -> bool:
    there_and_back = [agreement(read(a), read(b)) for a, b in ((one, other), (other, one))]
    assert (there_and_back[0] > 0) == (there_and_back[1] > 0)
    return there_and_back[0] > 0


def image(seed: int, px: int = 240) -> Image.Image:
    return Image.fromarray(scene(seed, px).pixels)


def jpeg(shown: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    shown.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


PICTURES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "half the size": lambda one: one.resize((one.width // 2, one.height // 2)),
    "another shape": lambda one: one.resize((300, 200)),
    "low quality": lambda one: jpeg(one, 40),
    "cropped on each side": lambda one: one.crop((4, 4, one.width - 4, one.height - 4)),
    "cropped on one side": lambda one: one.crop((7, 0, one.width, one.height)),
    "a thin border": lambda one: ImageOps.expand(one, 4, (255, 255, 255)),
    "a wide border": lambda one: ImageOps.expand(one, 25, (0, 0, 0)),
    "small, cropped and low": lambda one: jpeg(one.crop((4, 4, 236, 236)).resize((120, 120)), 40),
}


@pytest.mark.parametrize("change", PICTURES)
def test_a_changed_picture_is_a_copy(change: str) -> None:
    for seed in range(5):
        assert same(picture(image(seed)), picture(PICTURES[change](image(seed)))), seed


def test_other_pictures_are_no_copies() -> None:
    one = image(1)
    assert not any(same(picture(one), picture(image(seed))) for seed in range(2, 30))
    assert not same(picture(one), picture(ImageOps.mirror(one)))
    assert not same(picture(one), picture(ImageOps.flip(one)))
    assert not same(picture(one), picture(one.rotate(90)))
    assert not same(picture(one), picture(ImageOps.invert(one)))
    assert not same(picture(one), picture(one.crop((0, 0, 160, 160))))
    blue = Image.fromarray(np.asarray(one)[..., [1, 0, 2]])
    assert not same(picture(one), picture(blue))


def page(seed: int) -> Image.Image:
    """A white page with lines of words."""
    rng, shown = np.random.default_rng(seed), Image.new("RGB", (300, 400), "white")
    draw = ImageDraw.Draw(shown)
    for line in range(18):
        words = " ".join(
            "".join(rng.choice(list("aeiourstlnmd"), rng.integers(2, 9))) for _ in "12345"
        )
        draw.text((25, 25 + 19 * line), words, fill="black")
    return shown


def test_pages_of_one_book_are_no_copies() -> None:
    pages = [page(seed) for seed in range(8)]
    for number, one in enumerate(pages):
        assert same(picture(one), picture(jpeg(one.resize((150, 200)), 60)))
        assert not any(same(picture(one), picture(other)) for other in pages[number + 1 :])


def drawing(hair: str = "short", mouth: int = 20, skin: str = "gold", px: int = 136) -> Image.Image:
    """A head on a white background, whose sides are `hair` and whose mouth is open by `mouth`."""
    shown = Image.new("RGB", (136, 136), "white")
    draw = ImageDraw.Draw(shown)
    if hair == "long":
        draw.rectangle((20, 50, 116, 128), fill="saddlebrown")
    draw.ellipse((24, 12, 112, 60), fill="saddlebrown")
    draw.ellipse((28, 20, 108, 116), fill=skin)
    for left in (44, 80):
        draw.ellipse((left, 52, left + 10, 64), fill="black")
    draw.ellipse((48, 92 - mouth, 88, 92), fill="firebrick")
    return shown.resize((px, px))


def test_drawings_that_differ_in_a_part_or_a_colour_are_no_copies() -> None:
    one = drawing()
    others = [drawing("long"), drawing(mouth=4), drawing(skin="peru"), drawing(skin="lightpink")]
    for changed in (drawing(px=68), jpeg(one, 50), drawing(px=300)):
        assert same(picture(one), picture(changed))
        assert not any(same(picture(other), picture(changed)) for other in others)


def test_a_picture_that_shows_nothing_has_no_copies() -> None:
    across = np.linspace(0, 255, 64).astype(np.uint8)
    gradient = np.repeat(np.tile(across, (48, 1))[..., None], 3, axis=2)
    grain = np.random.default_rng(1).integers(126, 130, (48, 64, 3)).astype(np.uint8)
    for shown in (
        np.zeros((48, 64, 3), np.uint8),
        np.full((1, 1, 3), 255, np.uint8),
        grain,
        gradient,
    ):
        assert not same(picture(shown), picture(shown))
    assert not same(picture(np.zeros((48, 64, 3), np.uint8)), picture(image(1)))


SOUNDS: dict[str, Callable[[Floats], Floats]] = {
    "half the level": lambda wave: 0.5 * wave,
    "a tenth of the level": lambda wave: 0.1 * wave,
    "a second cut off": lambda wave: wave[RATE:],
    "cut off somewhere": lambda wave: wave[5003:],
    "cut at the end": lambda wave: wave[:-RATE],
    "with silence before": lambda wave: np.concatenate([np.zeros(7001, np.float32), wave]),
    "with hiss": lambda wave: (
        wave + 0.002 * np.random.default_rng(0).standard_normal(len(wave)).astype(np.float32)
    ),
    "another master": lambda wave: np.convolve(wave, [0.7, 0.3], "same").astype(np.float32),
}


@pytest.mark.parametrize("change", SOUNDS)
def test_a_changed_recording_is_a_copy(change: str) -> None:
    for seed in range(4):
        wave = recording(seed).waveform
        assert same(sound(wave), sound(SOUNDS[change](wave))), seed


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 48_000])
def test_the_rate_of_a_model_does_not_matter(rate_hz: int) -> None:
    wave = recording(1).waveform
    times = np.arange(round(6.0 * rate_hz)) / rate_hz
    there = np.interp(times, np.arange(len(wave)) / RATE, wave).astype(np.float32)
    assert same(sound(wave), sound(there, rate_hz))


def tone(hertz: float, duration_s: float = 3.0) -> Floats:
    times = np.arange(round(duration_s * RATE)) / RATE
    return (0.4 * np.sin(2 * np.pi * hertz * times)).astype(np.float32)


def test_other_recordings_are_no_copies() -> None:
    for duration_s in (1.0, 6.0):
        prints = [sound(recording(seed, duration_s).waveform) for seed in range(20)]
        assert not any(same(a, b) for n, a in enumerate(prints) for b in prints[n + 1 :])
    tones = [sound(tone(hertz)) for hertz in (220.0, 233.1, 440.0, 466.2, 880.0, 1000.0)]
    assert not any(same(a, b) for n, a in enumerate(tones) for b in tones[n + 1 :])
    wave = recording(1).waveform
    assert not same(sound(wave), sound(wave[: len(wave) // 2]))
    assert not same(sound(wave), sound(wave[::-1].copy()))


def test_a_short_sound_is_told_too() -> None:
    wave = recording(3, 1.0).waveform
    assert same(sound(wave), sound(0.5 * wave))
    assert not same(sound(wave[:2000]), sound(recording(4, 1.0).waveform[:2000]))


def test_silence_and_noise_match_nothing_else() -> None:
    rng = np.random.default_rng(0)
    silence = np.zeros(3 * RATE, dtype=np.float32)
    assert not same(sound(silence), sound(silence))
    assert not same(sound(silence[:0]), sound(silence[:0]))
    noise = [sound(0.1 * rng.standard_normal(3 * RATE).astype(np.float32)) for _ in range(12)]
    assert not any(same(a, b) for n, a in enumerate(noise) for b in noise[n + 1 :])
    assert not same(noise[0], sound(silence))


def test_a_long_recording_keeps_parts_of_all_of_it() -> None:
    wave = recording(5, 150.0).waveform
    print_ = sound(wave)
    assert len(print_) < 30_000
    assert same(print_, sound(0.5 * wave[RATE // 2 :]))
    half = np.concatenate([wave[: len(wave) // 2], recording(6, 75.0).waveform])
    assert not same(print_, sound(half))


def frames(seed: int, count: int = 12) -> list[Pixels]:
    return [scene(100 * seed + number, 96).pixels for number in range(count)]


BLACK = [np.zeros((96, 96, 3), np.uint8)] * 4


def test_a_film_is_told_over_its_whole_length() -> None:
    one, wave = frames(1), recording(1, 12.0).waveform
    smaller = [np.asarray(Image.fromarray(frame).resize((48, 48))) for frame in one]
    assert same(film(one), film(smaller))
    assert same(film(one, wave), film(smaller, 0.5 * wave))
    assert same(film(one), film(one[1:]))
    title = frames(9, 4)
    assert not same(film(title + frames(1)), film(title + frames(2)))
    assert not same(film(BLACK + frames(1)), film(BLACK + frames(2)))
    assert not same(film(BLACK), film(BLACK))
    assert not same(film(one), film(one[:6]))
    assert not same(film(one), film(one[::-1]))


def test_a_film_with_other_sound_is_another() -> None:
    one, wave = frames(1), recording(1, 12.0).waveform
    assert not same(film(one, wave), film(one, recording(2, 12.0).waveform))
    assert not same(film(one, wave), film(one))
    assert same(film(one, np.zeros(12 * RATE, np.float32)), film(one))


def test_a_long_film_keeps_frames_of_all_of_it() -> None:
    one = frames(1, 300)
    assert len(film(one)) < 40_000
    assert same(film(one), film(one))
    assert not same(film(one), film(one[:150] + frames(2, 150)))


STORY = " ".join(f"word{number % 97} tells of {number}" for number in range(300))


def test_texts_are_told_by_their_words() -> None:
    assert same(text("Bread and butter, please!"), text("bread and  butter please"))
    assert not same(text("bread and butter please"), text("bread and jam please"))
    assert same(text(STORY), text(STORY.upper().replace(" ", "\n")))
    assert same(text(STORY), text(f"{STORY} and one more"))
    assert not same(text(STORY), text(STORY[: len(STORY) // 2]))
    assert not same(text(STORY), text(STORY[::-1]))
    invoice = "invoice {} of the year for the repair of one roof " + "paid within thirty days " * 3
    assert not same(text(invoice.format(17)), text(invoice.format(18)))
    for empty in ("", " \n", "…", "- - -"):
        assert not same(text(empty), text(empty))
    notes = [
        "Хлеб пекут из муки и воды.", "Поезд идёт в город.", "动物园里有大象和猴子。",
        "Η γάτα κοιμάται στον καναπέ.", "動物園に象がいる。",
    ]  # fmt: skip
    prints = [text(words) for words in notes]
    for number, one in enumerate(prints):
        assert same(one, one)
        assert not any(same(one, other) for other in prints[number + 1 :])


def test_kinds_are_not_compared() -> None:
    prints = [
        picture(image(1)),
        sound(recording(1).waveform),
        text(STORY),
        film(frames(1)),
        NOTHING,
    ]
    for number, one in enumerate(prints):
        assert not any(same(one, other) for other in prints[number + 1 :])
    assert not same(NOTHING, NOTHING)


def test_damaged_bytes_say_nothing() -> None:
    whole = picture(image(1))
    assert whole[0] == VERSION
    assert read(whole) is not None
    for damaged in (
        b"", whole[:1], whole[:-5], bytes([VERSION + 1]) + whole[1:],
        whole[:40] + bytes([whole[40] ^ 1]) + whole[41:],
    ):  # fmt: skip
        assert read(damaged) is None
    assert agreement(None, read(whole)) == 0.0


def _mp3(wave: Floats, path: Path) -> None:
    with av.open(path, "w") as container:
        stream = container.add_stream("libmp3lame", rate=RATE, bit_rate=64_000)
        stream.layout = "mono"
        for at in range(0, len(wave), 1152):
            block = wave[None, at : at + 1152].astype(np.float32)
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
            frame.rate, frame.pts = RATE, at
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_workers_make_fingerprints(tmp_path: Path) -> None:
    import wave as wav

    loud = recording(7).waveform
    with wav.open(str(tmp_path / "a.wav"), "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(RATE)
        written.writeframes((32_767 * loud).astype("<i2").tobytes())
    _mp3(0.5 * loud, tmp_path / "b.mp3")
    image(3).save(tmp_path / "a.png")
    image(3).resize((120, 120)).save(tmp_path / "b.jpg", quality=50)
    (tmp_path / "a.txt").write_text(STORY)
    (tmp_path / "b.md").write_text(f"# {STORY}")
    paths = [tmp_path / f"{name}" for name in ("a.wav", "b.mp3", "a.png", "b.jpg", "a.txt", "b.md")]
    settings = Settings(decode_workers=1)
    for samples in (True, False):
        prints = []
        for file in media.decode_all(paths, SampleSpec(), settings, samples=samples):
            assert bool(list(file)) is samples
            prints.append(file.fingerprint)
        assert [same(a, b) for a, b in zip(prints[::2], prints[1::2], strict=True)] == [True] * 3
    never = media.decode_all(
        paths[:1], SampleSpec(), settings, wanted=lambda _: True, to_mark=lambda _: False
    )
    for file in never:
        assert list(file)
        assert file.fingerprint == b""


@pytest.mark.parametrize(("height", "width"), [(192, 256), (33, 31), (7, 5), (1, 1), (32, 100)])
def test_cells_are_the_means_of_their_part_of_a_picture(height: int, width: int) -> None:
    """Also of parts of pixels: each pixel is divided into 32 x 32, which cells divide evenly."""
    planes = np.random.default_rng(1).uniform(0, 255, (height, width, 3)).astype(np.float32)
    fine = planes.repeat(32, axis=0).repeat(32, axis=1)
    expected = fine.reshape(32, height, 32, width, 3).mean(axis=(1, 3), dtype=np.float64)
    assert np.abs(fingerprint_image.shrunk(planes, 32) - expected).max() < 1e-3

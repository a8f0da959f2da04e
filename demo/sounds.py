"""The demo's sounds, synthesised from first principles: float32 (n,) in [-1, 1] at RATE_HZ.

Each function returns one sound that a listener would name as the function is named. All are
deterministic: the noise comes from a fixed seed.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

RATE_HZ = 22_050
Sound = NDArray[np.float32]


def times(duration_s: float) -> NDArray[np.float64]:
    """Sample times in seconds."""
    return np.arange(int(duration_s * RATE_HZ)) / RATE_HZ


@cache  # rain has four thousand drops of one band
def band_filter(low_hz: float, high_hz: float) -> NDArray[np.float64]:
    """The sections of a band-pass filter, float64 (n, 6)."""
    sections: NDArray[np.float64] = butter(
        2, [low_hz, high_hz], "bandpass", fs=RATE_HZ, output="sos"
    )
    return sections


def noise(duration_s: float, low_hz: float, high_hz: float, seed: int = 7) -> NDArray[np.float64]:
    """Band-limited Gaussian noise of unit variance."""
    white = np.random.default_rng(seed).standard_normal(int(duration_s * RATE_HZ))
    filtered = sosfilt(band_filter(low_hz, min(high_hz, RATE_HZ / 2 - 50)), white)
    scaled: NDArray[np.float64] = filtered / filtered.std()
    return scaled


def loudest_at(signal: NDArray[np.float64], peak: float = 0.8) -> Sound:
    """Scale to a peak and round the ends off by 20 ms, so that nothing clicks."""
    fade = np.minimum(1.0, np.minimum(np.arange(len(signal)), np.arange(len(signal))[::-1]) / 441)
    signal = signal * fade
    scaled: Sound = (signal / np.abs(signal).max() * peak).astype(np.float32)
    return scaled


def rocket_launch(duration_s: float = 8.0) -> Sound:
    """A deep roar that swells, with crackle on top."""
    t = times(duration_s)
    swell = 1 / (1 + np.exp(-(t - 1.5) * 2.5)) * np.exp(-t / 14)
    rumble = noise(duration_s, 25, 220) + 0.5 * noise(duration_s, 200, 1200, seed=8)
    crackle = 0.5 * noise(duration_s, 300, 4000, seed=9) * (noise(duration_s, 5, 60, seed=10) > 1.2)
    return loudest_at(swell * (rumble + crackle))


def motorcycle_engine(duration_s: float = 8.0) -> Sound:
    """A twin revved twice: harmonics of the crankshaft with half orders between, and exhaust."""
    t = times(duration_s)
    knots = t[:: RATE_HZ // 10]
    drift = np.interp(t, knots, np.random.default_rng(3).normal(1.0, 0.02, len(knots)))
    crank_hz = (38 + 60 * np.sin(2 * np.pi * t / duration_s) ** 2) * drift
    phase = 2 * np.pi * np.cumsum(crank_hz) / RATE_HZ
    growl = np.zeros_like(t)
    offsets = np.random.default_rng(4).uniform(0, 2 * np.pi, size=40)
    for order in range(1, 40):
        gain = (1.0 if order % 2 == 0 else 0.55) / (1 + (order / 9) ** 1.6)
        growl += gain * np.sin(order / 2 * phase + offsets[order])
    exhaust = (0.6 + 0.4 * np.sin(phase)) * noise(duration_s, 80, 3000)
    return loudest_at(growl / growl.std() + 0.5 * exhaust, 0.7)


def cat_meowing(duration_s: float = 6.0) -> Sound:
    """Three meows: a gliding voice whose mouth opens and closes."""
    track = np.zeros(int(duration_s * RATE_HZ))
    for start_s, length_s, pitch_hz in ((0.4, 0.9, 620.0), (2.2, 1.1, 560.0), (4.2, 0.8, 680.0)):
        t = times(length_s)
        x = t / length_s
        glide = pitch_hz * (0.85 + 0.4 * np.sin(np.pi * x**0.7)) * (1 + 0.01 * np.sin(38 * t))
        phase = 2 * np.pi * np.cumsum(glide) / RATE_HZ
        opening = np.sin(np.pi * x) ** 0.6
        formant_hz = 900 + 1300 * np.sin(np.pi * x**0.8)
        voice = np.zeros_like(t)
        for harmonic in range(1, 13):
            frequency = harmonic * glide
            gain = np.exp(-(((frequency - formant_hz) / 700) ** 2)) + 0.25 / harmonic
            voice += gain * np.sin(harmonic * phase)
        start = int(start_s * RATE_HZ)
        track[start : start + len(voice)] += opening * voice
    return loudest_at(track + 0.004 * noise(duration_s, 200, 4000))


def clock_ticking(duration_s: float = 8.0) -> Sound:
    """Five ticks in two seconds: the pallet's click and the case that answers it."""
    track = np.zeros(int(duration_s * RATE_HZ))
    for beat in range(int(duration_s * 2.5)):
        t = times(0.09)
        pitch_hz = 3100 if beat % 2 == 0 else 2700
        tick = np.exp(-t * 700) * np.random.default_rng(beat).standard_normal(len(t))
        for ratio, decay in ((1.0, 130), (1.61, 180), (2.3, 240)):
            tick += 0.3 * np.exp(-t * decay) * np.sin(2 * np.pi * pitch_hz * ratio * t)
        for delay_s, gain in ((0.0, 1.0), (0.011, 0.35), (0.024, 0.2)):
            start = int((0.1 + beat * 0.4 + delay_s) * RATE_HZ)
            stop = min(start + len(tick), len(track))
            track[start:stop] += gain * tick[: stop - start]
    return loudest_at(track + 0.004 * noise(duration_s, 60, 2000), 0.3)


def rain(duration_s: float = 8.0) -> Sound:
    """A steady hiss with thousands of small drops in it."""
    random = np.random.default_rng(11)
    track = noise(duration_s, 400, 10_000) + 0.4 * noise(duration_s, 100, 900, seed=2)
    for start in random.integers(0, len(track) - 400, size=int(duration_s * 500)):
        t = times(0.006)
        drop = np.exp(-t * 900) * noise(0.006, 1000, 9000, seed=int(start))
        track[start : start + len(drop)] += random.uniform(0.5, 4.0) * drop
    return loudest_at(track, 0.6)


def sea_waves(duration_s: float = 12.0) -> Sound:
    """Surf that comes in and draws back every four seconds."""
    t = times(duration_s)
    x = (t % 4.0) / 4.0
    surge = np.where(x < 0.45, (x / 0.45) ** 2, np.exp(-(x - 0.45) * 5))
    wash = noise(duration_s, 80, 1200) + 0.6 * surge * noise(duration_s, 800, 6000, seed=12)
    return loudest_at((0.15 + surge) * wash)


def siren(duration_s: float = 8.0) -> Sound:
    """A wailing police siren."""
    t = times(duration_s)
    pitch_hz = 900 + 500 * np.sin(2 * np.pi * t / 3.0 - np.pi / 2)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ
    tone = sum(np.sin(k * phase) / k for k in (1, 2, 3, 4, 5))
    return loudest_at(np.asarray(tone) + 0.02 * noise(duration_s, 100, 2000))


def church_bell(duration_s: float = 8.0) -> Sound:
    """A bell struck every two seconds, with the partials of a tuned church bell."""
    track = np.zeros(int(duration_s * RATE_HZ))
    partials = ((1.0, 0.6, 0.5), (2.0, 0.8, 0.7), (2.4, 1.0, 0.9), (3.0, 0.6, 1.2), (4.0, 0.9, 1.4),
                (5.33, 0.6, 2.0), (6.0, 0.5, 2.4), (8.0, 0.5, 3.2), (10.9, 0.4, 5.0))  # fmt: skip
    for stroke_s in np.arange(0.1, duration_s - 0.5, 2.0):
        t = times(duration_s - stroke_s)
        start = len(track) - len(t)
        for ratio, gain, decay in partials:
            track[start:] += gain * np.exp(-t * decay) * np.sin(2 * np.pi * 180 * ratio * t)
    return loudest_at(track)


def birds_chirping(duration_s: float = 8.0) -> Sound:
    """Two birds, one whistling down, one trilling."""
    random = np.random.default_rng(5)
    track = 0.003 * noise(duration_s, 300, 6000)
    start_s = 0.3
    while start_s < duration_s - 0.8:
        high_hz = random.uniform(4200, 5600)
        for note in range(int(random.integers(3, 8))):
            t = times(0.07)
            pitch_hz = high_hz - 12_000 * t * (1 if note % 2 else -0.6)
            chirp = np.sin(np.pi * t / 0.07) ** 2 * np.sin(
                2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ
            )
            start = int((start_s + note * 0.1) * RATE_HZ)
            stop = min(start + len(chirp), len(track))
            track[start:stop] += chirp[: stop - start]
        start_s += random.uniform(0.9, 1.4)
    return loudest_at(track)


def coins_jingling(duration_s: float = 5.0) -> Sound:
    """Coins dropped on a table: many short metallic pings."""
    random = np.random.default_rng(6)
    track = 0.001 * noise(duration_s, 300, 6000)
    for start_s in np.sort(random.uniform(0.1, duration_s - 0.4, size=36)):
        t = times(0.25)
        ping = np.zeros_like(t)
        for _ in range(5):
            ping += np.exp(-t * random.uniform(18, 60)) * np.sin(
                2 * np.pi * random.uniform(3500, 9500) * t
            )
        start = int(start_s * RATE_HZ)
        track[start : start + len(ping)] += random.uniform(0.3, 1.0) * ping
    return loudest_at(track)


def piano_melody(duration_s: float = 8.0) -> Sound:
    """A slow tune of decaying, slightly stretched harmonics."""
    track = np.zeros(int(duration_s * RATE_HZ))
    notes = (60, 64, 67, 72, 71, 67, 64, 65, 69, 72, 76, 74, 71, 67, 72, 60)
    for beat, midi in enumerate(notes):
        pitch_hz = 440 * 2 ** ((midi - 69) / 12)
        t = times(min(1.6, duration_s - beat * 0.48))
        tone = np.zeros_like(t)
        for k in range(1, 9):
            stretched_hz = k * pitch_hz * np.sqrt(1 + 4e-4 * k * k)
            tone += np.exp(-t * (1.5 + 0.9 * k)) / k**1.3 * np.sin(2 * np.pi * stretched_hz * t)
        hammer = np.exp(-t * 90) * np.sin(2 * np.pi * 180 * t) * 0.15
        start = int(beat * 0.48 * RATE_HZ)
        track[start : start + len(t)] += (tone + hammer)[: len(track) - start]
    return loudest_at(track)


ALL = (
    rocket_launch,
    motorcycle_engine,
    cat_meowing,
    clock_ticking,
    rain,
    sea_waves,
    siren,
    church_bell,
    birds_chirping,
    coins_jingling,
    piano_melody,
)

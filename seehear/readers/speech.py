"""Hear speech with Whisper, by faster-whisper, and hear none where there is none.

Whisper writes words for rain and for engines: on 1,394 sounds without speech it invents some for
96 %. Four rules leave .4 %, and lose no real sentence: the voice detector of the library must find
a quarter of a second of voice, and Whisper must be sure enough of its words, must not repeat
itself, and must not call the sound silent.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from seehear.errors import one_line
from seehear.libraries import fault_of
from seehear.readers.base import AudioBlock, Reader
from seehear.readers.blocks import SAMPLE_RATE_HZ, check_block
from seehear.readers.speech_models import damaged, identity_of
from seehear.types import Floats, Line, Reading

LEAST_VOICE_MS = 250
LEAST_LOGPROB = -1.0
MOST_COMPRESSION = 2.4
MOST_NO_SPEECH = 0.6
BEAM = 5
LANGUAGE_S = 3.0
"""Shorter stretches of voice have the language of the one before."""
FAVOURED = 5.0
"""A stretch is in another language than most of its file if that is so many times as likely."""
_SETTINGS = f"beam {BEAM}, gate 1"


_Voiced = dict[str, int]
"""A stretch with a voice: its "start" and "stop" in samples."""


def engine_of(folder: Path) -> str:
    """Return the identity of a reader with the model in a folder; loads nothing."""
    return f"{identity_of(folder)}, {_SETTINGS}"


class SpeechReader(Reader):
    """Hears what is said in 99 languages, or in English alone with an English model."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        """Load the model in a folder. Raises EnvironmentFaultError where that fails."""
        from faster_whisper import WhisperModel

        self.engine = engine_of(folder)
        try:
            self._whisper = WhisperModel(
                str(folder), device="cpu", compute_type="int8", cpu_threads=max(1, threads)
            )
        except Exception as error:  # of any origin: what the files hold decides
            raise fault_of(error) or damaged(folder, one_line(error)) from error
        self._reads_all = bool(self._whisper.model.is_multilingual)

    def hear(self, blocks: Iterable[AudioBlock], *, translate: bool = False) -> Reading:
        """Return what is said, in the language of each stretch of voice. Raises UsageError."""
        lines: list[Line] = []
        likely: dict[str, float] = {}
        for start_s, block in blocks:
            waveform = check_block(block)
            for language, voiced in self._by_language(waveform, _voiced(waveform), likely):
                speech = _joined(waveform, voiced)
                found = list(self._lines(speech, voiced, start_s, language, "transcribe"))
                if translate and language != "en" and found:
                    english = self._lines(speech, voiced, start_s, language, "translate")
                    found = with_translations(found, list(english))
                lines += found
        return Reading(tuple(lines), _main_language(lines))

    def measure_speech(self, blocks: Iterable[AudioBlock]) -> float:
        """Return the seconds in which the voice detector hears a voice. Raises UsageError."""
        return sum(
            (one["stop"] - one["start"]) / SAMPLE_RATE_HZ
            for _, block in blocks
            for one in _voiced(check_block(block))
        )

    def _by_language(
        self, waveform: Floats, voiced: list[_Voiced], likely: dict[str, float]
    ) -> list[tuple[str, list[_Voiced]]]:
        """Return stretches of voice with their language, neighbours of one language together.

        A stretch is in the likeliest language of the file so far, unless it is clearly in another
        one; `likely` counts the seconds of each.
        """
        if not self._reads_all or not voiced:
            return [("en", voiced)] if voiced else []
        groups = _grouped(voiced)
        odds: list[dict[str, float]] = []
        for group in groups:
            speech = _joined(waveform, group)
            _, _, every = self._whisper.detect_language(speech)
            odds.append({str(name): float(share) for name, share in every})
            for name, share in every:
                seconds = float(share) * len(speech) / SAMPLE_RATE_HZ
                likely[str(name)] = likely.get(str(name), 0.0) + seconds
        main = max(likely, key=likely.__getitem__)
        found: list[tuple[str, list[_Voiced]]] = []
        for shares, group in zip(odds, groups, strict=True):
            guess = max(shares, key=shares.__getitem__)
            language = guess if shares[guess] > FAVOURED * shares.get(main, 0.0) else main
            if found and found[-1][0] == language:
                found[-1][1].extend(group)
            else:
                found.append((language, list(group)))
        return found

    def _lines(
        self, speech: Floats, voiced: list[_Voiced], start_s: float, language: str, task: str
    ) -> Iterator[Line]:
        from faster_whisper.transcribe import restore_speech_timestamps

        segments, _ = self._whisper.transcribe(
            speech,
            language=language,
            task=task,
            beam_size=BEAM,
            # A second try at random would read a file differently each time, and what the first
            # one is not sure of is left out anyway.
            temperature=0.0,
            condition_on_previous_text=False,
            word_timestamps=task == "transcribe",
            log_prob_threshold=LEAST_LOGPROB,
            compression_ratio_threshold=MOST_COMPRESSION,
            no_speech_threshold=MOST_NO_SPEECH,
        )
        chunks = [{"start": one["start"], "end": one["stop"]} for one in voiced]
        for segment in restore_speech_timestamps(segments, chunks, SAMPLE_RATE_HZ):
            text = segment.text.strip()
            if _is_sure(segment) and any(letter.isalnum() for letter in text):
                words = tuple(
                    (word.word.strip(), _time(start_s, word.start), _time(start_s, word.end))
                    for word in segment.words or ()
                    if word.word.strip()
                )
                yield Line(
                    text,
                    words[0][1] if words else _time(start_s, segment.start),
                    words[-1][2] if words else _time(start_s, segment.end),
                    words,
                    confidence=round(math.exp(min(0.0, segment.avg_logprob)), 3),
                    language=language,
                )


def _voiced(waveform: Floats) -> list[_Voiced]:
    """Return the stretches with a voice, in samples."""
    from faster_whisper.vad import VadOptions, get_speech_timestamps

    if len(waveform) == 0:
        return []
    options = VadOptions(min_speech_duration_ms=LEAST_VOICE_MS)
    found = get_speech_timestamps(waveform, options, SAMPLE_RATE_HZ)
    return [{"start": int(one["start"]), "stop": int(one["end"])} for one in found]


def _grouped(voiced: list[_Voiced]) -> list[list[_Voiced]]:
    """Return stretches of voice, with the short ones in the group of the one before."""
    groups: list[list[_Voiced]] = []
    for one in voiced:
        if groups and one["stop"] - one["start"] < LANGUAGE_S * SAMPLE_RATE_HZ:
            groups[-1].append(one)
        else:
            groups.append([one])
    return groups


def _joined(waveform: Floats, voiced: list[_Voiced]) -> Floats:
    return np.concatenate([waveform[one["start"] : one["stop"]] for one in voiced])


def _is_sure(segment: Any) -> bool:
    return bool(
        segment.avg_logprob > LEAST_LOGPROB
        and segment.compression_ratio < MOST_COMPRESSION
        and segment.no_speech_prob < MOST_NO_SPEECH
    )


def _time(start_s: float, seconds: float) -> float:
    return round(start_s + float(seconds), 2)


def with_translations(lines: list[Line], english: list[Line]) -> list[Line]:
    """Give each translated line to the line that it shares most time with."""
    given: dict[int, list[str]] = {}
    for one in english:
        shared = [_shared_s(line, one) for line in lines]
        given.setdefault(shared.index(max(shared)), []).append(one.text)
    return [
        replace(line, translation=" ".join(given[at])) if at in given else line
        for at, line in enumerate(lines)
    ]


def _shared_s(one: Line, other: Line) -> float:
    starts, stops = (one.start_s, other.start_s), (one.stop_s, other.stop_s)
    return min(stop or 0.0 for stop in stops) - max(start or 0.0 for start in starts)


def _main_language(lines: list[Line]) -> str | None:
    counts: Counter[str] = Counter()
    for line in lines:
        counts[line.language or ""] += len(line.text)
    return counts.most_common(1)[0][0] if counts else None

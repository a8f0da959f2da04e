"""Say a sentence with eSpeak NG, which the package espeakng-loader carries."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from demo import sounds

SYNCHRONOUS, UTF8 = 2, 1
_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


def say(sentence: str, words_per_minute: int = 150) -> sounds.Sound:
    """Return a spoken sentence: float32 (n,) at sounds.RATE_HZ."""
    import espeakng_loader

    library: Any = ctypes.CDLL(espeakng_loader.get_library_path())
    parts: list[Any] = []

    def take(samples: Any, count: int, _: object) -> int:
        if samples and count > 0:
            parts.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    callback = _Callback(take)  # held until all is said
    data = espeakng_loader.get_data_path().encode()
    rate_hz = library.espeak_Initialize(SYNCHRONOUS, 0, data, 0)
    assert rate_hz == sounds.RATE_HZ, rate_hz
    library.espeak_SetSynthCallback(callback)
    library.espeak_SetVoiceByName(b"en-us")
    library.espeak_SetParameter(1, words_per_minute, 0)
    text = sentence.encode() + b"\0"
    library.espeak_Synth(text, ctypes.c_size_t(len(text)), 0, 0, 0, UTF8, None, None)
    library.espeak_Synchronize()
    return sounds.loudest_at(np.concatenate(parts).astype(np.float64) / 32_768)

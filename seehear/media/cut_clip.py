"""What a worker sends of a clip that it has cut, and of a file that a list names."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class CutClip:
    """A file that was cut out of another one."""

    data: bytes
    suffix: str
    start_s: float
    """Where it begins on the clock of its source; a copy may begin a little before the moment."""
    stop_s: float
    copied: bool
    """True where its packets are those of the source."""


@dataclass(frozen=True, slots=True)
class MediaTiming:
    """What an editing program needs to know of a file."""

    rate: Fraction | None
    """Frames in a second, as the file states them; None without a video."""
    duration_s: float | None
    width_px: int = 0
    height_px: int = 0
    channels: int = 0
    """0 without sound."""
    sample_rate_hz: int = 0
    timecode: str = ""
    """The time code of its first frame ("01:00:00:00"), where a camera wrote one."""

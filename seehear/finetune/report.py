"""Report what fine-tuning did, and whether the new model is better."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from seehear.finetune.pairs_file import SkippedPair

CUTOFFS = (1, 5, 10)
MIN_HELD_OUT = 10
"""With fewer held-out files, one file changes a figure by more than .1, which proves little."""

LEAST_KEPT = 0.5
"""A model that keeps less of what the old one knew is not named as better (docs/training.md)."""

_MAX_LISTED = 10
_PLURALS = {"image": "images", "audio": "sounds"}

Figures = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The deciding figure for one kind of file, before and after."""

    kind: str
    """"image" or "audio"."""
    figure: str
    """Its name, such as "success@10": the share of sentences with a right file in the top 10."""
    files: int
    """How many files were held out."""
    before: float
    after: float
    kept: float
    """How much of what the old model knew the new one keeps (see `TrainReport.kept`)."""

    @property
    def fell(self) -> bool:
        """Tell whether the new model is worse on the held-out files."""
        return not self.after >= self.before

    @property
    def forgot(self) -> bool:
        """Tell whether the new model keeps too little of what the old one knew."""
        return not self.kept >= LEAST_KEPT

    @property
    def too_few(self) -> bool:
        """Tell whether there are too few held-out files to judge."""
        return self.files < MIN_HELD_OUT

    def warnings(self, start: str) -> Iterator[str]:
        """Give the warnings of one line each. `start` names the old model."""
        if self.forgot:
            yield (
                f"The new model keeps {_short(self.kept)} of what {start} knew of "
                f"{_PLURALS[self.kind]}, less than {_short(LEAST_KEPT)}; do not use it. Run "
                "the command again with --force and a smaller --share, or with fewer --epochs."
            )
        change = f"from {_short(self.before)} to {_short(self.after)}"
        of_kind = f"{self.files} {_PLURALS[self.kind]}"
        if self.fell and not self.too_few:
            yield (
                f"Held-out {self.figure} fell {change} on {of_kind}. "
                f"The new model answers worse than {start}; do not use it."
            )
        elif self.fell:
            yield (
                f"Held-out {self.figure} fell {change}, on only {of_kind}. The new model may "
                f"answer worse than {start}. Add pairs and train again, or compare the two."
            )
        elif self.too_few:
            yield (
                f"Only {of_kind} are held out: too few to tell whether the new model answers "
                f"better than {start}. Add pairs, or compare the two."
            )


@dataclass(frozen=True, slots=True)
class TrainReport:
    """Result of fine-tuning. Figures are success@k by kind, on files that were not trained on."""

    folder: Path
    init: str
    """Name or folder of the model that training started from."""
    revision: str
    pairs: int
    trained: Mapping[str, int]
    """Files trained on, by kind ("image", "audio")."""
    held_out: Mapping[str, int]
    before: Mapping[str, Figures]
    after: Mapping[str, Figures]
    kept: Mapping[str, float]
    """How much of what the old model knew is left, by kind: of the ten everyday phrases that it
    finds nearest to each held-out file, the share that are among the new model's nearest ten."""
    skipped: tuple[SkippedPair, ...]
    duration_s: float

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Return the deciding figure for each kind that was trained on."""
        found = []
        for kind, figures in self.after.items():
            files = self.held_out[kind]
            # By chance alone, one of four files is in the first quarter of them.
            figure = f"success@{max(k for k in CUTOFFS if k == 1 or 4 * k <= files)}"
            name = f"text->{kind} {figure}"
            was, now = self.before[kind][name], figures[name]
            found.append(Verdict(kind, figure, files, was, now, self.kept[kind]))
        return tuple(found)

    @property
    def fell(self) -> bool:
        """Tell whether the new model answers worse than the old one or forgot much, of any kind."""
        return any(verdict.fell or verdict.forgot for verdict in self.verdicts)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return the sentences that users of the new model must read."""
        return tuple(line for verdict in self.verdicts for line in verdict.warnings(self.init))

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return {
            **asdict(self),
            "folder": str(self.folder),
            "skipped": [asdict(pair) for pair in self.skipped],
            "fell": self.fell,
            "warnings": list(self.warnings),
        }

    def lines(self) -> list[str]:
        """Return the report for people, without the warnings."""
        lines = [f"Skipped {pair}" for pair in self.skipped[:_MAX_LISTED]]
        if len(self.skipped) > _MAX_LISTED:
            lines.append(f"Skipped {len(self.skipped) - _MAX_LISTED:,} more.")
        for kind, figures in self.after.items():
            plural = _PLURALS[kind]
            lines.append(
                f"Trained on {self.trained[kind]:,} {plural}, "
                f"measured on {self.held_out[kind]:,} others:"
            )
            lines.extend(
                f"  {name}: {self.before[kind][name]:.2f} before, {value:.2f} after"
                for name, value in figures.items()
            )
            lines.append(f"  keeps {self.kept[kind]:.0%} of what {self.init} knew")
        lines.append(f"Saved to {self.folder} in {self.duration_s:.0f} s.")
        return lines


def _short(value: float) -> str:
    """Return .61 for 0.61 and 1.00 for 1."""
    return f"{value:.2f}".removeprefix("0")

"""Read a training recipe: every setting that makes a set of weights, in one TOML file.

`recipe.toml` beside this module is that of `tiny`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast, get_origin, get_type_hints

from seehear.encoders.tiny.checkpoint import ModelConfig
from seehear.errors import UsageError
from seehear.finetune.augment import AudioJitter, ImageJitter
from seehear.finetune.loop import Schedule
from training.tower_stage import LossWeights

SHIPPED = Path(__file__).with_name("recipe.toml")


@dataclass(frozen=True, slots=True)
class CorpusPlan:
    """What the text tower reads."""

    vocabulary: int = 28_000
    phrases: int = 50_000
    """Short queries cut out of captions."""
    mixtures: int = 40_000
    """Random words side by side."""


@dataclass(frozen=True, slots=True)
class TextPlan:
    """How the text tower is distilled."""

    schedule: Schedule
    warm_start: bool = True
    """Start each word's piece from the teacher's vector of that word."""


@dataclass(frozen=True, slots=True)
class TowerPlan:
    """How an image or audio tower is trained."""

    schedule: Schedule
    loss_weights: LossWeights = field(default_factory=LossWeights)
    start: str = ""
    """What the backbone starts from: the convolutions of a file under `teachers/`, or
    "efficientnet-lite0", those of an installed package; empty: from scratch."""
    classes: str = ""
    """File under `teachers/` whose class probabilities are distilled; empty: none."""
    frozen_blocks: int = 0
    """First blocks of the backbone that keep their weights (with the stem before them)."""
    backbone_rate: float = 1.0
    """Learning rate of the backbone as a part of the projection's."""
    shares: dict[str, float] = field(default_factory=dict)
    """How often a data set is drawn against what its size says; 1 where it is not named."""
    machine_share: float = 1.0
    """How often an item whose captions a machine wrote is drawn, against one of people's."""
    views: int = 0
    """Augmented views of each item over which the frozen blocks run once; steps draw among them.
    The projection of images alone always learns from such views; the rest of the image tower gets
    a new one in each step. Sounds get a new one in each step where this is 0."""
    head: Schedule = field(default_factory=lambda: Schedule(0, 1, 0.0))
    """Before that, the projection alone, on pooled features of the backbone as it starts: large
    batches cost little there. 0 steps leave it out; images only."""
    text_rate: float = 0.0
    """Learning rate of the text tower beside this one, as a part of the projection's; at 0 it
    stays as it is. ImageData only."""
    dropout: float = 0.0
    """Part of what a step leaves out: of the pooled features of images, of the channels that the
    frozen blocks give for sounds."""
    swapped: int = 0
    """Captions that are also shown with another colour or noun in them, as a wrong answer; images
    with a text tower that learns only."""
    dev_share: float = 0.03
    """Part of the training split that is never trained on: settings are chosen by it."""
    bank: int = 40_000
    """Caption sentences that serve as wrong answers."""
    eval_set: str = ""
    """Data set whose classes are told apart, without training on them, on the dev part."""
    image_px: int = 128
    """Size of the augmented images; images only."""
    cache_px: int = 144
    """Size in which images are kept between decoding and augmentation; images only."""
    clip_s: float = 4.0
    """Length of the augmented sounds; audio only."""

    @property
    def active_losses(self) -> LossWeights:
        """The weights of the losses; 0 for class probabilities where no teacher gives any."""
        return self.loss_weights if self.classes else replace(self.loss_weights, classes=0.0)


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that `python -m training` needs besides the data."""

    name: str
    text: TextPlan
    image: TowerPlan
    audio: TowerPlan
    seed: int = 0
    model: ModelConfig = field(default_factory=ModelConfig)
    corpus: CorpusPlan = field(default_factory=CorpusPlan)
    sets: tuple[str, ...] = ()
    """The sets to learn from, as `ShardItem.is_of` takes them; all where it is empty. The sentences
    in `text/` belong to no set: they are left out where sets are named."""
    open: tuple[str, ...] = ()
    """What `--open` puts in the place of `sets`: those whose licences allow commercial use."""
    image_jitter: ImageJitter = field(default_factory=ImageJitter)
    audio_jitter: AudioJitter = field(default_factory=AudioJitter)


def read_recipe(path: Path) -> Recipe:
    """Read the recipe in a TOML file.

    Raises UsageError with one line for a file that is missing or not TOML, and for a setting that
    is unknown, missing or of the wrong kind.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"the recipe {path} cannot be read: {error}") from error
    return _built(Recipe, table, "the recipe")


_T = TypeVar("_T")


def _built(kind: type[_T], table: Mapping[str, Any], where: str) -> _T:
    """Build a dataclass out of a table; refuse unknown names and values of another type."""
    hints = get_type_hints(kind)
    known = [entry.name for entry in fields(cast(Any, kind))]
    unknown = sorted(table.keys() - set(known))
    if unknown:
        raise UsageError(f"{where} has no setting {unknown[0]!r}; it has {', '.join(known)}")
    values = {name: _value(hints[name], table[name], f"{where}, {name}") for name in table}
    try:
        return kind(**values)
    except TypeError as error:
        raise UsageError(f"{where} is incomplete: {error}") from error


def _value(hint: Any, value: Any, where: str) -> Any:
    if is_dataclass(hint) and isinstance(value, dict):
        return _built(cast(type[Any], hint), value, where)
    if get_origin(hint) is dict and isinstance(value, dict):
        return {str(name): _value(float, number, where) for name, number in value.items()}
    if get_origin(hint) is tuple and isinstance(value, list):
        return tuple(_value(str, one, where) for one in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint in {int, float, bool, str} and type(value) is hint:
        return value
    wanted = getattr(hint, "__name__", str(hint))
    raise UsageError(f"{where}: {value!r} is not of type {wanted}")

"""From the name that a user writes to a model.

tiny                                   the bundled model
standard                               Perception Encoder and CLAP, joined by a bridge
open_clip:<architecture>/<source>      <source>: a pretrained tag, or a file of weights
open_clip:<folder>                     a folder with open_clip_config.json and weights
clap:<hub id or folder>                any CLAP that transformers reads
<folder>                               a fine-tuned `tiny`
fake, fake:<revision>, fake-joined     for tests; not listed
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from seehear.encoders.base import Model, SingleSpaceModel
from seehear.encoders.cards import ModelCard, known_cards
from seehear.errors import UnknownModelError

_KINDS = ("tiny", "standard", "open_clip:", "clap:")


def available_models() -> list[ModelCard]:
    """The models that `seehear models` lists, the bundled one first."""
    return known_cards()


def load_model(name: str, device: str = "auto") -> Model:
    """Load the model of that name onto a device ("auto", "cpu", "cuda", "cuda:1", "mps").

    Raises UnknownModelError where the name means nothing, ModelUnavailableError where its weights
    are neither here nor reachable, ModelIntegrityError where they do not fit, and UsageError for
    a device that is not there.
    """
    kind, _, rest = name.partition(":")
    if name == "tiny":
        from seehear.encoders.builtin import load_tiny

        return SingleSpaceModel("tiny", load_tiny(device=device))
    if name == "fake" or (kind == "fake" and rest):
        from seehear.encoders.fake import FakeEncoder

        return SingleSpaceModel(name, FakeEncoder(rest or "1"))
    if name == "fake-joined":
        from seehear.encoders.fake import fake_joined

        return fake_joined()
    if kind == "open_clip" and rest:
        from seehear.encoders.open_clip import load_open_clip

        return SingleSpaceModel(name, load_open_clip(rest, device))
    if _is_folder(name):
        from seehear.encoders.builtin import load_tiny

        folder = Path(name).expanduser().resolve()
        return SingleSpaceModel(str(folder), load_tiny(folder, device=device))
    raise UnknownModelError(_unknown(name))


def _is_folder(name: str) -> bool:
    """Whether a name is meant as a path: it looks like one, or such a folder exists."""
    separators = {os.sep, os.altsep or os.sep}
    looks = any(mark in name for mark in separators) or name.startswith(("~", "."))
    return looks or Path(name).is_dir()


def _unknown(name: str) -> str:
    known = [card.name for card in available_models()]
    near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.5)
    near = near or [k for k in known if name.lower() in k.lower()][:3]
    advice = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(known)}"
    return f"no model {name!r}; {advice} (`seehear models` lists them)"

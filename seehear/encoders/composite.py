"""A model of two encoders that share only texts, joined by a bridge.

    query \\ item     text      image     video     audio
    text             sight     sight     sight     sound
    image            sight     sight     sight     bridge
    video            sight     sight     sight     bridge
    audio            sound     bridge    bridge    sound

`sight` and `sound` are the encoders' own spaces, where both ends have native vectors; `bridge` is
the sight space too, with the sounds carried into it. So texts have a vector in both spaces,
pictures and clips in the sight space, and sounds natively in the sound space and bridged in the
sight space.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence

from seehear.encoders.base import Encoder, Route
from seehear.encoders.bridge import Bridge
from seehear.errors import SpaceMismatchError
from seehear.types import EmbeddingSpace, Modality, Sample, SampleSpec, Vectors

_VISION = frozenset({Modality.TEXT, Modality.IMAGE, Modality.VIDEO})
_AUDIO = frozenset({Modality.TEXT, Modality.AUDIO})


class CompositeModel:
    """Answers all sixteen routes with one encoder for sights and one for sounds.

    `make_bridge` is called once, when the first sound is encoded: fitting it takes a while, and
    a search by text never needs it. `bridge_revision` names what it will make.
    """

    def __init__(
        self,
        name: str,
        vision: Encoder,
        audio: Encoder,
        make_bridge: Callable[[], Bridge],
        bridge_revision: str,
    ) -> None:
        for encoder, needed in ((vision, _VISION), (audio, _AUDIO)):
            if missing := needed - encoder.modalities:
                raise SpaceMismatchError(
                    f"model {name} needs {' and '.join(sorted(missing))} from "
                    f"{encoder.space.name}, which does not encode it"
                )
        self._name = name
        self._vision = vision
        self._audio = audio
        self._make_bridge = make_bridge
        self._bridge: Bridge | None = None
        self._bridging = threading.Lock()
        parts = (vision.space.key, audio.space.key, bridge_revision)
        self._revision = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    @property
    def name(self) -> str:
        return self._name

    @property
    def revision(self) -> str:
        return self._revision

    @property
    def spec(self) -> SampleSpec:
        """Pictures as the sight encoder wants them, sound as the sound encoder does."""
        vision, audio = self._vision.spec, self._audio.spec
        return SampleSpec(
            image_px=vision.image_px,
            sample_rate_hz=audio.sample_rate_hz,
            window_s=audio.window_s,
            hop_s=audio.hop_s,
            passage_words=min(vision.passage_words, audio.passage_words),
        )

    def spaces_of(self, modality: Modality) -> tuple[EmbeddingSpace, ...]:
        if modality in (Modality.TEXT, Modality.AUDIO):
            return (self._vision.space, self._audio.space)
        return (self._vision.space,)

    def route(self, query: Modality, item: Modality) -> Route:
        both = {query, item}
        native_audio = Modality.AUDIO in both and both <= _AUDIO
        return Route(query, item, (self._audio if native_audio else self._vision).space)

    def encode(
        self, modality: Modality, samples: Sequence[Sample]
    ) -> Mapping[EmbeddingSpace, Vectors]:
        if modality is Modality.TEXT:
            return {
                self._vision.space: self._vision.encode(modality, samples),
                self._audio.space: self._audio.encode(modality, samples),
            }
        if modality is Modality.AUDIO:
            native = self._audio.encode(modality, samples)
            return {self._vision.space: self.bridge(native), self._audio.space: native}
        return {self._vision.space: self._vision.encode(modality, samples)}

    @property
    def bridge(self) -> Bridge:
        """The bridge from the sound space into the sight space, made on first use."""
        with self._bridging:
            if self._bridge is None:
                bridge = self._make_bridge()
                if (bridge.source, bridge.target) != (self._audio.space, self._vision.space):
                    raise SpaceMismatchError(
                        f"model {self._name} was given a bridge from {bridge.source.key} to "
                        f"{bridge.target.key}"
                    )
                self._bridge = bridge
            return self._bridge

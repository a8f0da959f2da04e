"""Join two encoders that share only texts to one model, by a bridge.

    query \\ item     text      image     video     audio
    text             vision    vision    vision    audio
    image            vision    vision    vision    bridge
    video            vision    vision    vision    bridge
    audio            audio     bridge    bridge    audio

`vision` and `audio` are the encoders' own spaces, where both ends have native vectors; `bridge` is
the vision space, too, with the sounds mapped into it. So texts have a vector in both spaces, images
and videos in the vision space, and sounds natively in the audio space and bridged in the vision
space. Where the audio encoder encodes videos, too, they have a vector in both spaces, and `audio`
answers video->audio and audio->video.
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
    """Answer all sixteen routes with one encoder for images and videos and one for sounds.

    `make_bridge` is called once, when the first sound is encoded: fitting it takes a while, and
    a search by text never needs it. `bridge_revision` identifies the bridge that it will make.
    Raises SpaceMismatchError where an encoder lacks a modality.
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
        self._of_audio = audio.modalities & (_AUDIO | {Modality.VIDEO})
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
        """Image settings of what encodes videos, sound settings of the audio encoder."""
        vision, audio = self._vision.spec, self._audio.spec
        both = Modality.VIDEO in self._of_audio
        return SampleSpec(
            image_px=max(vision.image_px, audio.image_px) if both else vision.image_px,
            sample_rate_hz=audio.sample_rate_hz,
            window_s=audio.window_s,
            hop_s=audio.hop_s,
            passage_words=min(vision.passage_words, audio.passage_words),
        )

    def spaces_of(self, modality: Modality) -> tuple[EmbeddingSpace, ...]:
        if modality in self._of_audio:
            return (self._vision.space, self._audio.space)
        return (self._vision.space,)

    def route(self, query: Modality, item: Modality) -> Route:
        both = {query, item}
        native_audio = Modality.AUDIO in both and both <= self._of_audio
        return Route(query, item, (self._audio if native_audio else self._vision).space)

    def encode(
        self, modality: Modality, samples: Sequence[Sample]
    ) -> Mapping[EmbeddingSpace, Vectors]:
        if modality is Modality.AUDIO:
            native = self._audio.encode(modality, samples)
            return {self._vision.space: self.bridge(native), self._audio.space: native}
        rows = {self._vision.space: self._vision.encode(modality, samples)}
        if modality in self._of_audio:
            rows[self._audio.space] = self._audio.encode(modality, samples)
        return rows

    @property
    def bridge(self) -> Bridge:
        """The bridge from the audio space into the vision space, made on first use.

        Raises SpaceMismatchError if `make_bridge` returns a bridge between other spaces.
        """
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

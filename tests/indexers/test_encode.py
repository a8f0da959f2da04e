"""The encode stage by itself: full batches across files, and one bad sample that fails alone."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from seehear.encoders.base import SingleSpaceModel
from seehear.encoders.fake import FakeEncoder, image, tone
from seehear.errors import EnvironmentFaultError, ModelError
from seehear.indexers.dedup import IndexFailure
from seehear.indexers.encode import DecodeMessage, EncodeStage, PendingAsset, SampleReady
from seehear.indexers.stages import BoundedQueue
from seehear.libraries import require
from seehear.stores import FileTask
from seehear.types import (
    AudioSample,
    EmbeddingSpace,
    MediaInfo,
    Modality,
    Sample,
    Segment,
    Vectors,
    modality_of,
)


class Moody(FakeEncoder):
    """Refuses what it is told to, and remembers the size of each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.most = 10_000
        self.hated: list[Sample] = []
        self.batches: list[int] = []

    def encode(self, modality: Modality, samples: Sequence[Sample]) -> Vectors:
        if len(samples) > self.most:
            raise MemoryError("no room")
        if any(sample is hated for sample in samples for hated in self.hated):
            raise RuntimeError("not this one\nand a long trace")
        self.batches.append(len(samples))
        return super().encode(modality, samples)


def draft_of(name: str) -> PendingAsset:
    return PendingAsset(
        name, FileTask(1, Path(f"/{name}"), 1, 1, 1), MediaInfo(Modality.IMAGE, "png")
    )


def messages(draft: PendingAsset, *samples: Sample, complete: bool = True) -> list[DecodeMessage]:
    sent: list[DecodeMessage] = []
    for sample in samples:
        draft.segments.append(Segment(modality_of(sample)))
        sent.append(SampleReady(draft, len(draft.segments) - 1, sample))
    return [*sent, draft] if complete else sent


def run(
    encoder: FakeEncoder, sent: Sequence[DecodeMessage], batch_size: int = 4
) -> tuple[list[PendingAsset], list[tuple[str, IndexFailure]]]:
    inbox: BoundedQueue[DecodeMessage] = BoundedQueue(1 << 30)
    for message in sent:
        inbox.put(message)
    inbox.close()
    done: list[PendingAsset] = []
    refused: list[tuple[str, IndexFailure]] = []
    EncodeStage(
        SingleSpaceModel("fake", encoder),
        batch_size,
        inbox,
        done.append,
        lambda draft, refusal: refused.append((draft.content_hash, refusal)),
    ).run()
    return done, refused


def test_batches_are_filled_across_files_and_files_span_batches() -> None:
    encoder = Moody()
    drafts = [draft_of(name) for name in "abc"]
    mixed: list[Sample] = [image("blue"), tone("green"), image("green")]
    sent = [
        *messages(drafts[0], *[image("red")] * 3),
        *messages(drafts[1], *mixed, *mixed),
        *messages(drafts[2], image("pink")),
    ]
    done, refused = run(encoder, sent)
    assert not refused
    assert sorted(encoder.batches) == [2, 4, 4]
    assert {draft.content_hash for draft in done} == {"a", "b", "c"}
    content = drafts[1].content()
    (positions, rows) = content.vectors[encoder.space]
    assert positions == [0, 1, 2, 3, 4, 5]
    kinds = [segment.modality for segment in content.segments]
    assert kinds == [Modality.IMAGE, Modality.AUDIO, Modality.IMAGE] * 2
    alone = FakeEncoder()
    for at, sample in enumerate(mixed):
        expected = alone.encode(modality_of(sample), [sample])[0]
        np.testing.assert_array_equal(rows[at], expected)
        np.testing.assert_array_equal(rows[at + 3], expected)


def test_the_middle_of_a_batch_fails_alone() -> None:
    encoder = Moody()
    drafts = [draft_of(f"{i}") for i in range(8)]
    samples = [image("red") for _ in drafts]
    encoder.hated = [samples[3]]
    sent = [
        m for draft, sample in zip(drafts, samples, strict=True) for m in messages(draft, sample)
    ]
    done, refused = run(encoder, sent, batch_size=8)
    assert [draft.content_hash for draft in done] == ["0", "1", "2", "4", "5", "6", "7"]
    assert refused == [("3", IndexFailure("encode", "not this one", permanent=False))]


def test_a_file_of_many_segments_fails_once_and_drags_nothing_along() -> None:
    encoder = Moody()
    long, short = draft_of("long"), draft_of("short")
    samples = [image("red") for _ in range(10)]
    encoder.hated = [samples[2], samples[5]]
    sent = [*messages(long, *samples), *messages(short, image("blue"))]
    done, refused = run(encoder, sent)
    assert [name for name, _ in refused] == ["long"]
    assert done == [short]


def test_out_of_memory_makes_later_batches_smaller() -> None:
    encoder = Moody()
    encoder.most = 3
    drafts = [draft_of(f"{i}") for i in range(24)]
    sent = [m for draft in drafts for m in messages(draft, image("red"))]
    done, refused = run(encoder, sent, batch_size=16)
    assert len(done) == 24
    assert not refused
    assert max(encoder.batches) <= 3


def test_an_encoder_that_cannot_encode_anything_ends_the_run_at_once() -> None:
    encoder = Moody()
    encoder.most = 0
    sent = [m for i in range(40) for m in messages(draft_of(f"{i}"), image("red"))]
    with pytest.raises(ModelError, match=r"cannot encode image here \(no room\); see .* doctor"):
        run(encoder, sent)


def test_an_encoder_that_refuses_every_file_ends_the_run() -> None:
    encoder = Moody()
    encoder.hated = [image("red")]
    sent = [m for i in range(40) for m in messages(draft_of(f"{i}"), encoder.hated[0])]
    with pytest.raises(ModelError, match=r"failed on 16 image samples in a row \(not this one\)"):
        run(encoder, sent)


@pytest.mark.parametrize("how", [ModuleNotFoundError, ImportError, OSError, RuntimeError])
def test_a_library_that_does_not_load_ends_the_run_at_once(
    how: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torchaudio.py").write_text(f"raise {how.__name__}('it does not fit')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torchaudio", raising=False)

    class Late(FakeEncoder):
        def encode(self, modality: Modality, samples: Sequence[Sample]) -> Vectors:
            require("torchaudio")
            return super().encode(modality, samples)

    with pytest.raises(EnvironmentFaultError, match="it does not fit") as caught:
        run(Late(), messages(draft_of("a"), image("red")))
    assert caught.value.library == "torchaudio"


def test_numbers_that_are_not_finite_fail_their_file() -> None:
    class Broken(FakeEncoder):
        def encode(self, modality: Modality, samples: Sequence[Sample]) -> Vectors:
            rows = super().encode(modality, samples)
            rows[[sample is bad for sample in samples]] = np.nan
            return rows

    bad = image("red")
    sent = [*messages(draft_of("a"), image("red")), *messages(draft_of("b"), bad)]
    done, refused = run(Broken(), sent)
    assert [draft.content_hash for draft in done] == ["a"]
    assert "not finite" in refused[0][1].reason


def test_what_the_encoder_finds_empty_is_no_segment() -> None:
    draft = draft_of("a")
    silence = AudioSample(np.zeros(1600, dtype=np.float32), 16_000)
    done, _ = run(FakeEncoder(), messages(draft, tone("red"), silence, tone("blue")))
    content = done[0].content()
    assert len(content.segments) == 2
    assert [positions for positions, _ in content.vectors.values()] == [[0, 1]]


def test_a_draft_without_segments_is_complete() -> None:
    done, _ = run(FakeEncoder(), messages(draft_of("quiet")))
    content = done[0].content()
    assert (content.segments, content.vectors) == ([], {})


def test_abandoned_and_unfinished_drafts_are_not_handed_on() -> None:
    encoder = Moody()
    again, broken, cut = draft_of("again"), draft_of("broken"), draft_of("cut")
    refusal = IndexFailure("decode", "truncated", permanent=True)
    again.abandoned, broken.failure = True, refusal
    sent = [
        *messages(again, image("red"), complete=False),
        again,
        *messages(broken, image("red"), complete=False),
        broken,
        *messages(cut, image("red"), complete=False),
    ]
    done, refused = run(encoder, sent)
    assert not done
    assert refused == [("broken", refusal)]
    assert not encoder.batches


def test_spaces_may_differ_by_modality() -> None:
    """A joined model: sound has a vector in two spaces, pictures in one."""
    picture_space, sound_space = EmbeddingSpace("p", "1", 4), EmbeddingSpace("s", "1", 2)

    class Joined:
        name, revision, spec = "joined", "1", FakeEncoder().spec

        def spaces_of(self, modality: Modality) -> tuple[EmbeddingSpace, ...]:
            both = (sound_space, picture_space)
            return both if modality is Modality.AUDIO else (picture_space,)

        def encode(
            self, modality: Modality, samples: Sequence[Sample]
        ) -> Mapping[EmbeddingSpace, Vectors]:
            return {
                space: np.ones((len(samples), space.dim), dtype=np.float32)
                for space in self.spaces_of(modality)
            }

    inbox: BoundedQueue[DecodeMessage] = BoundedQueue(1 << 30)
    draft = draft_of("clip")
    for message in messages(draft, image("red"), tone("red"), tone("blue")):
        inbox.put(message)
    inbox.close()
    EncodeStage(Joined(), 2, inbox, lambda _: None, lambda *_: None).run()  # type: ignore[arg-type]
    vectors = draft.content().vectors
    assert vectors[picture_space][0] == [0, 1, 2]
    assert vectors[sound_space][0] == [1, 2]

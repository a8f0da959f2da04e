"""What goes over the wire, as pydantic models: they check requests and describe the OpenAPI."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from seehear.types import Modality, Mode


def _writable(text: str) -> str:
    """Refuse lone surrogates, which JSON can spell and no encoding can write."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("text holds half a surrogate pair") from None
    if "\0" in text:
        raise ValueError("text holds a NUL character")
    return text


Words = Annotated[str, AfterValidator(_writable)]
SegmentId = Annotated[int, Field(ge=0, lt=1 << 63)]


class Strict(BaseModel):
    """A request: unknown fields are mistakes, and are told."""

    model_config = ConfigDict(extra="forbid")


class Part(Strict):
    """One thing a query asks for: words, or an uploaded file by its place in the form."""

    text: Words | None = None
    upload: int | None = Field(
        None, ge=0, lt=64, description="Index of an uploaded file, in the order of the form."
    )
    weight: float = Field(1.0, gt=0.0, le=100.0)
    exclude: bool = Field(False, description="Hits shall not show this.")


class SearchRequest(Strict):
    """A query. At least one of `text`, `parts`, `like` or an uploaded file."""

    text: Words | list[Words] | None = Field(None, description="What hits shall show.")
    without: Words | list[Words] | None = Field(None, description="What hits shall not show.")
    parts: list[Part] = Field([], description="Parts with weights, besides `text`.")
    like: list[SegmentId] = Field([], max_length=64, description="Segments to find more of.")
    unlike: list[SegmentId] = Field([], max_length=64, description="Segments to find less of.")
    k: int = Field(20, ge=1, description="Most hits.")
    modalities: list[Modality] | None = Field(
        None, max_length=8, description="Only assets of these kinds."
    )
    under: Words | None = Field(
        None, max_length=4096, description="Only below this folder, named as in `folder` of a hit."
    )
    where: Words = Field(
        "", max_length=2000, description="A filter: `taken >= 2024-06 and duration < 60`."
    )
    min_score: float = Field(0.0, ge=0.0, le=1.0)
    mode: Mode = Field(Mode.AUTO, description="By meaning, by words, or both.")
    moments: int = Field(1, ge=1, le=50, description="Most moments of one file.")
    diverse: bool = Field(False, description="Spread the hits over different things.")
    show_duplicates: bool = Field(False, description="Near-duplicates as hits of their own.")
    explain: bool = Field(False, description="Say what made each score.")


SEARCH_ANSWER: dict[str, Any] = {
    "hits": [
        {
            "rank": 1,
            "score": 0.93,
            "similarity": 0.71,
            "weak": False,
            "asset_id": 12,
            "segment_id": 40,
            "modality": "video",
            "matched": "audio",
            "start_s": 5.0,
            "stop_s": 15.0,
            "snippet": None,
            "name": "harbour.mp4",
            "folder": "Pictures/2024",
            "thumbnail": "/v1/assets/12/thumbnail?start_s=10.00",
            "media": "/v1/assets/12/media",
        }
    ],
    "stands_out": True,
    "model": "tiny",
    "took_ms": 4.1,
}


class MomentOut(BaseModel):
    """A stretch [start_s, stop_s) of a file that answers the query."""

    start_s: float
    stop_s: float
    score: float
    segment_id: int
    matched: Modality


class TermOut(BaseModel):
    """What one part of the query contributed to a score."""

    part: str
    weight: float
    exclude: bool
    score: float
    route: str = ""
    space: str = ""
    similarity: float | None = None
    expected: float | None = None
    spread: float | None = None
    crowd: float = Field(
        0.0, description="How much higher the cosine scores for other files that answer as well."
    )
    words: str = ""
    words_score: float = 0.0


class Place(BaseModel):
    """Where a file lies, without the machine's own paths."""

    name: str = Field(description="File name.")
    folder: str = Field(description="Label of the root and the folders below it.")
    online: bool = True


class HitOut(BaseModel):
    """One hit."""

    rank: int
    score: float = Field(description="Calibrated, in [0, 1]; compares across kinds.")
    similarity: float | None = Field(description="Raw cosine of the best segment.")
    weak: bool = Field(description="Not set apart from what any query would bring up.")
    asset_id: int
    segment_id: int
    modality: Modality
    matched: Modality = Field(description="Of the segment: `audio` for a video's sound track.")
    start_s: float | None = None
    stop_s: float | None = None
    snippet: str | None = None
    name: str
    folder: str
    moments: list[MomentOut] = []
    duplicates: list[Place] = []
    why: list[TermOut] = []
    width_px: int | None = None
    height_px: int | None = None
    duration_s: float | None = None
    taken_at: str | None = None
    thumbnail: str | None = Field(None, description="Address of a picture of the hit.")
    media: str = Field(description="Address of the file itself.")


class SearchAnswer(BaseModel):
    """A ranked list."""

    model_config = ConfigDict(json_schema_extra={"examples": [SEARCH_ANSWER]})

    hits: list[HitOut]
    stands_out: bool = Field(
        description="False where no hit is set apart: the collection may hold nothing like it."
    )
    model: str | None
    took_ms: float


class SegmentOut(BaseModel):
    """A piece of an asset that can be found."""

    segment_id: int
    modality: Modality
    start_s: float | None = None
    stop_s: float | None = None
    text: str | None = None


class AssetOut(BaseModel):
    """One distinct content and where it lies."""

    asset_id: int
    modality: Modality
    format: str
    size_bytes: int
    width_px: int | None = None
    height_px: int | None = None
    duration_s: float | None = None
    taken_at: str | None = None
    places: list[Place]
    segments: list[SegmentOut]
    segments_total: int
    thumbnail: str | None
    media: str


class Waveform(BaseModel):
    """Loudest sample in equal steps of time, in [0, 1]."""

    start_s: float
    stop_s: float
    peaks: list[float]


class EmbedRequest(Strict):
    """Texts to turn into vectors; a form with a file has none."""

    texts: list[Words] = Field([], description="At least one, unless a file is sent.")


class SpaceOut(BaseModel):
    """Vectors in one space; only vectors of the same space compare."""

    space: str = Field(description="name@revision:dimensions")
    dimensions: int
    vectors: list[list[float]] = Field(description="L2-normalised, one row per sample.")


class EmbedAnswer(BaseModel):
    """Vectors of what was sent. A clip or long sound gives one row per sample of it."""

    model: str
    modality: Modality
    spaces: list[SpaceOut]


class OpenAIEmbeddingsRequest(BaseModel):
    """As OpenAI's clients send it; fields that mean nothing here are ignored."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={"examples": [{"model": "default", "input": ["a red car", "birdsong"]}]},
    )

    input: Words | list[Words] = Field(description="Text or texts; token numbers are refused.")
    model: str = Field(
        "default", max_length=200, description="The served model's name, or `default`."
    )
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(None, ge=1, description="Only the model's own dimension.")
    user: str | None = None


class OpenAIEmbedding(BaseModel):
    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class OpenAIUsage(BaseModel):
    prompt_tokens: int
    total_tokens: int


class OpenAIEmbeddings(BaseModel):
    """As OpenAI's clients read it."""

    object: Literal["list"] = "list"
    data: list[OpenAIEmbedding]
    model: str
    usage: OpenAIUsage


class RootOut(BaseModel):
    label: str
    online: bool
    indexable: bool = Field(description="Whether `POST /v1/index` may bring it up to date.")


class Status(BaseModel):
    """What the collection holds."""

    version: str
    model: str | None
    revision: str | None
    assets: int
    segments: int
    locations: int
    failures: int
    size_bytes: int
    by_modality: dict[str, int]
    subtitles: int = Field(description="Subtitle files beside their video, which are no assets.")
    unsupported: dict[str, int] = Field(description="Files of kinds that are not read, by suffix.")
    index: str
    roots: list[RootOut]
    limits: dict[str, Any]


class Folders(BaseModel):
    """Folders for the filter, by label."""

    folders: list[str]
    complete: bool = Field(description="False where there are more than are listed.")


class IndexRequest(Strict):
    """Which of the roots named at the start to bring up to date; none means all."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{}, {"retry_failed": True}]}
    )

    roots: list[Words] = Field([], max_length=100)
    retry_failed: bool = False


class JobProgress(BaseModel):
    stage: str
    files_done: int
    files_total: int | None = None
    failed: int
    files_per_s: float
    left_s: float | None = None
    current: str | None = Field(None, description="Name of a file that is worked on.")


class JobReport(BaseModel):
    added: int
    updated: int
    moved: int
    removed: int
    unchanged: int
    skipped: int
    unsupported: dict[str, int] = Field(
        description="How many of the skipped files are of kinds that are not read, by suffix."
    )
    failed: int
    interrupted: bool
    seconds: float
    offline: list[str]
    failures: list[dict[str, str]] = Field(description="`name`, `stage`, `reason`; the first 100.")


class Job(BaseModel):
    """An index run."""

    id: str
    state: Literal["running", "done", "stopped", "failed"]
    roots: list[str]
    progress: JobProgress | None = None
    report: JobReport | None = None
    error: str | None = None


class Jobs(BaseModel):
    jobs: list[Job]


class Session(BaseModel):
    """Whether the page has to sign in."""

    required: bool
    signed_in: bool


class SignIn(Strict):
    """The token that the service was started with."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"token": "sixteen characters, or more"}]}
    )

    token: str = Field(max_length=1000)


class Health(BaseModel):
    status: str


class ProblemBody(BaseModel):
    code: str
    message: str
    type: str


class Problem(BaseModel):
    """Every error has this shape."""

    error: ProblemBody

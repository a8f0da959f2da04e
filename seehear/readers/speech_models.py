"""Name the models that speech is read with, and find their folders.

    whisper-base                  by name: from the hub's cache, else from the hub, pinned
    whisper:FOLDER, FOLDER        a copy on disk, as CTranslate2 writes it

`whisper-base` reads 99 languages at 13 times real time on two cores. The figures of each are in
docs/reading.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from seehear.config import DEFAULT_SPEECH_MODEL
from seehear.errors import EnvironmentFaultError, ModelIntegrityError, UnknownModelError
from seehear.hub import HubFile, HubModel, check_folder, revision_of
from seehear.suggestions import did_you_mean

_FOLDER = "whisper:"
_FILES = ("model.bin", "config.json", "tokenizer.json")
"""What every folder must have; without tokenizer.json the library would ask the hub."""


@dataclass(frozen=True, slots=True)
class SpeechModel:
    """A model of speech that has a name."""

    name: str
    summary: str
    size_bytes: int
    repo: str
    revision: str
    extra_files: tuple[str, ...] = ("vocabulary.txt",)
    license: str = "MIT"
    languages: str = "99"

    @property
    def files(self) -> tuple[HubFile, ...]:
        """The files that make the model, the weights first."""
        return tuple(
            HubFile(self.repo, name, self.revision) for name in (*_FILES, *self.extra_files)
        )

    @property
    def present(self) -> bool:
        """Whether it loads without a network."""
        hub = HubModel(self.name, self.size_bytes, self.license, f"{_FOLDER}FOLDER")
        return all(hub.cached(file) is not None for file in self.files)


SPEECH_MODELS = (
    SpeechModel(
        "whisper-base",
        "Whisper base: the default; an hour of talk takes 4 to 5 minutes",
        145_000_000,
        "Systran/faster-whisper-base",
        "ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66",
    ),
    SpeechModel(
        "whisper-tiny",
        "Whisper tiny: half the time, and half as many errors again",
        76_000_000,
        "Systran/faster-whisper-tiny",
        "d90ca5fe260221311c53c58e660288d3deb8d356",
    ),
    SpeechModel(
        "whisper-small",
        "Whisper small: better for other languages than English, several times slower",
        484_000_000,
        "Systran/faster-whisper-small",
        "536b0662742c02347bc0e980a01041f333bce120",
    ),
    SpeechModel(
        "whisper-turbo",
        "Whisper large v3 turbo: the best of these, and far slower",
        1_600_000_000,
        "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
        "0a363e9161cbc7ed1431c9597a8ceaf0c4f78fcf",
        ("vocabulary.json", "preprocessor_config.json"),
    ),
)
_BY_NAME = {model.name: model for model in SPEECH_MODELS}


def find_model(name: str | None) -> Path:
    """Return the folder of a model, fetched from the hub if it has to be.

    Raises UnknownModelError, ModelUnavailableError without a network, EnvironmentFaultError for a
    folder that lacks files.
    """
    wanted = name or DEFAULT_SPEECH_MODEL
    if (model := _BY_NAME.get(wanted)) is not None:
        hub = HubModel(
            model.name, model.size_bytes, model.license, f"{_FOLDER}FOLDER", "--speech-model"
        )
        weights, *_ = [hub.file(file) for file in model.files]
        return weights.parent
    folder = Path(wanted.removeprefix(_FOLDER)).expanduser()
    if not wanted.startswith(_FOLDER) and not folder.is_dir():
        raise UnknownModelError(
            f"no speech model {wanted!r}; choose {', '.join(_BY_NAME)} or whisper:FOLDER."
            + did_you_mean(wanted, _BY_NAME)
        )
    return check_model_folder(folder)


def check_model_folder(folder: Path) -> Path:
    """Return the folder if all files of a model are in it. Raises EnvironmentFaultError."""
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        raise damaged(folder, f"it lacks {', '.join(missing)}")
    try:
        check_folder(folder)
    except ModelIntegrityError as error:
        raise EnvironmentFaultError(str(error)) from None
    return folder.resolve()


def damaged(folder: Path, reason: str) -> EnvironmentFaultError:
    """Make the error for a model folder that cannot be used."""
    return EnvironmentFaultError(
        f"the speech model in {folder} cannot be loaded ({reason}); copy it again, or choose "
        f"another one (--speech-model {DEFAULT_SPEECH_MODEL})"
    )


def identity_of(folder: Path) -> str:
    """Return what identifies the weights in a folder: name and revision."""
    revision = revision_of(folder / "model.bin")
    named = (one.name for one in SPEECH_MODELS if one.revision.startswith(revision))
    return f"{next(named, 'whisper')}@{revision}"

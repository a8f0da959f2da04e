"""Which errors are the fault of a library that cannot be loaded, and which are not."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from seehear.encoders import load_model, registry
from seehear.errors import (
    BrokenMediaError,
    EnvironmentFaultError,
    ModelError,
    ModelUnavailableError,
    UsageError,
)
from seehear.libraries import (
    LIBRARIES,
    fault_of,
    naming_faults,
    remedy,
    require,
    requirement,
)

BODIES = {
    "missing": "raise ModuleNotFoundError(\"No module named 'rawpy'\", name='rawpy')",
    "a part is missing": "import no_such_part_of_it",
    "symbol": "raise ImportError('undefined symbol: _ZN')",
    "shared library": "import ctypes; ctypes.CDLL('/no/such/library.so')",
    "other version": "raise RuntimeError('built for another version')",
    "renamed": "import sys; sys.no_such_thing",
}


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts something else in the place of rawpy."""

    def place(body: str) -> None:
        (tmp_path / "rawpy.py").write_text(body)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "rawpy", raising=False)

    return place


@pytest.mark.parametrize("how", BODIES)
def test_a_failed_import_is_named(how: str, stub: Callable[[str], None]) -> None:
    stub(BODIES[how])
    with pytest.raises(EnvironmentFaultError, match="the library rawpy ") as caught:
        require("rawpy")
    assert caught.value.library == "rawpy"
    assert "pip install" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_failed_import_is_seen_behind_the_error_that_was_made_of_it(
    stub: Callable[[str], None],
) -> None:
    stub("raise OSError('no such file')")

    def decode() -> None:
        try:
            require("rawpy")
        except Exception:
            raise BrokenMediaError("corrupt") from None

    with pytest.raises(BrokenMediaError) as caught:
        decode()
    fault = fault_of(caught.value)
    assert fault is not None
    assert fault.library == "rawpy"


@pytest.mark.parametrize(
    "error",
    [
        OSError("disk"),
        ValueError("bad"),
        RuntimeError("no kernel"),
        BrokenMediaError("corrupt"),
        UsageError("empty"),
        MemoryError(),
        ImportError("libx.so: cannot allocate memory"),
    ],
    ids=repr,
)
def test_other_errors_are_no_faults_of_libraries(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, naming_faults():
        raise error
    assert caught.value is error
    assert fault_of(error) is None


def test_an_import_that_a_callers_own_function_makes_is_the_callers() -> None:
    def progress() -> None:
        import no_such_library_of_mine  # type: ignore[import-not-found]  # noqa: F401

    with pytest.raises(ModuleNotFoundError, match="no_such_library_of_mine"), naming_faults():
        progress()


def test_a_library_that_others_do_without_is_no_fault() -> None:
    def call() -> None:
        try:
            import no_such_accelerator  # type: ignore[import-not-found]  # noqa: F401
        except ImportError:
            raise ValueError("a bad argument")  # noqa: B904 - as libraries do

    with pytest.raises(ValueError, match="bad argument"), naming_faults():
        call()


def test_a_shared_library_that_does_not_load_at_first_use_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scope: dict[str, object] = {"__name__": "torch._ops", "ctypes": ctypes}
    exec("def load(): ctypes.CDLL('/no/such/kernel.so')", scope)
    load = scope["load"]
    assert callable(load)
    with pytest.raises(EnvironmentFaultError) as caught, naming_faults():
        load()
    assert caught.value.library == "torch"


def test_the_remedy_names_the_requirement_or_the_extra() -> None:
    assert remedy("av", missing=True).startswith("install it: pip install 'av")
    assert "--force-reinstall 'torch" in remedy("torch")
    assert remedy("uvicorn", missing=True) == "install it: pip install 'seehear[server]'"
    assert requirement("no-such-package") == "no-such-package"
    assert len({one.module for one in LIBRARIES}) == len(LIBRARIES)


def test_a_model_that_cannot_be_loaded_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object) -> None:
        raise KeyError("layer.7\nand more")

    monkeypatch.setattr(registry, "_loaded", breaks)
    with pytest.raises(ModelError, match=r"the model clap:x cannot be loaded .*seehear doctor"):
        load_model("clap:x")


def test_a_model_that_is_not_there_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError):
        load_model(str(tmp_path))

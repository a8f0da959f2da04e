"""What holds for every test."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes the cache folder of whoever runs it, nor do processes it starts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEEHEAR_CACHE", str(tmp_path_factory.mktemp("user-cache")))
        yield


def pytest_configure() -> None:
    """Let Ctrl-C interrupt, also in the background of a shell, which ignores it in its children."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)

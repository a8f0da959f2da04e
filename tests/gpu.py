"""Check that tests marked `gpu` have enough GPUs.

Without them the tests are skipped, with the reason; with SEEHEAR_REQUIRE_GPU=1 they fail.
"""

from __future__ import annotations

import os

import pytest


def require_cards(there: int, needed: int = 1) -> None:
    """Return if that many GPUs can be used; else skip, or fail where they are required.

    SEEHEAR_REQUIRE_GPU requires one GPU: tests of several are skipped if there is only one.
    """
    if there >= needed:
        return
    reason = f"{there or 'no'} CUDA GPU{'s' * (there > 1)} can be used, and {needed} are needed"
    if os.environ.get("SEEHEAR_REQUIRE_GPU") == "1" and there == 0:
        pytest.fail(f"SEEHEAR_REQUIRE_GPU is set, but {reason}")
    pytest.skip(reason)

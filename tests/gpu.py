"""What tests marked `gpu` need.

Where it is missing they are skipped, with the reason; with SEEHEAR_REQUIRE_GPU=1 they fail.
"""

from __future__ import annotations

import os

import pytest


def require_cards(there: int, needed: int = 1) -> None:
    """Go on where so many cards can be used; else skip, or fail where they are required.

    One card is what SEEHEAR_REQUIRE_GPU requires: tests of several are skipped with one alone.
    """
    if there >= needed:
        return
    reason = f"{there or 'no'} CUDA card{'s' * (there > 1)} can be used, and {needed} are needed"
    if os.environ.get("SEEHEAR_REQUIRE_GPU") == "1" and there == 0:
        pytest.fail(f"SEEHEAR_REQUIRE_GPU is set, but {reason}")
    pytest.skip(reason)

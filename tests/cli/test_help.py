"""What `seehear --help` says."""

from __future__ import annotations

from tests.cli.conftest import Run


def test_no_summary_of_a_command_is_cut_off(run: Run) -> None:
    shown = run("--help").stdout
    listed = shown.partition("Commands:")[2]
    assert "search" in listed
    assert "..." not in listed

"""What `seehear --help` says."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from seehear.cli.app import COMMANDS, _has_one_value, make_app
from tests.cli.conftest import Run


def test_no_summary_of_a_command_is_cut_off(run: Run) -> None:
    shown = run("--help").stdout
    listed = shown.partition("Commands:")[2]
    assert "search" in listed
    assert "..." not in listed


@pytest.mark.parametrize("command", COMMANDS)
def test_an_option_with_one_value_is_not_given_twice(run: Run, command: str) -> None:
    """By the options that each command has: what is given twice, in any of its spellings."""
    options: list[Any] = [
        option
        for option in typer.main.get_group(make_app([command])).commands[command].params
        if option.param_type_name == "option" and option.name != "help"
    ]
    for option in options:
        if option.multiple or option.is_flag:
            assert not _has_one_value(option)
            continue
        given = [option.opts[0], "1", option.opts[-1], "2"]
        done = run(command, *given, check=False)
        names = " or ".join(option.opts)
        assert done.stderr == (
            f"seehear: {names} is given twice. Give it once. See `seehear {command} --help`\n"
        )
        assert done.returncode == 2


def test_a_flag_may_be_given_twice(run: Run) -> None:
    assert "given twice" not in run("formats", "--json", "--json").stderr

"""Ignore rules mean what they mean to git, and cost time linear in pattern and name."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest

from seehear.indexers.gitignore import PathRules, parse_rule
from seehear.indexers.ignore import MOST_PATTERNS, PathPatterns
from seehear.indexers.scan import Scan, walk

posix = pytest.mark.skipif(os.name == "nt", reason="names of Unix")

PIECES = (
    "a", "b", "c", "ab", "x", "*", "**", "***", "?", "/", "/", "**/", "/**", "!", "#", " ", "-",
    "[ab]", "[!a]", "[^a-b]", "[a-c]", "[b-a]", "[]a]", "[a-]", "[!]", "[", "[/a]", "[\\]]",
    "[[:alpha:]]", "[![:alpha:]b]", "[[:none:]]", "[[:]", "\\a", "\\*", "\\", "\\/", "**\\/", "\t",
)  # fmt: skip
NAMES = ("a", "b", "c", "ab", "abc", "x", "-", "*", "a b", "!", "#", "b ", "]", "ba", "bac")


def grow_tree(top: Path, dice: random.Random) -> list[str]:
    """A few dozen files with short names in some folders, as paths relative to the top."""
    made = set()
    for _ in range(40):
        path = top.joinpath(*(dice.choice(NAMES) for _ in range(dice.randint(1, 4))))
        if not any(one.is_file() for one in path.parents) and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
            made.add(path.relative_to(top).as_posix())
    return sorted(made)


@posix
@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@pytest.mark.parametrize("seed", range(60))
def test_random_rules_ignore_what_git_ignores(tmp_path: Path, seed: int) -> None:
    """About 480 patterns in nested ignore files, against 40 files each."""
    dice = random.Random(seed)
    files = grow_tree(tmp_path, dice)
    folders = sorted({tmp_path / Path(file).parent for file in files})
    rules = {}
    for folder in {tmp_path, *dice.sample(folders, min(3, len(folders)))}:
        lines = ["".join(dice.choices(PIECES, k=dice.randint(1, 6))) for _ in range(2)]
        rules[str(folder.relative_to(tmp_path))] = lines
        for name in (".seehearignore", ".gitignore"):
            (folder / name).write_text("\n".join(lines))
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", "init", "-q", tmp_path], check=True, env=environment)
    told = subprocess.run(
        ["git", "check-ignore", "--no-index", "--stdin", "-z"],
        check=False, input="\0".join(files), cwd=tmp_path, capture_output=True, text=True,
        env=environment,
    )  # fmt: skip
    assert told.returncode in {0, 1}, told.stderr
    found = {os.path.relpath(file.path, tmp_path) for file in walk(str(tmp_path), Scan())}
    assert found == set(files) - set(told.stdout.split("\0")), rules


def selected(pattern: str, *paths: str) -> list[str]:
    """The paths that a pattern selects; folders end with a slash."""
    rule = parse_rule(pattern)
    rules = PathRules([] if rule is None else [rule])
    return [p for p in paths if rules.selects(p.rstrip("/"), is_folder=p.endswith("/"))]


@pytest.mark.parametrize(
    ("pattern", "paths", "wanted"),
    [
        ("*.jpg", ["a.jpg", "x/b.jpg", ".jpg", "a.jpgs", "new\nline.jpg"], [0, 1, 2, 4]),
        ("/a", ["a", "x/a", "a/deep/b"], [0, 2]),
        ("raw/", ["raw", "raw/", "x/raw/", "raw/a.jpg"], [1, 2, 3]),
        ("x/**/y", ["x/y", "x/a/y", "x/a/b/y", "x/ay"], [0, 1, 2]),
        ("**/x/*a*", ["x/a", "p/q/x/bab", "x/b/a", "px/a"], [0, 1]),
        ("x/**", ["x", "x/a", "x/a/b"], [1, 2]),
        ("caf?", ["café", "caf\udce9", "caf/"], [0, 1]),
        ("[a-cé]x", ["ax", "éx", "dx", "/x"], [0, 1]),
        ("a\\ ", ["a", "a "], [1]),
        ("# no", ["# no", "no"], []),
        ("\\#", ["#"], [0]),
    ],
)
def test_patterns(pattern: str, paths: list[str], wanted: list[int]) -> None:
    assert selected(pattern, *paths) == [paths[at] for at in wanted]


@pytest.mark.parametrize("line", ["!", "/", "a\\", "[ab", "[[:none:]]", "a" * 1025])
def test_a_pattern_that_matches_nothing_is_malformed(line: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_rule(line)


def test_an_include_pattern_of_a_folder_takes_what_is_in_it() -> None:
    patterns = PathPatterns(["photos/", "!photos/raw/", "*.wav"], ["*.tmp"])
    taken = ["photos/a.jpg", "photos/deep/b.jpg", "photos/raw/c.wav", "d.wav"]
    assert all(patterns.takes(path) for path in taken)
    left = ["photos/raw/c.dng", "a.jpg", "photos/a.tmp"]
    assert not any(patterns.takes(path) for path in left)


BOMBS = {
    "folders": ("**/" * 64 + "b", "a/" * 64 + "a"),
    "folders with names": ("**/a*" * 16 + "/b", "a/" * 64 + "a"),
    "folders of stars": ("**/*" * 16 + "/b", "a/" * 64 + "a"),
    "stars": ("*a" * 64 + "b", "a" * 128),
    "stars that overlap": ("*aaaa" * 12 + "b", "a" * 128),
    "stars in folders": ("*a*a/" * 12 + "b", "aaaaa/" * 24 + "a"),
    "questions": ("*?" * 64 + "b", "a" * 128),
    "sets": ("*[!b]" * 24 + "b", "a" * 128),
    "doubled sets": ("**[a-z]" * 18 + "b", "a" * 128),
    "anchored": ("/a**" + "/**/a" * 20 + "/b", "a/" * 64 + "a"),
    "with a file behind it": ("**/a*a/**" * 10 + "/b", "aaa/" * 32 + "a"),
}


def processor_s(pattern: str, path: str) -> float:
    """Processor time of one match, the least of some."""
    rule = parse_rule(pattern)
    assert rule is not None
    rules, spent = PathRules([rule]), []
    for _ in range(5):
        began = time.process_time_ns()
        for _ in range(10):
            assert not rules.decide(path, is_folder=False)
        spent.append(time.process_time_ns() - began)
    return min(spent) / 10**10


@pytest.mark.parametrize("bomb", BOMBS)
def test_the_cost_of_a_hostile_rule_is_pattern_times_path(bomb: str) -> None:
    """Eight times the pattern and the path may cost 64 times as much, not 2 ** 8."""
    pattern, path = BOMBS[bomb]
    unit = pattern[:-1]

    def grown(times: float) -> float:
        last = "/b" if unit.endswith("/") else "b"
        return processor_s(unit[: int(len(unit) * times)] + last, path * int(8 * times))

    small, large = grown(1 / 8), grown(1)
    assert large < max(small, 2e-6) * 64 * 4


@posix
def test_hostile_rules_do_not_hold_a_walk(tmp_path: Path) -> None:
    """Many names, of which none is taken: the walk still stops where it is told to."""
    for number in range(300):
        (tmp_path / f"{number:03}{'a' * 240}").write_bytes(b"")
    rules = ["*a" * 20 + "*b", "**/" * 20 + "b", "*[!b]*" * 20 + "b", "*"]
    (tmp_path / ".seehearignore").write_text("\n".join(rules))
    began = time.process_time()
    assert list(walk(str(tmp_path), Scan())) == []
    assert time.process_time() - began < 10
    stop = threading.Event()
    looked_at: list[str] = []

    class Counting(PathPatterns):
        def takes(self, relative: str) -> bool:
            looked_at.append(relative)
            stop.set()
            return False

    (tmp_path / ".seehearignore").unlink()
    assert list(walk(str(tmp_path), Scan(), patterns=Counting(exclude=["z"]), stop=stop)) == []
    assert len(looked_at) == 1


def test_an_ignore_file_that_is_too_long_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"")
    rules = tmp_path / ".seehearignore"
    for content, reason in (
        ("*.jpg\n" * (MOST_PATTERNS + 1), f"more than {MOST_PATTERNS} patterns"),
        ("# a comment\n" * 100_000, "bytes"),
    ):
        rules.write_text(content)
        scan = Scan()
        assert [file.path for file in walk(str(tmp_path), scan)] == [str(tmp_path / "a.jpg")]
        assert reason in scan.problems[0].reason
    rules.write_text("*.jpg\n" + "[" * 5000)
    scan = Scan()
    assert list(walk(str(tmp_path), scan)) == []
    assert "line 2 is not a valid .gitignore pattern" in scan.problems[0].reason
    assert len(scan.problems[0].reason) < 200

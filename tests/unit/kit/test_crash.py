"""Crash points end the process when armed, refuse unknown names, and cost nothing otherwise."""

import os
import subprocess
import sys
import timeit

import pytest

from kit import crash

PROGRAM = """
from kit import crash
crash.declare("unit.crash.first", "nothing happened yet")
crash.declare("unit.crash.second", "the first point was passed")
crash.check()
try:
    for turn in range(1, 6):
        crash.point("unit.crash.first")
        print(turn, flush=True)
        crash.point("unit.crash.second")
finally:
    print("cleaned up", flush=True)
"""


WITHOUT_TESTKIT = """
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name == "testkit" else find(name)
"""


def run(armed: str | None, *, program: str = PROGRAM) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != crash.ENVIRONMENT}
    if armed is not None:
        environment[crash.ENVIRONMENT] = armed
    return subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_process_ends_like_a_kill_at_the_first_pass_when_armed() -> None:
    done = run("unit.crash.first")
    assert (done.returncode, done.stdout) == (137, "")


def test_process_ends_at_the_nth_pass_when_a_count_is_given() -> None:
    done = run("unit.crash.second:3")
    assert (done.returncode, done.stdout) == (137, "1\n2\n3\n")


def test_process_runs_through_when_nothing_is_armed() -> None:
    done = run(None)
    assert (done.returncode, done.stdout) == (0, "1\n2\n3\n4\n5\ncleaned up\n")


@pytest.mark.parametrize(
    "armed", ["unit.crash.third", "unit.crash.first:0", "unit.crash.first:x", "First", "unit.crash.first:٣"]
)
def test_start_fails_when_the_armed_name_is_unknown_or_malformed(armed: str) -> None:
    done = run(armed)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "UnknownCrashPoint" in done.stderr


def test_nothing_is_armed_where_testkit_is_not_installed() -> None:
    done = run("unit.crash.first", program=WITHOUT_TESTKIT + PROGRAM)
    assert done.returncode == 0


def test_an_undeclared_point_is_an_error_when_anything_is_armed() -> None:
    done = run(
        "unit.crash.first:9",
        program=PROGRAM.replace('crash.point("unit.crash.second")', 'crash.point("a.b.c")'),
    )
    assert done.returncode == 1
    assert "never declared" in done.stderr


def test_declare_returns_the_name_and_refuses_a_second_meaning() -> None:
    assert crash.declare("unit.declare.once", "a place") == "unit.declare.once"
    assert crash.declare("unit.declare.once", "a place") == "unit.declare.once"
    assert crash.KNOWN["unit.declare.once"] == "a place"
    with pytest.raises(ValueError, match="twice"):
        crash.declare("unit.declare.once", "another place")
    del crash.KNOWN["unit.declare.once"]


@pytest.mark.parametrize(("name", "doc"), [("short", "x"), ("a.b", "x"), ("A.b.c", "x"), ("a.b.c", "")])
def test_declare_refuses_a_malformed_name_or_no_sentence(name: str, doc: str) -> None:
    with pytest.raises(ValueError, match="crash point"):
        crash.declare(name, doc)


def test_a_disarmed_point_costs_next_to_nothing() -> None:
    passes = 100_000
    best_s = min(timeit.repeat(lambda: crash.point("unit.crash.first"), number=passes, repeat=7)) / passes
    assert best_s < 1e-6  # Seen: 70 ns with the call around it; the bound leaves room for a busy machine.

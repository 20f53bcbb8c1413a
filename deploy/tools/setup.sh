#!/bin/sh
# Makes .venv ready: `setup.sh run` for serving, `setup.sh dev` for checking and testing as well. Called by make.
set -eu
cd "$(dirname "$0")/../.."
kind=$1
# Once a checkout is a developer's, installing only what running needs would take the tools away again.
if [ -f .venv/.ready-dev ]; then kind=dev; fi

"${PYTHON:-python3}" - <<'PY'
import sys
if sys.version_info < (3, 11):
    sys.exit(f"Atelier needs Python 3.11 or newer; this is {sys.version.split()[0]}. Choose one: make PYTHON=python3.12 …")
PY

if [ ! -x .venv/bin/uv ]; then
    echo "setup: making .venv"
    "${PYTHON:-python3}" -m venv .venv
    .venv/bin/python -m pip install --quiet uv
fi

case $kind in
    run) lock=requirements.lock; members=$(ls -d libs/*/ services/*/ | grep -v testkit) ;;
    dev) lock=requirements-dev.lock; members=$(ls -d libs/*/ services/*/) ;;
    *) echo "usage: setup.sh run|dev" >&2; exit 2 ;;
esac

echo "setup: installing $lock"
# uv itself stays; sync would remove it as unknown to the lock.
.venv/bin/uv pip sync --quiet "$lock"
# Before the members are installed: an editable install of packages that do not exist yet leads nowhere.
echo "setup: generating protobuf code"
.venv/bin/python deploy/tools/generate.py
editables=""
for member in $members; do editables="$editables -e ./$member"; done
# shellcheck disable=SC2086
.venv/bin/uv pip install --quiet --no-deps --no-build-isolation $editables
touch .venv/.ready-run
if [ "$kind" = dev ]; then touch .venv/.ready-dev; fi

#!/bin/sh
# Pins every dependency of every workspace member (no index addresses in the result):
#   requirements.lock      what running and `make generate` need
#   requirements-dev.lock  the same plus what checking and testing need
set -eu
cd "$(dirname "$0")/../.."
runtime=$(mktemp)
development=$(mktemp)
trap 'rm -f "$runtime" "$development"' EXIT

# Third-party requirements of the given members; workspace members are installed as editables, not looked up.
third_party() {
    .venv/bin/python - "$@" <<'PY'
import sys, tomllib
found = set()
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        project = tomllib.load(file)["project"]
    found.update(name for name in project["dependencies"] if not name.startswith("atelier-"))
print("\n".join(sorted(found)))
PY
}

compile() {
    .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links \
        --no-header --no-annotate "$@"
}

third_party $(ls libs/*/pyproject.toml services/*/pyproject.toml | grep -v testkit) > "$runtime"
third_party libs/testkit/pyproject.toml > "$development"
compile --extra build -o requirements.lock pyproject.toml "$runtime"
compile -c requirements.lock --extra build --extra dev -o requirements-dev.lock pyproject.toml "$runtime" "$development"

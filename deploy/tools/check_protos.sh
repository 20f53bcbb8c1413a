#!/bin/sh
# buf lint and buf breaking on images made by our own protoc, so nothing is fetched. Breaking compares with the newest
# commit of the main branch that is not this one (BASE=<rev> names another).
set -eu
cd "$(dirname "$0")/../.."
BIN=${BIN:-.venv/bin}
"$BIN/python" deploy/tools/generate.py --image-only build/protos.binpb
"$BIN/buf" lint build/protos.binpb

base=${BASE:-}
if [ -z "$base" ]; then
    for candidate in origin/main HEAD; do
        if git rev-parse --quiet --verify "$candidate^{commit}" >/dev/null; then base=$candidate; break; fi
    done
fi
if [ -z "$base" ] || ! git cat-file -e "$base:protos" 2>/dev/null; then
    echo "protos: nothing to compare with, breaking check has no base"
    exit 0
fi
former=$(mktemp -d)
trap 'rm -rf "$former"' EXIT
git archive "$base" protos | tar -x -C "$former"
"$BIN/python" deploy/tools/generate.py --protos "$former/protos" --image-only "$former/base.binpb"
"$BIN/buf" breaking build/protos.binpb --against "$former/base.binpb"

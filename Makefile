# Everything a newcomer, a contributor and CI run. `make help` lists it.
SHELL := /bin/sh
PYTHON ?= python3
BIN := .venv/bin
# What the static checks look at.
SOURCES := libs services tests deploy
TYPED := $(filter-out libs/contracts/src,$(wildcard libs/*/src services/*/src))

.DEFAULT_GOAL := help
.PHONY: help run demo setup setup-dev tools stack generate lock format lint types imports protos check test bench bench-ledger bench-open-jobs bench-ops bench-parallel gallery clean

help:
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

run: setup ## set up and serve the embedded default on http://localhost:8081
	@exec $(BIN)/atelier up

demo: setup ## set up, serve on a free port, run one job and save the picture under ./out
	@$(BIN)/atelier demo

setup: .venv/.ready-run ## install what running needs into .venv
setup-dev: .venv/.ready-dev ## install what developing and testing needs into .venv

PROTOS := $(shell find protos -name '*.proto')
MEMBERS := $(wildcard libs/*/pyproject.toml services/*/pyproject.toml)

.venv/.ready-run: requirements.lock deploy/tools/setup.sh deploy/tools/generate.py $(PROTOS) $(MEMBERS)
	@PYTHON="$(PYTHON)" sh deploy/tools/setup.sh run

.venv/.ready-dev: requirements.lock requirements-dev.lock deploy/tools/setup.sh deploy/tools/generate.py $(PROTOS) $(MEMBERS)
	@PYTHON="$(PYTHON)" sh deploy/tools/setup.sh dev

tools: setup-dev ## bring NATS, MinIO and Postgres into .tools
	@$(BIN)/python deploy/tools/servers_install.py

stack: tools ## run the six services as processes on real NATS, MinIO and Postgres
	@exec $(BIN)/python deploy/stack/stack.py

generate: setup ## generate the protobuf code anew
	@$(BIN)/python deploy/tools/generate.py

lock: setup ## pin the dependencies anew
	@sh deploy/tools/lock.sh

format: setup-dev ## format the code
	@$(BIN)/ruff format -q $(SOURCES)
	@$(BIN)/ruff check -q --fix $(SOURCES)

lint: setup-dev
	@$(BIN)/ruff format -q --check $(SOURCES)
	@$(BIN)/ruff check -q $(SOURCES)

types: setup-dev
	@$(BIN)/mypy $(TYPED)

imports: setup-dev
	@$(BIN)/lint-imports

protos: setup-dev
	@BIN="$(BIN)" sh deploy/tools/check_protos.sh

check: lint types imports protos ## what to run before every commit: static checks, unit and contract tests
	@sh deploy/tools/run_tests.sh -q -n auto --dist loadgroup tests/unit tests/contract -m "not slow and not servers"

# One more than cores: tests of whole deployments wait at times (for leases, deadlines), and with twice as many all are late.
TEST_WORKERS ?= $(shell expr 1 + $$(nproc))
test: lint types imports protos tools ## everything CI runs, with real servers
	@sh deploy/tools/run_tests.sh -q -n $(TEST_WORKERS) --dist loadgroup --durations=15

bench: setup-dev ## requests a second, latency and CPU of submit, poll and whole jobs beside a bare FastAPI app
	@$(BIN)/python -m tests.bench

bench-ledger: setup-dev ## holds and settlements a second on books of a thousand and of a million postings
	@$(BIN)/python -m tests.bench.ledger

bench-ops: setup-dev ## time a megapixel and peak memory of each operation; BENCH_OPS=--large adds 24 megapixels
	@$(BIN)/python -m tests.bench.operations $(BENCH_OPS)

bench-open-jobs: setup-dev ## 10,000 tasks open at a simulated provider: memory, poll lag, jobs lost; BENCH_OPEN_JOBS="--jobs 500"
	@$(BIN)/python -m tests.bench.open_jobs $(BENCH_OPEN_JOBS)

bench-parallel: setup-dev ## two engine jobs at once beside one alone, and what health and polls take meanwhile
	@$(BIN)/python -m tests.bench.parallel $(BENCH_PARALLEL)

gallery: setup-dev ## make docs/gallery.md and its pictures anew
	@$(BIN)/python tests/quality/gallery.py

clean: ## remove what set-up, tests and runs have made
	rm -rf .venv .tools .stack build out bench-results libs/contracts/src .mypy_cache .ruff_cache .hypothesis

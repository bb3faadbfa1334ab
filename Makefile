# make demo and make test do all set-up themselves; see scripts/setup.
PYTHON ?= python3
VENV := .venv/bin

# How long make fuzz looks for mistakes.
SECONDS ?= 60

# Whom make bench compares with: names, none, install (install all with apt first); nothing: those that are here.
PEERS ?=

.PHONY: help setup demo test lint fuzz bench figures wheel clean

help:
	@echo "make demo    build the layered web application of examples/, show the cache report"
	@echo "make test    lint and all tests"
	@echo "make lint    ruff and mypy"
	@echo "make fuzz    look for mistakes of the parser with atheris, for a minute (SECONDS=60)"
	@echo "make bench   the benchmarks, and the comparison with docker build and buildah (PEERS=install)"
	@echo "make figures the table and plots of docs/performance.md, from what make bench measured last"
	@echo "make wheel   a source distribution and a wheel in dist/"
	@echo "make clean   remove what was made here"

setup:
	@scripts/setup $(PYTHON)

demo: setup
	@$(VENV)/python examples/demo.py $(CURDIR)/$(VENV)/pybuild

lint: setup
	$(VENV)/ruff check -q builder tests examples scripts
	$(VENV)/ruff format -q --check builder tests examples scripts
	$(VENV)/mypy -p builder

test: lint
	$(VENV)/python -m pytest -q

fuzz: setup
	$(VENV)/python scripts/requirements.py fuzz | $(VENV)/python -m pip install -q --disable-pip-version-check -r /dev/stdin
	$(VENV)/python tests/fuzz/fuzz_buildfile.py -max_total_time=$(SECONDS)

bench: setup
	$(VENV)/python -m pytest -q --benchmark-enable --benchmark-only tests/benchmarks
	$(VENV)/python tests/benchmarks/compare.py --peers "$(PEERS)" --json docs/performance.json
	$(VENV)/python tests/benchmarks/figures.py docs/performance.json

figures: setup
	$(VENV)/python tests/benchmarks/figures.py docs/performance.json

wheel: setup
	$(VENV)/python -m build

clean:
	rm -rf .venv build dist *.egg-info builder/core/_core*.so builder/core/_core.c grammar/tables.json builder/report/templates/translated.bin crash-* timeout-* oom-* .pytest_cache .mypy_cache .ruff_cache .hypothesis

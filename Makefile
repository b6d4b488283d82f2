# Every target makes .venv and installs what it needs by itself; a second call does no work twice.
#
#   make run     train a Boltzmann-prior VAE on real single-cell data (under three minutes on two cores)
#   make test    the default test suite
#   make check   formatting, lint and types
#   make bench   the benchmark of the samplers, fifteen minutes, then the pages made from all results
#   make docs    the documentation, warnings being errors, and its examples, which are run
#   make clean   remove what the targets above made, except runs/

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
comma := ,

.PHONY: run test check bench docs clean
.DELETE_ON_ERROR:

run: $(VENV)/installed-train+cells
	$(BIN)/spinlight cells fit --dataset pbmc68k_reduced --out runs/pbmc68k

test: $(VENV)/installed-train+cells+bench+dev
	$(BIN)/python -m pytest -m "not slow"

check: $(VENV)/installed-train+cells+dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(VENV)/installed-bench
	status=0; $(BIN)/python benchmarks/samplers.py --json benchmarks/results/samplers.json || status=$$?; \
	$(BIN)/python benchmarks/report.py && exit $$status

docs: $(VENV)/installed-train+cells+docs+dev
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	$(BIN)/python -m pytest -q tests/test_docs.py

clean:
	rm -rf $(VENV) docs/_build build dist .pytest_cache .mypy_cache .ruff_cache

# `installed-a+b` stands for the extras a and b. The constraints hold in every install, so that sets add up.
$(VENV)/installed-%: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(subst +,$(comma),$*)]'
	touch $@

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

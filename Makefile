# Needs Python 3.11 or newer, make and Git. `make PYTHON=python3.12 test` picks another Python.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: help demo test lint check deep bench clean

help:
	@echo 'make demo    install into .venv and run the demo'
	@echo 'make test    the quick tests'
	@echo 'make check   format, lint, types, layers, and the quick tests'
	@echo 'make deep    all tests, the long ones too'
	@echo 'make bench   compare with Git, Git LFS and DVC; a million rows; labels, near-duplicates, remotes'
	@echo 'make clean   remove .venv'

demo: $(VENV)/.installed
	@rm -rf build/demo
	$(BIN)/vgr demo build/demo

test: $(VENV)/.installed-dev
	$(BIN)/pytest -n auto

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test

deep: $(VENV)/.installed-dev
	$(BIN)/pytest -n auto --deep

bench: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/versions.py
	$(BIN)/python benchmarks/rows.py
	$(BIN)/python benchmarks/label_edits.py
	$(BIN)/python benchmarks/label_diff.py
	$(BIN)/python benchmarks/blame.py
	$(BIN)/python benchmarks/merge_vote.py
	$(BIN)/python benchmarks/push.py
	$(BIN)/python benchmarks/remotes.py
	$(BIN)/python benchmarks/formats.py
	$(BIN)/python benchmarks/near_duplicates.py

clean:
	rm -rf $(VENV)

# A stamp says what is installed, so that a second run starts at once.

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e '.[dev]'
	@touch $@ $(VENV)/.installed

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Voyager needs Python 3.11 or newer: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "no venv module? Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

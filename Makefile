# make demo    train on the embedded digits, evaluate, write and name the report
# make test    run the tests
# make check   lint, formatting, types, import contract
# make package         build wheel and sdist into dist/, and use the wheel in an empty environment outside the checkout
# make docs            the documentation site, in build/docs/html
# make release-notes   the changelog's latest section, as a release page wants it
# Each works alone on a fresh clone, and is quick the second time.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: demo test check format package docs release-notes clean

demo: $(VENV)/.installed
	$(BIN)/seewhy demo

test: $(VENV)/.installed-dev
	@$(BIN)/python -m compileall -q src  # the tests start many processes; where Python writes no bytecode, each would compile it anew
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

package: $(VENV)/.installed-dev
	PYTHON=$(abspath $(BIN)/python) .ci/package

docs: $(VENV)/.installed-dev
	$(BIN)/python -m sphinx -b html -W --keep-going -j auto docs build/docs/html

release-notes: | $(BIN)/python
	@$(BIN)/python .ci/release_notes.py

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "seewhy needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3.11 ..."; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

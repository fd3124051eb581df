# The first call of any target makes what it needs: a virtual environment, the packages, the test tools.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint verify bench wording docs clean

# A run on a recorded cluster and a reference recipe.
demo: $(VENV)/installed
	@$(BIN)/dynocheck demo

# Everything that CI runs. The first build of the control plane takes minutes, Dynamo's installation less.
test: lint
	$(BIN)/python -m tests.controlplane.build
	$(BIN)/python -m tests.dynamo.build
	$(BIN)/python -m pytest -q $(ARGS)

lint: $(VENV)/developing
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# The long proofs, of which `make test` runs a sample.
verify: $(VENV)/developing
	$(BIN)/python -m pytest -q -m verify --timeout 3600 $(ARGS)

# What checks say, word for word: read the difference before you commit it.
wording: $(VENV)/developing
	DYNOCHECK_RENEW_WORDING=1 $(BIN)/python -m pytest -q tests/checks
	git diff --stat tests/wording.txt

docs: $(VENV)/developing
	$(BIN)/python -m tools.write_docs

bench: $(VENV)/developing
	$(BIN)/python -m benchmarks.startup
	$(BIN)/python -m benchmarks.preflight
	$(BIN)/python -m benchmarks.recipes
	$(BIN)/python -m benchmarks.load
	$(BIN)/python -m benchmarks.load_accuracy

$(VENV)/installed: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/developing: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/installed

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

# The first call of any target makes what it needs: a virtual environment, the packages, the test tools.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCK := requirements.lock
# pip reads the second for what a build needs, where it no longer takes the first for it.
INSTALL = PIP_CONSTRAINT=$(LOCK) PIP_BUILD_CONSTRAINT=$(LOCK) $(BIN)/python -m pip install --quiet \
    --disable-pip-version-check --editable
# What `make test-lowest` and `make test-newest` run: a minute, and it uses every dependency.
SAMPLE := tests/engines tests/kube/test_config.py tests/kube/test_credentials.py tests/recipe/test_yaml_loader.py \
    tests/reports/test_html.py tests/reports/test_junit.py tests/reports/test_markdown.py tests/reports/test_table.py \
    tests/schema/test_definitions.py tests/schema/test_validation.py tests/serving/test_client.py tests/test_cli.py

.PHONY: demo test test-lowest test-newest lint verify lock sbom dist bench renew release clean

# A run on a recorded cluster and a reference recipe.
demo: $(VENV)/installed
	@$(BIN)/dynocheck demo

# What CI runs, with the locked versions, as two processes with a control plane each.
# The first build of the control plane takes minutes, Dynamo's installation less. With DYNOCHECK_NODE=1, as root
# on Debian, it also tests on a real node, in namespaces of its own.
test: lint
	$(BIN)/python -m tests.controlplane.build
	$(BIN)/python -m tests.helm.build
	$(BIN)/python -m tests.dynamo.build
	$(BIN)/python -m tests.node.build
	$(BIN)/python -m pytest -q -n 2 --dist loadfile $(ARGS)

# A sample of the tests, with the lowest and with the newest versions that pyproject.toml takes.
test-lowest: RESOLUTION := lowest-direct
test-newest: RESOLUTION := highest
test-lowest test-newest: $(BIN)/uv
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(VENV)-$@
	$(BIN)/uv pip install --quiet --python $(VENV)-$@ --resolution $(RESOLUTION) --editable '.[dev]'
	$(VENV)-$@/bin/python -m pytest -q $(SAMPLE) $(ARGS)

# Raises every locked version to the newest that there is.
lock: $(BIN)/uv
	$(BIN)/uv pip compile --quiet --universal --upgrade --no-header --no-annotate --extra dev \
	    --output-file $(LOCK) pyproject.toml tests/dynamo/requirements.txt
	$(MAKE) sbom

# The bill of materials of what users install, at the locked versions: the wheel holds it.
sbom: $(BIN)/uv
	$(BIN)/uv pip compile --quiet --universal --no-header --no-annotate --constraint $(LOCK) pyproject.toml | \
	    $(BIN)/uv tool run --quiet --from cyclonedx-bom==7.5.0 cyclonedx-py requirements - \
	    --pyproject pyproject.toml --mc-type application --output-reproducible --output-file sbom.cdx.json

# The wheel and the source distribution, the same byte for byte from the same commit.
dist: $(VENV)/developing
	$(BIN)/python -m build

lint: $(VENV)/developing
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# The long proofs, of which `make test` runs a sample, and what the newest Kubernetes may answer differently.
NEWEST := tests/controlplane tests/probes tests/scheduling tests/situations tests/test_bare_cluster.py \
    tests/test_kinds_of_clusters.py
verify: $(VENV)/developing
	$(BIN)/python -m pytest -q -m verify --timeout 3600 $(ARGS)
	DYNOCHECK_KUBERNETES=newest $(BIN)/python -m pytest -q $(NEWEST) $(ARGS)

# Renews what is made of the code, and of what dynocheck says: read the difference before you commit it.
renew: $(VENV)/developing
	$(BIN)/python -m tools.write_facts
	DYNOCHECK_RENEW=1 $(BIN)/python -m pytest -q tests/checks tests/recipe/test_helm.py tests/recipe/test_kustomize.py \
	    tests/schema/test_releases.py tests/test_claims_against_server.py tests/test_bare_cluster.py \
	    tests/test_kinds_of_clusters.py \
	    tests/situations/test_situations.py::test_the_healthy_cluster tests/reports/test_golden.py tests/corpus
	$(BIN)/python -m tools.record_demo
	$(BIN)/python -m tools.write_docs
	git diff --stat

# Takes up a release of Dynamo in every table: make release RELEASE=1.8.0 SOURCE=https://docs.nvidia.com/...
release: $(VENV)/developing
	$(BIN)/python -m tools.add_release $(RELEASE) --source $(SOURCE) $(ARGS)

bench: $(VENV)/developing
	$(BIN)/python -m benchmarks.startup
	$(BIN)/python -m benchmarks.preflight
	$(BIN)/python -m benchmarks.recipes
	$(BIN)/python -m benchmarks.findings
	$(BIN)/python -m benchmarks.load
	$(BIN)/python -m benchmarks.load_accuracy

$(VENV)/installed: pyproject.toml $(LOCK)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(INSTALL) .
	@touch $@

$(VENV)/developing: pyproject.toml $(LOCK)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) '.[dev]'
	@touch $@ $(VENV)/installed

$(BIN)/uv:
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	PIP_CONSTRAINT=$(LOCK) $(BIN)/python -m pip install --quiet --disable-pip-version-check uv

clean:
	rm -rf $(VENV) $(VENV)-* build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

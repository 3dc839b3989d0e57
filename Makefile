# Everything a newcomer types. Each target sets up what it needs; nothing needs root, Docker or a system service.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# uv from the PATH, or else from .tools.
UV     := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
export UV_PYTHON_DOWNLOADS := never
# Without compiled modules every process of the tests compiles its imports, and a worker takes 20 s to start.
unexport PYTHONDONTWRITEBYTECODE

# Tests run in JOBS parallel processes, each with its own servers; STACK=folder reuses the servers and keeps them running.
JOBS   ?= 3
# One thread for linear algebra in each process: more threads slow each other down on two cores.
test test-unit test-long coverage: export OMP_NUM_THREADS := 1
PYTEST := $(BIN)/pytest --numprocesses $(JOBS) --durations 25 --durations-min 5 $(if $(STACK),--stack $(STACK))

.PHONY: help setup lock generate check test test-unit test-long coverage proofs bench evidence screenshots tutorial compose-demo demo down env containers containers-test containers-down sbom clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP) ## Make .venv from requirements.lock; installs uv into .tools if it is missing

.tools/bin/uv:
	@echo "uv is not on the PATH: installing it into .tools"
	@$(PYTHON) -m venv .tools || { echo "$(PYTHON) cannot make a virtual environment: install its venv module (on Debian: python3-venv) or put uv on the PATH"; exit 1; }
	@.tools/bin/python -m pip install --quiet --disable-pip-version-check uv

$(STAMP): $(if $(filter .tools/%,$(UV)),.tools/bin/uv) requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info < (3, 14); sys.exit(None if ok else f"Python 3.11, 3.12 or 3.13 is needed; this is {sys.version.split()[0]}. Set PYTHON=/path/to/python3.11")'
	$(UV) venv --quiet --allow-existing --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(VENV)
	$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
          --no-annotate --no-header
IMAGE_LOCK = $(COMPILE) --constraints requirements.lock --output-file docker/requirements

lock: $(if $(filter .tools/%,$(UV)),.tools/bin/uv) ## Resolve requirements.lock again from pyproject.toml, with hashes and without addresses; and each image's part of it
	$(COMPILE) pyproject.toml --all-extras --group wheel --group mlflow-server --output-file requirements.lock
	$(IMAGE_LOCK)-worker.lock pyproject.toml --extra stream
	$(IMAGE_LOCK)-batch.lock pyproject.toml --extra batch --extra airflow
	$(IMAGE_LOCK)-mlflow.lock --group mlflow-server
	$(IMAGE_LOCK)-wheel.lock --group wheel

generate: setup ## Write every generated page and file: DAG manual, scaling, message and role tables, Grafana files, JSON schemas
	$(BIN)/python -m moderation.contracts.json_schemas
	$(BIN)/python -m local.docs.dag_pages
	$(BIN)/python -m local.docs.message_formats
	$(BIN)/python -m local.docs.database_roles
	$(BIN)/python -m local.docs.scaling
	$(BIN)/python -m grafana.source

check: setup ## Lint, spelling, types, import layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/codespell
	$(BIN)/mypy
	$(BIN)/lint-imports

test-unit: setup ## Quick tests without servers and network, about a minute
	$(PYTEST) --numprocesses 2 -m "not slow and not long and not proof" tests/unit

test: setup ## All tests except the long ones, with real servers; STACK=folder keeps the servers running
	$(PYTEST) -m "not long and not proof"

test-long: setup ## Tests that take minutes: kills, fault injection, browsers; and many examples of every property
	$(PYTEST) --numprocesses 0 -m "long and alone and not proof"
	$(PYTEST) --numprocesses 2 -m "long and not alone and not proof"
	$(PYTEST) --numprocesses 2 -m "hypothesis and not long and not proof" --hypothesis-profile thorough

coverage: setup ## Lines that the tests reach; writes htmlcov; TESTS=folder runs some
	$(BIN)/coverage erase
	$(BIN)/coverage run -m $(PYTEST:$(BIN)/%=%) -m "not long and not proof" $(TESTS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage html --quiet
	$(BIN)/coverage report

bench: setup ## Compare the kernel with its tokenizer and the usual pipelines
	$(BIN)/moderation bench kernel

proofs: setup ## Tests that take longer than the limits of CI: a year of drift, a million comments, every sabotage
	$(BIN)/pytest -m proof --durations 10

evidence: setup $(if $(ONLY),,proofs) ## Run the proofs that README and docs quote and write docs/evidence/*.json; ONLY=demo runs some
	$(BIN)/python -m local.docs.evidence $(if $(DATA),--csv $(DATA)) $(if $(ONLY),--only $(ONLY))

screenshots: setup ## Write the pictures in docs/images again; needs chromium
	$(BIN)/pytest tests/long/test_airflow_in_a_browser.py tests/long/test_preview_in_a_browser.py --screenshots

tutorial: setup ## Run the commands of docs/tutorial-own-data.md on files that it writes itself
	$(BIN)/python -m local.docs.tutorial

compose-demo: ## Run the whole system in docker-compose.yaml and check it; needs Docker; deletes nothing
	@[ -e .env ] || $(PYTHON) docker/write-env.py
	$(PYTHON) docker/demo.py

demo: setup ## Run the whole system in var-demo and verify it; DATA=export.csv uses a real export, YES=1 deletes an earlier demo
	$(BIN)/moderation demo $(if $(DATA),--csv $(DATA)) $(if $(YES),--yes)

down: setup ## Stop every server that `make demo` or `moderation up` started; data stay
	$(BIN)/moderation down --data-folder var-demo
	$(BIN)/moderation down

env: ## Write .env for docker-compose.yaml, with new secrets; never changes an existing one
	$(PYTHON) docker/write-env.py

containers: setup ## Build the images with a Docker Engine of its own (root, Debian); FAST=1 installs packages by uv
	$(BIN)/python -m local.containers build $(if $(FAST),--fast)

containers-test: setup ## Run docker-compose.yaml in that engine and check it; EVIDENCE=1 writes docs/evidence/containers.json
	$(BIN)/python -m local.containers test $(if $(FAST),--fast) $(if $(SHORT),--short) $(if $(ONLY),--only $(ONLY)) $(if $(KEEP),--keep) $(if $(EVIDENCE),--evidence)

containers-down: setup ## Stop that engine and restore the machine's network; images stay
	$(BIN)/python -m local.containers down

sbom: setup ## Write the bill of materials of each image to build/sbom (CycloneDX), and check licences
	$(BIN)/python -m local.containers sbom

clean: ## Remove the files of setup and tests; the data folders var and var-demo stay
	rm -rf $(VENV) .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

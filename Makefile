# Every target bootstraps what it needs into .venv; `make help` lists them.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO_ARGS ?=
SERVE_ARGS ?=
TEST_ARGS ?=
BENCH_HOME ?= build/bench-home
BENCH_PORT ?= 3999
# Folder with public sets of real AI spend, which are not part of this repository; without it their benchmark is left out.
BENCH_DATA ?=

# BentoML reads exactly `true` here; MLflow has its own switch. Nothing that runs here reports to anybody.
export BENTOML_DO_NOT_TRACK := true
export MLFLOW_DISABLE_TELEMETRY := true

.DEFAULT_GOAL := help
.PHONY: help install demo test check bench bench-rivals prior serve bento wheel lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP) ## .venv with the locked dependencies and this package, editable

# uv comes out of the lock too: pip installs that one package by its hashes, uv does the rest.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "make: Python 3.11 or newer is needed and '$(PYTHON)' is not; try: make install PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { \
	  echo "make: '$(PYTHON) -m venv' failed; on Debian and Ubuntu it needs the package python3-venv" >&2; exit 1; }
	@awk '/^uv==/ {inside = 1; print; next} inside && /^[^ ]/ {exit} inside' requirements.lock > $(VENV)/uv.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $(VENV)/uv.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --compile-bytecode -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

demo: install ## generate a company, ingest, train, serve; DEMO_ARGS=--once asks one question of each kind and stops
	$(BIN)/forecast demo $(DEMO_ARGS)

test: install ## all tests, a file at a time on each core
	$(BIN)/python -m pytest -n auto --dist loadfile $(TEST_ARGS)

check: install ## ruff, mypy --strict and the import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_import_rules.py tests/test_public_surface.py

bench: install ## measure accuracy, calibration, generation, ingestion and serving anew (hours); results go to benchmarks/*.json
	$(BIN)/python benchmarks/calibration.py
	$(BIN)/python benchmarks/company_realism.py
	test -z "$(BENCH_DATA)" || $(BIN)/python benchmarks/real_panels.py "$(BENCH_DATA)/ai_spend"
	test -z "$(BENCH_DATA)" || $(BIN)/python benchmarks/panels.py "$(BENCH_DATA)"
	test -z "$(BENCH_DATA)" || $(BIN)/python benchmarks/m4.py "$(BENCH_DATA)/forecasting"
	$(BIN)/python benchmarks/company_forecasts.py
	$(BIN)/python benchmarks/drivers.py
	$(BIN)/python benchmarks/nowcast.py
	$(BIN)/python benchmarks/root_cause.py
	$(BIN)/python benchmarks/company_spikes.py
	$(BIN)/python benchmarks/scenarios.py
	test -z "$(BENCH_DATA)" || $(BIN)/python benchmarks/nab.py --data "$(BENCH_DATA)/anomaly"
	$(BIN)/python benchmarks/ledger_ingestion.py
	$(BIN)/python benchmarks/ingestion_kills.py
	$(BIN)/python benchmarks/company_generation.py
	$(BIN)/forecast demo --once --home $(BENCH_HOME) --port $(BENCH_PORT) > /dev/null
	$(BIN)/python benchmarks/serving_latency.py $(BENCH_HOME)
	$(BIN)/python -m benchmarks.budget_speed $(BENCH_HOME)
	$(BIN)/python benchmarks/figures.py

RIVALS := benchmarks/rivals/.venv/bin/python
bench-rivals: install ## forecasts beside rivals in their own environment; BENCH_DATA=folder of the data
	test -x $(RIVALS) || $(BIN)/uv venv --quiet benchmarks/rivals/.venv
	$(BIN)/uv pip install --quiet --python $(RIVALS) -r benchmarks/rivals/requirements$(if $(NETWORK),-network).txt
	$(BIN)/python benchmarks/panels.py "$(BENCH_DATA)" --rivals $(RIVALS)
	$(BIN)/python benchmarks/engine_speed.py --rivals $(RIVALS)

prior: install ## build the shipped prior again, byte for byte (6 minutes)
	$(BIN)/python -m training.prior

serve: install ## serve the home folder (FORECAST_HOME, default .forecast)
	$(BIN)/forecast serve $(SERVE_ARGS)

# bentoml calls uv, so .venv/bin has to be on the path.
bento: install ## build the bento
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/bentoml build -f bentofile.yaml .

wheel: install ## build the wheel into dist/
	$(BIN)/python -m build --wheel --no-isolation --outdir dist .

lock: install ## write requirements.lock again from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --all-extras \
	  pyproject.toml -o requirements.lock > /dev/null

clean: ## remove builds and caches; .venv and the home folder stay
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

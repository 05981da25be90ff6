# Everything a developer or a newcomer runs. `make help` lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Three for each core of a small machine: tests mostly wait. Those that start real Envoys are in groups of their own.
WORKERS ?= 6
# Every worker and every process that a test starts would compile the same modules again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test test-servers test-pipeline test-identity test-registry fuzz faults check lint types imports generated format generate golden lock screenshots cluster-up cluster-down e2e e2e-neighbours e2e-full bench bench-quick sbom audit clean

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/run: requirements.lock pyproject.toml scripts/venv
	@scripts/venv $(PYTHON) $(VENV) requirements.lock
	@touch $@

$(VENV)/dev: requirements-dev.lock $(VENV)/run
	@scripts/venv $(PYTHON) $(VENV) requirements-dev.lock
	@touch $@

demo: $(VENV)/run ## Two gateway pods, a tenant and a trained model on this machine; prints what to try
	@$(BIN)/tidegate standalone --state .demo --listen 127.0.0.1:8700 --demo

test-servers: $(VENV)/dev ## Warm-up plans against a real MLServer and a real Triton (900 MB the first time)
	@$(BIN)/pytest tests/servers/test_servers.py

test-pipeline: $(VENV)/dev ## The collector against a real Kafka, OpenSearch and Flink (Java, Maven; 290 MB the first time)
	@$(BIN)/pytest --timeout 1800 -s tests/pipeline

test-identity: $(VENV)/dev ## The console and the API with a real Keycloak, in a browser (Java, Maven; 177 MB the first time)
	@$(BIN)/pytest --timeout 1800 tests/identity

$(VENV)/mlflow: tests/mlflow/requirements.txt $(VENV)/dev
	@$(PYTHON) -m venv $@ && $@/bin/pip install -q --disable-pip-version-check --no-deps -r $< && touch $@

test-registry: $(VENV)/mlflow ## A version comes into production by an alias in a real MLflow (390 MB the first time)
	@$(BIN)/pytest --timeout 900 tests/mlflow

fuzz: $(VENV)/dev ## 20,000 calls of the REST API with all rights and as many with none (its own environment)
	@test -x $(VENV)/fuzz/bin/st || ($(PYTHON) -m venv $(VENV)/fuzz && $(VENV)/fuzz/bin/pip install -q -r tests/fuzz/requirements.txt)
	@$(BIN)/python -m tests.fuzz $(VENV)/fuzz/bin/st 420 admin
	@$(BIN)/python -m tests.fuzz $(VENV)/fuzz/bin/st 420 stranger

faults: $(VENV)/dev ## Every workflow with every fault, compared with the run without; writes docs/reliability.md
	@$(BIN)/python -m tests.faults run

$(VENV)/generator: tests/generated_client/requirements.txt $(VENV)/dev
	@$(PYTHON) -m venv $@ && $@/bin/pip install -q -r $< && touch $@

test: $(VENV)/dev $(VENV)/generator ## All tests that need Python only (a real Envoy included)
	@$(BIN)/pytest -n $(WORKERS) --dist loadgroup --timeout 600 --durations 20 tests

check: $(VENV)/dev ## Format, lint, types, import contracts, generated files
	@$(MAKE) --no-print-directory --jobs=4 --keep-going --output-sync=target lint types imports generated

lint:
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

types:
	@$(BIN)/mypy

imports:
	@$(BIN)/lint-imports

generated:
	@$(BIN)/python -m scripts.generate --check

format: $(VENV)/dev ## Format the code and mend what can be mended
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

generate: $(VENV)/dev ## Write the generated files (CRDs, OpenAPI, figures)
	@$(BIN)/python -m scripts.generate

golden: $(VENV)/dev ## Rewrite the golden files; review them like code
	@$(BIN)/pytest tests/golden --update-golden

screenshots: $(VENV)/dev ## A picture of every page of the console, in .cache/screenshots (Chromium)
	@$(BIN)/python -m scripts.screenshots

cluster-up: $(VENV)/dev ## Start a real cluster on this machine: Kubernetes, Istio (root, Go; long the first time)
	@$(BIN)/python -m e2e.cluster up

cluster-down: $(VENV)/dev ## Take that cluster away, with everything that a failure may have left
	@$(BIN)/python -m e2e.cluster down

e2e: $(VENV)/dev ## The scenarios on a real cluster, its own or that of E2E_KUBECONFIG
	@$(BIN)/python -m e2e

e2e-neighbours: $(VENV)/dev ## Scenarios beside real KEDA and Argo Rollouts, on a cluster of their own (Go builds long at first)
	@$(BIN)/python -m e2e e2e/neighbours

e2e-full: e2e ## The scenarios, then the figures of docs/benchmarks.md on such a cluster, then an hour of churn
	@$(BIN)/python -m e2e --figures
	@TIDEGATE_SOAK_SECONDS=3600 $(BIN)/python -m benchmarks soak

bench: $(VENV)/dev ## Every benchmark, with its floor or peer (long)
	@$(BIN)/python -m benchmarks all

bench-quick: $(VENV)/dev ## Do all benchmarks run, and their counts hold? Side by side: no times
	@$(BIN)/python -m benchmarks quick

$(VENV)/supply-chain: scripts/supply_chain.requirements.txt $(VENV)/run
	@$(PYTHON) -m venv $@ && $@/bin/pip install -q --disable-pip-version-check -r $< && touch $@

sbom: $(VENV)/supply-chain ## What the image and the wheel are made of, as CycloneDX, in .sbom/
	@$(BIN)/python -m scripts.supply_chain $</bin sbom

audit: $(VENV)/supply-chain ## Known vulnerabilities of everything that is locked
	@$(BIN)/python -m scripts.supply_chain $</bin audit $(AUDIT)

lock: ## Resolve the dependencies again (needs uv)
	@scripts/lock

clean: ## Remove what the targets above made
	@rm -rf $(VENV) .demo .servers .cache .pytest_cache .mypy_cache .ruff_cache .e2e .sbom

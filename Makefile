# QuantumEdge: `make` lists the targets.

PYTHON ?= python3
BIN := .venv/bin
PYTEST_ARGS ?=
export PYTHON PYTEST_ARGS
export OPENBLAS_NUM_THREADS ?= 1
export OMP_NUM_THREADS ?= 1

# Network namespaces take root; everything else does not.
WHERE := not browser$(shell [ "$$(id -u)" = 0 ] || echo ' and not hosts')

.DEFAULT_GOAL := help
.PHONY: help run test fuzz test-services test-faults test-states test-image lint format lock install install-dev install-bench \
	system-packages dashboard bench clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | \
		awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

run: install dashboard ## Start the server and everything it needs (PORT=9000 for another port)
	@exec $(BIN)/python manage.py serve

test: install-dev system-packages dashboard lint ## Install what the tests need and run all of them
	@exec .ci/tests

test-services: install-dev system-packages ## Run the tests on PostgreSQL, Redis over TCP and RabbitMQ
	@TEST_SERVICES=true exec $(BIN)/pytest -m "$(WHERE)" $(PYTEST_ARGS)

test-states: install-dev ## Take 10,000 random steps through the life of requests
	@STATE_STEPS=10000 $(BIN)/pytest tests/faults/test_state_machine.py $(PYTEST_ARGS)

test-faults: install-dev ## Run only the tests that break real processes and connections
	@exec $(BIN)/pytest -m faults $(PYTEST_ARGS)

fuzz: install-dev ## Feed a million bad inputs to each: decoder, price files, rules
	@$(BIN)/python -m tests.fuzz 1000000

lint: install-dev ## Check style, types and import contracts
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/mypy .
	@$(BIN)/lint-imports

format: install-dev ## Rewrite the code in the house style
	@$(BIN)/ruff check --fix --quiet
	@$(BIN)/ruff format --quiet

lock: install-dev ## Resolve requirements*.in into the pinned requirements*.txt
	@.ci/lock

install: ## Make .venv and install the server's pinned packages
	@.ci/install requirements.txt

install-dev: ## Install what tests and linters need, too
	@.ci/install requirements-dev.txt

install-bench: install-dev ## Install the peers that the benchmarks compare with, too
	@.ci/install requirements-bench.txt

system-packages: ## Install the Debian packages that the tests drive (as root)
	@.ci/packages

dashboard: ## Build the dashboard page, where npm can
	@.ci/dashboard

test-image: ## Build the container image and have it solve a portfolio (as root on Debian)
	@docker/test-image

bench: install-bench ## Run every benchmark and print its table
	@for script in $(wildcard benchmarks/[a-z]*.py); do \
		echo "== $$script"; $(BIN)/python $$script || exit 1; done

clean: ## Remove caches and built files; keeps .venv and the data in var/
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache \
		streaming/dashboard/dist streaming/dashboard/node_modules
	@find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +

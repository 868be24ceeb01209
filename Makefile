# Everything runs in a virtual environment of the project's own; `make run`, `make demo` and `make test` need
# nothing but Python 3.11 or later, with venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Every process of the tests starts from what an earlier one compiled, whatever the environment says.
export PYTHONDONTWRITEBYTECODE :=

# Tests at once: many of them wait for real processes and sockets rather than for a core.
WORKERS ?= 4
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup

.PHONY: run demo test test-all test-fast lint format bench bench-freshness bench-fleet docs screenshots clean
.PHONY: image-test image-python-test

run: $(VENV)/.serve
	$(BIN)/mc-sidecar serve --config config/sidecar.yaml

demo: $(VENV)/.serve
	$(BIN)/mc-sidecar demo

# Side by side: mypy has one core to itself for a while, the tests wait a lot.
test: $(VENV)/.dev
	@$(MAKE) --no-print-directory -j 2 lint test-all

test-all: $(VENV)/.dev
	$(PYTEST) --cov --cov-report=term

# For every save: no process, no external program, no scenario.
test-fast: $(VENV)/.dev
	$(PYTEST) -m 'not long'

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The image's Python, where it is installed: memory is measured under it, too.
IMAGE_PYTHON ?= python3.13

bench: $(VENV)/.bench
	if $(IMAGE_PYTHON) -c '' 2>/dev/null; then $(MAKE) --no-print-directory VENV=$(VENV)/image PYTHON=$(IMAGE_PYTHON) $(VENV)/image/.serve; fi
	$(BIN)/python -m bench --write docs/benchmarks.md \
		$$($(IMAGE_PYTHON) -c '' 2>/dev/null && echo --image-python $(VENV)/image/bin/python)

bench-freshness: $(VENV)/.bench
	$(BIN)/python -m bench.freshness docs

bench-fleet: $(VENV)/.bench
	$(BIN)/python -m bench.fleet docs/fleet.md

# The tables that are generated from the code; a test fails when they are out of date.
docs: $(VENV)/.dev
	$(BIN)/python -m tools.docs
	$(BIN)/python -m tools.simulated_hour

# The pictures of the page, taken in chromium.
screenshots: $(VENV)/.dev
	$(BIN)/python -m tools.screenshots

image-test: $(VENV)/.serve
	PYTHON=$(BIN)/python tools/image_test.sh

# The quick tests on the Python of the image.
image-python-test: $(VENV)/.serve
	PYTHON=$(BIN)/python tools/image_test.sh tests

clean:
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.*

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed, and $(PYTHON) is older: make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.serve: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.dev: $(VENV)/.serve
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

$(VENV)/.bench: $(VENV)/.serve
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	touch $@

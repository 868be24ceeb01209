# Everything runs in a virtual environment of the project's own; `make run`, `make demo` and `make test` need
# nothing but Python 3.11 or later, with venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Every process of the tests starts from what an earlier one compiled, whatever the environment says.
export PYTHONDONTWRITEBYTECODE :=

# Tests at once: many of them wait for real processes and sockets rather than for a core.
WORKERS ?= 5
COVERAGE := .cache/coverage.json
RUN_TESTS := -m pytest -n $(WORKERS) --dist loadgroup
# Under coverage Schemathesis is loaded first: what pytest loads later gets a variable in every `if` of a class, and an
# enum takes that for a member. Of slipcover pytest warns that it comes too late to have its assertions rewritten.
MEASURE := $(BIN)/python -m slipcover --json --out $(COVERAGE) --dont-wrap-pytest $(RUN_TESTS) -p schemathesis \
	-W 'ignore:Module already imported so cannot be rewritten; slipcover'

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
	mkdir -p $(dir $(COVERAGE))
	$(MEASURE)
	$(BIN)/python -m slipcover --merge $(COVERAGE) --out $(COVERAGE) --fail-under 97 \
		|| { echo "less than 97 % of the lines and branches are covered"; exit 1; }

# For every save: no process, no external program, no scenario.
test-fast: $(VENV)/.dev
	$(BIN)/python $(RUN_TESTS) --quick -p no:schemathesis

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
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis

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

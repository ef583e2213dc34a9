# `make quickstart` and `make test` on a bare machine with Python 3.11, gcc and make.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin

.PHONY: quickstart test test-all lint bench-adapters bench-attention bench-replay bench-store bench-train study-masking study-pathweave setup models clean

quickstart: setup models
	$(BIN)/mcl run configs/quickstart.yaml

test: setup models
	$(BIN)/pytest

# Three at once on two cores: the tests on Slurm mostly wait for it.
test-all: setup models
	$(BIN)/pytest -n 3 -m 'not network' --durations=30

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench-train: setup models
	$(BIN)/python -W ignore benchmarks/training.py --json bench-train.json

bench-adapters: setup
	$(BIN)/python -W ignore benchmarks/adapters.py --json bench-adapters.json

bench-attention: setup
	$(BIN)/python -W ignore benchmarks/attention.py --json bench-attention.json

bench-replay: setup
	$(BIN)/python -W ignore benchmarks/replay.py --json bench-replay.json

bench-store: setup models
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[bench]'
	$(BIN)/pip install --quiet --no-deps mosaicml-streaming==0.13.0
	$(BIN)/python -W ignore benchmarks/store.py --json bench-store.json

# What is missing of a study is run. SCALE=full: that of its page in docs/results, hours.
SCALE ?= small
study-masking: setup models
ifeq ($(SCALE),full)
	$(BIN)/mcl data prepare cdda
endif
	$(BIN)/python -W ignore -m studies.exemplar_masking --scale $(SCALE)

study-pathweave: setup models
	$(BIN)/mcl data prepare shapes
	$(BIN)/mcl data prepare notes
	$(BIN)/mcl models fetch smollm2-135m-instruct whisper-tiny.en
	$(BIN)/python -W ignore -m studies.pathweave --scale $(SCALE)

setup: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch==2.13.0
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

models: setup
	$(BIN)/mcl models fetch all-minilm-l6-v2 efficientnet-lite0

clean:
	rm -rf $(VENV)

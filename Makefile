# Each target makes the virtual environment it needs; PYTHON chooses the interpreter (3.11 to 3.13).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUN := JAX_COMPILATION_CACHE_DIR=$(CURDIR)/.cache/xla $(BIN)/python
WORKERS ?= 2
EXTRAS ?= dev
comma := ,
DEV := $(VENV)/.extras-$(subst $(comma),-,$(EXTRAS))

.PHONY: demo test test-slow lint docs notebooks clean

demo: $(VENV)/.demo
	$(RUN) -m experiments.dcgan --outdir runs/demo
	@echo "next        source $(BIN)/activate, and then the commands above and those of README.md run"

test: $(DEV)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

# These train for long: their programs are worth optimising, which those of the quick tests are not (tests/conftest.py).
test-slow: $(DEV)
	XLA_FLAGS=--xla_force_host_platform_device_count=8 $(BIN)/python -m pytest -m slow

lint: $(DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy gan_jax experiments

# The site, in site/; a warning is an error.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# JupyterLab in the browser, with the notebooks; their runs go to experiments/notebooks/runs. JUPYTER has flags of its own.
notebooks: $(VENV)/.notebooks
	$(RUN) -m jupyterlab experiments/notebooks $(JUPYTER)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("gan_jax needs Python 3.11 to 3.13" if not (3, 11) <= sys.version_info[:2] <= (3, 13) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(VENV)/bin/python requirements.txt pyproject.toml
	$(BIN)/pip install --quiet --editable .
	touch $@

$(DEV): $(VENV)/bin/python requirements.txt pyproject.toml
	$(BIN)/pip install --quiet --editable '.[$(EXTRAS)]'
	touch $@ $(VENV)/.demo

$(VENV)/.docs: $(VENV)/bin/python requirements.txt pyproject.toml
	$(BIN)/pip install --quiet --editable '.[docs]'
	touch $@ $(VENV)/.demo

$(VENV)/.notebooks: $(VENV)/bin/python requirements.txt pyproject.toml
	$(BIN)/pip install --quiet --editable '.[notebooks]'
	touch $@ $(VENV)/.demo

clean:
	rm -rf $(VENV) .cache build site *.egg-info

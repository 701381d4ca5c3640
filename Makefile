# Two commands matter: `make demo` and `make test`. All set up what they need on a bare machine.
PYTHON ?= python3
LOWEST_PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
READY_DOCS := $(VENV)/.ready-docs
LOWEST := .venv-lowest
READY_LOWEST := $(LOWEST)/.ready
SANITIZED := .venv-sanitized
READY_SANITIZED := $(SANITIZED)/.ready
WHEEL := build/wheel
NATIVE := CMakeLists.txt $(wildcard src/engagelib/scoring/native/*.[ch]pp)
INSTALL := -m pip install --quiet --disable-pip-version-check

.PHONY: help demo test test-lowest test-sanitized test-wheel docs lint check bench clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(READY): pyproject.toml $(NATIVE) | $(BIN)/python
	$(BIN)/python $(INSTALL) --editable ".[dev]"
	@touch $@

$(READY_DOCS): pyproject.toml | $(BIN)/python
	$(BIN)/python $(INSTALL) --editable ".[docs]"
	@touch $@

$(READY_LOWEST): pyproject.toml $(NATIVE) tests/lowest_versions.py
	$(LOWEST_PYTHON) -m venv --clear $(LOWEST)
	@echo "*" > $(LOWEST)/.gitignore
	$(LOWEST)/bin/python tests/lowest_versions.py pyproject.toml > $(LOWEST)/lowest.txt
	$(LOWEST)/bin/python $(INSTALL) --requirement $(LOWEST)/lowest.txt --editable .
	@touch $@

$(READY_SANITIZED): pyproject.toml $(NATIVE)
	$(PYTHON) -m venv --clear $(SANITIZED)
	@echo "*" > $(SANITIZED)/.gitignore
	$(SANITIZED)/bin/python $(INSTALL) --config-settings=cmake.define.ENGAGELIB_SANITIZE=ON --editable ".[dev]"
	@touch $@

demo: $(READY)  ## report, fit, evaluate and recommend on a real shop's log
	$(BIN)/engagelib demo

test: $(READY)  ## the tests, warnings are errors
	$(BIN)/python -m pytest --numprocesses 2

test-lowest: $(READY_LOWEST)  ## the tests with the lowest version of each dependency, on Python 3.11
	$(LOWEST)/bin/python -m pytest --numprocesses 2

test-sanitized: $(READY_SANITIZED)  ## the kernel's tests, watched for bad memory accesses and undefined behaviour
	LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libstdc++.so)" \
	ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 ENGAGELIB_KERNEL=native \
	$(SANITIZED)/bin/python -m pytest tests/scoring tests/test_histories.py tests/models/test_factors.py

test-wheel:  ## build the source archive and the wheel, and run the tests against the installed wheel
	rm -rf $(WHEEL)
	$(PYTHON) -m venv $(WHEEL)/builder
	$(WHEEL)/builder/bin/python $(INSTALL) build
	$(WHEEL)/builder/bin/python -m build --outdir $(WHEEL)/dist .
	$(PYTHON) tests/check_wheel.py $(WHEEL)/dist .
	mkdir $(WHEEL)/tree
	tar --extract --gzip --file $(WHEEL)/dist/*.tar.gz --directory $(WHEEL)/tree --strip-components 1
	rm -r $(WHEEL)/tree/src
	$(PYTHON) -m venv $(WHEEL)/venv
	$(WHEEL)/venv/bin/python $(INSTALL) "$$(echo $(WHEEL)/dist/*.whl)[dev]"
	cd $(WHEEL)/tree && PYTHONPATH= ../venv/bin/python tests/check_wheel.py --installed
	cd $(WHEEL)/tree && PYTHONPATH= ../venv/bin/python -m pytest --numprocesses 2

docs: $(READY_DOCS)  ## the documentation, in build/docs; warnings are errors
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --fresh-env --quiet docs build/docs
	@echo "Read it at build/docs/index.html"

lint: $(READY)  ## ruff, mypy and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test docs  ## everything that a change must pass

bench: $(READY)  ## the figures of docs/figures.md and of benchmarks/README.md, on this machine
	$(BIN)/python $(INSTALL) --editable ".[bench]"
	$(BIN)/python -m benchmarks.spine
	$(BIN)/python -m benchmarks.serving
	@mkdir -p build
	$(BIN)/python -m benchmarks.speed --size medium --json build/speed.json
	$(BIN)/python -m benchmarks.decisions --only serving bandit coverage --json build/decisions.json

clean:  ## forget the environments and all that was built
	rm -f src/engagelib/scoring/native/_kernel*.so
	rm -rf $(VENV) $(LOWEST) $(SANITIZED) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# Two commands do everything, set-up included:   make demo   make test
# The virtual environment is .venv; delete it to start anew.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
JOBS   ?= 2

.DEFAULT_GOAL := help
BOARD  ?= icebreaker
DIGITS := build/demo/network.safetensors

.PHONY: help setup demo bitstream test lint verilog check-verilog regress formal mutation fuzz \
        random coverage faults benchmarks benchmarks-conversion benchmarks-hardware benchmark-data oldest \
        newest dist lock clean

help:
	@echo "make demo      train, convert, quantize, write Verilog, co-simulate, build a bitstream, report"
	@echo "make bitstream BOARD=icebreaker   the demo's network for a board; sc-neurocore boards lists them"
	@echo "make test      the regression: lint, types, unit tests, proofs, co-simulation"
	@echo "make formal    prove the gateware's properties, and refute them where it is broken"
	@echo "make verilog   write the reference design to hdl/"
	@echo "make faults    flip bits of weights, of an accelerator and of boards; some minutes"
	@echo "make regress   test, and what takes longer: 200 random networks, for one"
	@echo "make random NETWORKS=1000 SEED=1   other random networks than those of make regress"
	@echo "make mutation  faults planted in the gateware, by hand and by Yosys, and what finds them"
	@echo "make coverage  what the tests reach of the gateware and of the package, and why not the rest"
	@echo "make oldest, make newest   the tests with the oldest and the newest versions of everything"
	@echo "make dist      wheel and sdist, and the demo with each of them"
	@echo "make lock      lock the versions of today, requirements/dev.lock"
	@echo "make fuzz      hostile input to everything that reads files or talks to boards; some 10 minutes"
	@echo "make benchmarks MNIST=folder FASHION=folder   the README's tables, from IDX files; some three hours"
	@echo "                 or a half of them: make benchmarks-conversion, make benchmarks-hardware"
	@echo "make clean     remove build/ and .venv"

setup: $(READY)

# What is locked is checked by its hashes; PyTorch is not, of which there is a build for each kind of machine.
$(READY): pyproject.toml requirements/dev.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, not " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes --requirement requirements/dev.lock
	$(BIN)/python -m pip install --quiet --no-build-isolation --editable '.[dev]'
	touch $@

demo: $(READY)
	$(BIN)/sc-neurocore demo --output build/demo

bitstream: $(DIGITS)
	$(BIN)/sc-neurocore build $(DIGITS) --board $(BOARD) --data digits --output build/$(BOARD)

$(DIGITS): | $(READY)
	$(BIN)/sc-neurocore demo --output build/demo

test: lint check-verilog
	$(BIN)/python -m pytest -n $(JOBS) -m "not slow"

formal: $(READY)
	$(BIN)/python -m formal --jobs $(JOBS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/mypy

verilog: $(READY)
	$(BIN)/python hdl/generate.py

check-verilog: $(READY)
	$(BIN)/python hdl/generate.py --check

benchmarks: benchmarks-conversion benchmarks-hardware

benchmarks-conversion: benchmark-data $(READY)
	$(BIN)/python benchmarks/mnist.py --data-dir '$(MNIST)'
	$(BIN)/python benchmarks/conversion.py --mnist '$(MNIST)' --fashion '$(FASHION)'
	$(BIN)/python benchmarks/speed.py --fashion '$(FASHION)'
	$(BIN)/python benchmarks/readme.py

benchmarks-hardware: benchmark-data $(READY)
	$(BIN)/python benchmarks/hardware.py --mnist '$(MNIST)' --fashion '$(FASHION)'
	$(BIN)/python benchmarks/estimates.py --family ecp5
	$(BIN)/python benchmarks/estimates.py --family ice40
	$(BIN)/python benchmarks/readme.py

benchmark-data:
	@test -d '$(MNIST)' && test -d '$(FASHION)' || { printf '%s\n' \
	  'make benchmarks needs two folders of IDX files (train-images-idx3-ubyte and its three' \
	  'companions, perhaps .gz), not MNIST="$(MNIST)" and FASHION="$(FASHION)":' \
	  '  make benchmarks MNIST=data/mnist FASHION=data/fashion' \
	  'To fetch them: sc-neurocore download mnist --output data/mnist' \
	  '               sc-neurocore download fashion-mnist --output data/fashion' \
	  'Debian has Fashion-MNIST in the package dataset-fashion-mnist, which puts it into' \
	  '/usr/share/datasets/fashion-mnist.' >&2; exit 1; }

faults: $(READY)
	$(BIN)/python -m campaigns.faults --jobs $(JOBS)

regress: lint check-verilog
	$(BIN)/python -m pytest -n $(JOBS) -m "not planted"

# Without a SEED, networks that nobody has seen.
random: NETWORKS ?= 200
random: SEED ?= $(shell date +%s)
random: $(READY)
	$(BIN)/python -m pytest -n $(JOBS) --networks $(NETWORKS) --hypothesis-seed $(SEED) \
	  sim/test_random_networks.py::test_random_network \
	  sim/test_random_networks.py::test_networks_are_different

mutation: $(READY)
	$(BIN)/python -m pytest -n $(JOBS) -m planted
	$(BIN)/python -m campaigns.mutation --jobs $(JOBS)

coverage: $(READY)
	$(BIN)/python -m campaigns.coverage --jobs $(JOBS)

# The tests with the oldest and the newest versions that pyproject allows.
oldest: ALLOWED := --constraint requirements/oldest.txt
oldest newest:
	$(PYTHON) -m venv --clear build/$@
	build/$@/bin/python -m pip install --quiet $(ALLOWED) --editable '.[dev]'
	build/$@/bin/python -m pytest -n $(JOBS) -m "not slow"

# Wheel and sdist, each in an environment of its own and far from the repository.
dist: $(READY)
	rm -rf build/dist
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir build/dist .
	$(BIN)/python -c 'from setuptools.build_meta import build_sdist; build_sdist("build/dist")'
	for file in $(CURDIR)/build/dist/*.whl $(CURDIR)/build/dist/*.tar.gz; do \
	  home=$$(mktemp -d) && $(PYTHON) -m venv $$home/venv \
	  && $$home/venv/bin/python -m pip install --quiet "$$file[demo]" \
	  && (cd $$home && venv/bin/sc-neurocore demo --output demo) && rm -r $$home || exit 1; done

# Versions to be locked: of today.
lock:
	$(PYTHON) -m venv build/uv && build/uv/bin/python -m pip install --quiet uv
	PATH="$(CURDIR)/build/uv/bin:$$PATH" $(PYTHON) requirements/lock.py
	PATH="$(CURDIR)/build/uv/bin:$$PATH" $(PYTHON) requirements/lock.py --oldest

fuzz: $(READY)
	$(BIN)/python -m campaigns.fuzz

clean:
	rm -rf build $(VENV)

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

.PHONY: help setup demo bitstream test lint verilog check-verilog regress benchmarks \
        benchmarks-conversion benchmarks-hardware benchmark-data faults clean

help:
	@echo "make demo      train, convert, quantize, write Verilog, co-simulate, build a bitstream, report"
	@echo "make bitstream BOARD=icebreaker   the demo's network for a board; sc-neurocore boards lists them"
	@echo "make test      the whole regression: lint, types, unit tests, co-simulation"
	@echo "make verilog   write the reference design to hdl/"
	@echo "make faults    flip bits of weights, of an accelerator and of a board; some minutes"
	@echo "make regress   test, and the longer runs"
	@echo "make benchmarks MNIST=folder FASHION=folder   the README's tables, from IDX files; some three hours"
	@echo "                 or a half of them: make benchmarks-conversion, make benchmarks-hardware"
	@echo "make clean     remove build/ and .venv"

setup: $(READY)

$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, not " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

demo: $(READY)
	$(BIN)/sc-neurocore demo --output build/demo

bitstream: $(DIGITS)
	$(BIN)/sc-neurocore build $(DIGITS) --board $(BOARD) --data digits --output build/$(BOARD)

$(DIGITS): | $(READY)
	$(BIN)/sc-neurocore demo --output build/demo

test: lint check-verilog
	$(BIN)/python -m pytest -n $(JOBS) -m "not slow"

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
	$(BIN)/python benchmarks/hardware.py --mnist '$(MNIST)'
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
	$(BIN)/python -m pytest -n $(JOBS)

clean:
	rm -rf build $(VENV)

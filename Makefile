# Works with make 3.81 and a POSIX shell.  `make help` lists the targets.
#
# One environment, .venv, serves every target, development tools included: the demo needs only the toolkit and PySpice,
# but a second environment would double 1.8 GB on disk and could differ from the one that the tests ran in.

SHELL = /bin/sh
BIN = .venv/bin
READY = .venv/ready
ARGS =

.NOTPARALLEL:
.PHONY: help setup ngspice qa-model demo test test-ngspice-next lint types netlists bench reproduce soak clean FORCE

help:
	@echo 'make setup      .venv with the pinned dependencies, and ngspice where a package manager can install it'
	@echo 'make demo       set-up, then the main job: train on digits through an ngspice circuit (ARGS="--out DIR" is passed on)'
	@echo 'make test       set-up, then lint, types and tests'
	@echo 'make test-ngspice-next  the ngspice tests on the newest ngspice of Debian backports, unpacked into build/'
	@echo 'make qa-model   the libraries and the model of the question-answering task, into .venv (350 MB)'
	@echo 'make lint       ruff: check and format'
	@echo 'make types      basedpyright, strict'
	@echo 'make netlists   write the reference decks in netlists/ anew'
	@echo 'make bench      the measured comparisons in benchmarks/'
	@echo 'make reproduce  the paper'"'"'s experiments and what they leave out, into results/ (hours; what is finished is kept)'
	@echo 'make soak       10,000 mutated decks through the reader (minutes)'
	@echo 'make clean      remove .venv, results and caches'
	@echo 'PYTHON=... names the interpreter for .venv (any Python >= 3.11)'

setup: $(READY)
	@rm -f .venv/ngspice.log
	@sh scripts/ngspice.sh
	@echo 'setup: .venv is ready'

# A .venv that was moved or copied here, or whose Python is gone, does not count as ready.
ifneq ($(shell { test "$$(cat .venv/place)" = "$$(pwd -P)" && .venv/bin/python -c "" && echo well; } 2>/dev/null),well)
$(READY): FORCE
endif
$(READY): pyproject.toml constraints.txt scripts/setup.sh
	@PYTHON='$(PYTHON)' sh scripts/setup.sh
	@touch $@

ngspice: $(READY)
	@sh scripts/ngspice.sh

qa-model: $(READY)
	@sh scripts/qa_model.sh

demo: $(READY) ngspice
	@if command -v ngspice >/dev/null 2>&1; then \
		$(BIN)/tngd-hw demo $(ARGS); \
	else \
		echo 'demo: ngspice is missing, so the circuit runs in the engine state_space'; \
		$(BIN)/tngd-hw demo --engine state_space $(ARGS); \
	fi

test: $(READY) ngspice lint types
	@echo 'test: pytest'
	@$(BIN)/python -m pytest $(ARGS)

test-ngspice-next: $(READY)
	@program=$$(sh scripts/ngspice_next.sh) && \
		echo "test-ngspice-next: $$("$$program" --version | grep -o 'ngspice-[0-9]*')" && \
		TNGD_NGSPICE="$$program" NGSPICE_LIBRARY_PATH="$$(dirname "$$program")/libngspice.so.0" \
		PATH="$$(dirname "$$program"):$$PATH" $(BIN)/python -m pytest -m ngspice $(ARGS)

lint: $(READY)
	@echo 'lint: ruff check'
	@$(BIN)/ruff check .
	@echo 'lint: ruff format --check'
	@$(BIN)/ruff format --check .

types: $(READY)
	@echo 'types: basedpyright'
	@$(BIN)/basedpyright --pythonpath $(BIN)/python

netlists: $(READY)
	@$(BIN)/python -m tngd_hw.studies.reference_decks netlists

bench: $(READY)
	@$(BIN)/python -m benchmarks $(ARGS)

reproduce: $(READY) ngspice
	@mkdir -p results/reproduce
	$(BIN)/python -m tngd_hw.studies.mnist.curves results/reproduce/mnist --figures adam --epochs 10
	$(BIN)/python -m tngd_hw.studies.mnist.curves results/reproduce/mnist_epoch --figures time delay noise noise_at_50_tau
	$(BIN)/python -m tngd_hw.studies.mnist.noise_forms results/reproduce/noise_forms
	$(BIN)/python -m tngd_hw.studies.mnist.tuned results/reproduce/mnist_tuned
	$(BIN)/python -m tngd_hw.studies.scaling.runtime results/reproduce/runtime_scaling
	$(BIN)/tngd-hw study training --chips 2 --resume --out results/reproduce/training
	$(BIN)/python -m tngd_hw.studies.circuit.in_loop results/reproduce/circuit_in_loop
	$(BIN)/python -m tngd_hw.studies.poisson.curves results/reproduce/poisson
	@if $(BIN)/python -c 'import transformers' 2>/dev/null; then \
		$(BIN)/python -m tngd_hw.studies.qa.curves results/reproduce/qa; \
	else \
		echo 'reproduce: question answering left out; make qa-model installs what it needs'; \
	fi

soak: $(READY)
	@$(BIN)/python tests/mutated_decks.py $(ARGS)

clean:
	rm -rf .venv results build dist .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

FORCE:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: install quickstart reports references problems benchmarks test lint docs clean

# Made once; made again when the project's dependencies change.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test]"
	touch $@

install: $(VENV)/installed

quickstart: $(VENV)/installed
	$(BIN)/seqbench run quickstart --out runs/quickstart
	$(BIN)/seqbench report runs/quickstart

# Reports of seven cards, hours on two cores; those of problems have a target of their own, those in depth were run by hand.
reports: $(VENV)/installed
	for task in quickstart adding copy intervention intervention-order remedies deletang2023-parity; do \
	  $(BIN)/seqbench run $$task --out runs/$$task && \
	  $(BIN)/seqbench report runs/$$task --out reports/$$task || exit 1; \
	done
	$(BIN)/seqbench gallery reports

# The runs that travel in the wheel, for seqbench compare.
references: $(VENV)/installed
	$(BIN)/python -m seqbench.results.reference runs/quickstart runs/adding runs/copy

# One card for each problem, a report each and one over all.
PROBLEMS := adding copy multiplication xor temporal_order temporal_order_3 random_permutation memorisation \
  memorisation_20 noise_free latch reber copy_variable denoising delay memory_capacity \
  selective_copying mqar flip_flop state_tracking images images_permuted

# Hours on two cores: by timed steps on a loaded machine, between two and fourteen.
problems: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[images]"
	for task in $(PROBLEMS); do $(BIN)/seqbench run $$task --out runs/$$task || exit 1; done
	$(BIN)/seqbench report $(PROBLEMS:%=runs/%) --out reports/problems
	$(BIN)/seqbench gallery reports

# What benchmarks/results holds: about half an hour on a machine that nobody else is using.
benchmarks: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[benchmarks]"
	$(BIN)/python -m benchmarks

test: $(VENV)/installed-test
	$(BIN)/python -m pytest -n auto --dist worksteal

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The pages as a site, build/site/index.html; a warning is an error.
docs: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	$(BIN)/sphinx-build -q -W --keep-going -b html -c docs . build/site

clean:
	rm -rf build $(VENV) runs .pytest_cache .ruff_cache .hypothesis

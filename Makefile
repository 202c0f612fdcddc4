# Needs nothing but Python 3.11 or newer and a package index. PYTHON chooses the interpreter; RUN is the demo's folder,
# TRAIN_S how long it trains, TESTERS how many processes share the tests.
PYTHON ?= python3
RUN ?= runs/demo-$(shell date +%Y%m%d-%H%M%S)
RUN := $(RUN)
TRAIN_S ?= 120
TESTERS ?= 2

ENV := .venv
BIN := $(ENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
BENCHMARKS = $(filter-out benchmarks/tables.py benchmarks/test_long.py, $(shell grep -l __main__ benchmarks/*.py))
PINS := pyproject.toml constraints.txt

.PHONY: install install-dev demo lint test test-long bench docs picture clean
.DELETE_ON_ERROR:

install: $(ENV)/installed

install-dev: $(ENV)/installed-dev

# setuptools comes first and pinned, so that building the package needs nothing from outside the constraints.
$(ENV)/installed: $(PINS)
	@$(PYTHON) -c 'import sys; sys.exit("velodrome needs Python 3.11 or newer, $(PYTHON) is %d.%d: set PYTHON=python3.11" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || { echo "making $(ENV)"; $(PYTHON) -m venv $(ENV); }
	@echo "installing velodrome (some minutes the first time)"
	@$(PIP) setuptools
	@$(PIP) --no-build-isolation --editable '.[edge]'
	@touch $@

$(ENV)/installed-dev: $(ENV)/installed $(PINS)
	@echo "installing what tests need"
	@$(PIP) --no-build-isolation --editable '.[edge,dev]'
	@touch $@

demo: install
	$(BIN)/velodrome train hearts --seconds $(TRAIN_S) --evaluate-every 15 --against rule --run $(RUN)
	$(BIN)/velodrome evaluate $(RUN) --against random --episodes 1000
	$(BIN)/velodrome evaluate $(RUN) --against lowest --episodes 1000
	$(BIN)/velodrome evaluate $(RUN) --against rule --episodes 1000
	$(BIN)/velodrome profile $(RUN) --iterations 5
	$(BIN)/velodrome report $(RUN)
	@echo "open $(RUN)/report.html in a browser"

lint: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest -m 'not long' -n $(TESTERS) --dist worksteal

# Everything in full. The outcome is kept as a record, whether it passes or not.
test-long: lint
	$(BIN)/python benchmarks/test_long.py

# Every script measures us and, where there is one, a peer in the same run; each keeps a record in benchmarks/results.
bench: install-dev
	@for script in $(BENCHMARKS); do echo "$$script"; $(BIN)/python $$script || exit 1; done

# Fills the tables in docs/ and README.md from benchmarks/results/*.json.
docs: install
	$(BIN)/python benchmarks/tables.py

# The pictures of the README and of the docs, from a run: make picture RUN=runs/...
picture: install
	$(BIN)/python docs/picture.py $(RUN)

clean:
	rm -rf $(ENV) .mypy_cache .pytest_cache .ruff_cache build dist

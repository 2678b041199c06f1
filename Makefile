# Two commands on a clean machine with Python 3.11 or newer:
#   make demo    set up and start the page on the weights in this repository
#   make test    set up and run all checks and tests
#   make phone   lay out the page that screens on the phone itself in build/phone (needs npm)
# While working: make check (style, types, directions), make quick (what needs no training and no browser).
# PYTHON chooses the interpreter, VENV the virtual environment's folder.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo phone test check quick format results screenshots clean

demo: $(VENV)/.serving
	$(BIN)/python app.py

phone: $(VENV)/.serving
	$(BIN)/python -m mel_demo phone --output build/phone

# In two processes: no more, or the servers and browsers of tests wait for each other.
test: check
	$(BIN)/python -m pytest --numprocesses 2 --dist loadgroup

check: $(VENV)/.training
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

quick: $(VENV)/.training
	$(BIN)/python -m pytest -m "not train and not browser"

format: $(VENV)/.training
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Figures and pictures of README follow from the weights.
results: $(VENV)/.training
	$(BIN)/python -m training results --weights weights --readme README.md

screenshots: $(VENV)/.training
	$(BIN)/python -m docs.make_screenshots --weights weights --output-dir docs

# The stamps record what was installed: serving alone, or everything.
$(VENV)/.serving: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --requirement requirements.txt
	touch $@

$(VENV)/.training: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable ".[train,dev]"
	touch $(VENV)/.serving $@

clean:
	rm -rf $(VENV) cache build *.egg-info .pytest_cache .ruff_cache .mypy_cache .import_linter_cache

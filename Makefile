# Each target does all of its own set-up: environment, dependencies, media.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
FOLDER ?= demo/media
SHEET  ?= demo/sheet.html

.PHONY: demo test test-slow check install clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[train,server,mcp,eval]' --group dev
	touch $@

demo/media/LICENCES.md: demo/make_media.py demo/sounds.py | $(VENV)/.installed
	$(BIN)/python demo/make_media.py demo/media

demo: $(VENV)/.installed $(if $(filter demo/media,$(FOLDER)),demo/media/LICENCES.md)
	$(BIN)/python demo/run.py $(FOLDER) --sheet $(SHEET)

test: $(VENV)/.installed
	$(BIN)/python -m pytest $(ARGS)

test-slow: $(VENV)/.installed
	$(BIN)/python -m pytest -m "slow and not gpu and not network" $(ARGS)

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest $(ARGS)

clean:
	rm -rf $(VENV) demo/media demo/collection demo/sheet.html

# Each target does all of its own set-up: environment, dependencies, media.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
FOLDER ?= demo/media
SHEET  ?= demo/sheet.html
ROOMS  ?= $(filter-out tests/__pycache__,$(patsubst %/,%,$(wildcard tests/*/)))

.PHONY: demo test test-slow test-gpu check install clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[train,server,mcp,eval]' --group dev
	touch $@

demo/media/LICENCES.md: demo/make_media.py demo/sounds.py | $(VENV)/.installed
	$(BIN)/python demo/make_media.py demo/media

# A variable as one word of the shell, whatever is in it: spaces, quotes, $$.
quoted = '$(subst ','\'',$(value $(1)))'

demo: $(VENV)/.installed $(if $(filter demo/media,$(value FOLDER)),demo/media/LICENCES.md)
	@$(BIN)/python demo/run.py --sheet $(call quoted,SHEET) -- $(call quoted,FOLDER)

# Each room's tests run in a process of their own: what one room loads (torch, a browser, worker
# processes) does not weigh on the next. Every room runs; the first failure decides the status.
test: $(VENV)/.installed
	@status=0; for room in $(ROOMS); do \
	  echo "== $$room"; $(BIN)/python -m pytest $$room $(ARGS) || status=1; \
	done; exit $$status

test-slow: $(VENV)/.installed
	$(BIN)/python -m pytest -m "slow and not gpu and not network" $(ARGS)

# On a machine with a CUDA card; a missing one is a failure.
test-gpu: $(VENV)/.installed
	SEEHEAR_REQUIRE_GPU=1 $(BIN)/python -m pytest -m gpu $(ARGS)

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) test

clean:
	rm -rf $(VENV) demo/media demo/collection demo/sheet.html

# Each target does all of its own set-up: environment, dependencies, media. Everything is installed
# from requirements.lock, by version and hash. CPU=1 leaves out CUDA's libraries (Linux): say it at the
# first call, or after `make clean`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
FOLDER ?= demo/media
SHEET  ?= demo/sheet.html
# Those that take longest begin first.
ROOMS  ?= $(LONG) $(filter-out $(LONG) tests/__pycache__,$(patsubst %/,%,$(wildcard tests/*/)))
LONG   := $(addprefix tests/,page server stores media search indexers cli collection encoders readers \
          finetune smoke demo contracts)
JOBS   ?= 2
SYNC   := $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)
EXTRAS := server,mcp,eval,speech,ocr

LOCK    := requirements.lock
COMPILE := pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
           --no-annotate --all-extras --group dev --group bench --custom-compile-command 'make lock'
INSTALL := $(BIN)/uv pip install --quiet --python $(VENV) \
           --constraint $(VENV)/constraints.txt --build-constraint $(VENV)/constraints.txt
# PyTorch's builds for processors come from its own index and are not in the lock: with CPU=1 their
# versions are held, their hashes are not.
ifdef CPU
INSTALL += --torch-backend cpu --excludes requirements-cpu.excludes faiss-cpu
HELD    := sed -e '/^torch[a-z]*==/,/[^\]$$/d' -e 's/^\(faiss-cpu==[^ ]*\) ;.*/\1 \\/'
else
HELD    := cat
endif

.PHONY: demo test test-slow test-gpu test-newest bench-quick check install lock dist clean

install: $(VENV)/.installed

# uv, and what every later installation is held to.
$(VENV)/constraints.txt: $(LOCK)
	$(PYTHON) -m venv $(VENV)
	sed -n '/^uv==/,/[^\]$$/p' $(LOCK) > $(VENV)/uv.txt
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps --requirement $(VENV)/uv.txt
	$(HELD) $(LOCK) > $@

# What the demo needs: less than what the tests need.
$(VENV)/.demo: pyproject.toml $(VENV)/constraints.txt
	$(INSTALL) --editable '.[server,speech,ocr]' --group demo --group speech-test
	touch $@

$(VENV)/.installed: pyproject.toml $(VENV)/constraints.txt
	$(INSTALL) --editable '.[$(EXTRAS)]' --group dev
	touch $(VENV)/.demo $@

# Pins what pyproject.toml allows: keeps what is pinned and still fits; all anew with UPGRADE=1.
lock: $(VENV)/constraints.txt
	$(BIN)/uv $(COMPILE) $(if $(UPGRADE),--upgrade) --output-file $(LOCK)

demo/media/LICENCES.md: demo/make_media.py demo/sounds.py demo/speech.py | $(VENV)/.demo
	$(BIN)/python demo/make_media.py demo/media

# A variable as one word of the shell, whatever is in it: spaces, quotes, $$.
quoted = '$(subst ','\'',$(value $(1)))'

demo: $(VENV)/.demo $(if $(filter demo/media,$(value FOLDER)),demo/media/LICENCES.md)
	@$(BIN)/python demo/run.py --sheet $(call quoted,SHEET) -- $(call quoted,FOLDER)

# Each room's tests run in a process of their own: what one room loads (torch, a browser, worker
# processes) does not weigh on the next. JOBS rooms run at once. Every room runs, and make fails if
# one does.
test: $(VENV)/.installed
	@$(MAKE) --no-print-directory --keep-going --jobs $(JOBS) $(SYNC) $(ROOMS:%=room/%)

room/%:
	@echo "== $*"; $(BIN)/python -m pytest $* $(ARGS)

# What takes minutes; tests of properties with many more examples than in `make test`.
test-slow: $(VENV)/.installed
	$(BIN)/python -m pytest -m "(slow or hypothesis) and not gpu and not network" \
	  --hypothesis-profile=many $(ARGS)

# On a machine with a CUDA card; a missing one is a failure.
test-gpu: $(VENV)/.installed
	SEEHEAR_REQUIRE_GPU=1 $(BIN)/python -m pytest -m gpu $(ARGS)

# The newest libraries that pyproject.toml allows, in an environment of their own: run it each week.
test-newest: $(VENV)/.installed demo/media/LICENCES.md
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-newest
	$(BIN)/uv pip install --quiet --python .venv-newest --editable '.[$(EXTRAS)]' --group smoke
	.venv-newest/bin/python -m pytest tests/smoke tests/demo $(ARGS)

# Speed beside the stored one of this kind of machine; fails if a task takes 15 % more processor time.
bench-quick: $(VENV)/.installed
	$(BIN)/python -m benchmarks.bench_guard

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) test

# A wheel and a source distribution in dist/.
dist: $(VENV)/.installed
	$(BIN)/uv build --quiet --python $(VENV) --no-build-isolation --out-dir dist
	@ls dist

clean:
	rm -rf $(VENV) .venv-newest dist demo/media demo/collection demo/collections demo/sheet.html

# clearport: two commands on a fresh machine with Python 3.11+ and make.
#   make demo    sets up .venv and exports, verifies, measures and reports NCNet
#   make test    sets up .venv and passes the tests

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
DEMO   := demo/ncnet_x3
WEB    := runtime/web/dist/sources.sha256
JOBS   ?= 2
# In the order of collection, which has the long files first: else one process is left alone with them at the end.
TESTS   = $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

# Tests start hundreds of Pythons, each of which would compile clearport anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup web web-if-npm docs demo test test-all check schemas format bench tables latency runtimes lock clean

help:  ## list the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

setup: $(READY)  ## make .venv with the locked versions

# torch goes first and alone: any other order lets pip choose a build with gigabytes of CUDA.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "clearport needs Python 3.11 or newer; set PYTHON=python3.x")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $$(grep '^torch==' requirements.lock)
	$(BIN)/python -m pip install --quiet -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps -e .
	@touch $@

# Without npm or its registry everything but 'clearport serve' works, which then says so; CI asks for it by name.
setup test test-all: | web-if-npm

web-if-npm:
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory web || echo "the page of 'clearport serve' was not built"; fi

web: $(WEB)  ## build the page of 'clearport serve' (needs Node.js 20 or newer with npm)

$(WEB): runtime/web/package-lock.json runtime/web/build.mjs runtime/web/index.html runtime/web/style.css $(wildcard runtime/web/src/*)
	cd runtime/web && npm ci --ignore-scripts --no-audit --no-fund --silent && npm run --silent build
	@touch $@

demo: $(READY)  ## export NCNet to every target, verify it, measure it, write the report
	$(BIN)/clearport export ncnet --out $(DEMO) --force
	@echo "open $(DEMO)/report.html in a browser; the files for your app are listed in $(DEMO)/report.md"

test: $(READY)  ## the tests that a developer waits for
	$(TESTS) -m "not slow"

test-all: $(READY)  ## every test
	$(TESTS)

check: $(READY)  ## lint, format, types, import layers, schemas
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=.typing $(BIN)/lint-imports --no-cache
	$(BIN)/python -m docs.schema_files --check

schemas: $(READY)  ## write the JSON schemas of records from the code
	$(BIN)/python -m docs.schema_files

format: $(READY)  ## reformat and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY)  ## the documentation site, into build/docs
	rm -rf build/docs
	$(BIN)/python -m docs.generate build/docs/source
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet --jobs auto build/docs/source build/docs/site
	@echo "open build/docs/site/index.html in a browser"

runtimes: $(READY)  ## environments of other runtimes, for 'clearport verify --runtime'
	$(BIN)/python -m clearport.runtime.older.setup

tables: $(READY)  ## rebuild the support table of README.md from proofs
	$(BIN)/clearport matrix device_tests/zoo/zoo.toml --out out/zoo
	$(BIN)/python -m device_tests.zoo.readme out/zoo/matrix.json

latency: $(READY)  ## measure the CPU latency of networks that docs/latency.json lacks
	$(BIN)/python -m device_tests.zoo.latency docs/latency.json

bench: $(READY)  ## latency of the demo bundle on this machine, at length
	test -f $(DEMO)/manifest.json || $(MAKE) demo
	$(BIN)/clearport bench $(DEMO) --json $(DEMO)-bench.json

lock: $(READY)  ## write requirements.lock from what is installed
	$(BIN)/python -m pip freeze --exclude-editable --exclude clearport | sed -e 's/+cpu$$//' -e "s/^coreai-core==.*/&; sys_platform == 'linux' and platform_machine == 'x86_64'/" > requirements.lock

clean:  ## remove everything that was made
	rm -rf $(VENV) runtime/web/dist runtime/web/node_modules build dist demo demo-bench.json *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

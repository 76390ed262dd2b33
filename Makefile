# make demo    plan, run and report specs/demo on a real 135M model
# make test    every test, with the real model
# make check   what CI checks before it tests: formatting, lints, types, generated files
# make bench   evalc against lm-evaluation-harness
# Needs Python 3.10+ with pip and venv, and cargo. Everything else goes into .venv and models/.

PYTHON ?= python3
BIN    := .venv/bin
MODEL  := models/smollm2-135m
# Test files that run at the same time; each may take 4 GB of memory.
JOBS   ?= 2
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test check bench specs core browser sandbox clean

demo: core $(MODEL)/model.safetensors
	$(BIN)/evalc plan specs/demo
	$(BIN)/evalc exec specs/demo --no-report
	$(BIN)/evalc report specs/demo

test: core browser sandbox $(MODEL)/model.safetensors
	cargo test --locked --package evalc-plan
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

check: core
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -k fresh

bench: core $(MODEL)/model.safetensors .venv/.bench
	$(BIN)/python benches/plan_vs_lm_eval.py --model $(MODEL)

# The suites that are written from benchmark files (../shared/data, or DATA=folder).
specs: .venv/.installed
	$(BIN)/python specs/generate.py $(DATA)

# Always asks cargo, which rebuilds what changed: Python never sees an older core than the sources.
core: .venv/.installed
	@VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/maturin develop --quiet --release --locked --skip-install

# Chromium, in which the tests open the HTML report. Without one they are skipped, but fail in CI.
browser:
	@if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium chromium-driver \
	  >/dev/null || echo "chromium could not be installed"; \
	else echo "no chromium and chromedriver: tests of the HTML report in a browser are skipped"; fi

# Bubblewrap, in which programs that a model wrote run. Without it its tests are skipped, but fail in CI.
sandbox:
	@if command -v bwrap >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq bubblewrap \
	  >/dev/null || echo "bubblewrap could not be installed"; \
	else echo "no bwrap: tests of programs in a sandbox are skipped"; fi

.venv/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) maturin
	PATH="$(CURDIR)/$(BIN):$$PATH" $(PIP) --no-build-isolation -e '.[exec,data,report,demo,test,lint]'
	@touch $@

.venv/.bench: .venv/.installed
	PATH="$(CURDIR)/$(BIN):$$PATH" $(PIP) --no-build-isolation -e '.[bench]'
	@touch $@

$(MODEL)/model.safetensors: | .venv/.installed
	$(BIN)/python specs/demo/fetch_model.py $(MODEL)

clean:
	rm -rf .venv target models .cache

# Everything from a fresh clone: `make demo`, `make test`. Needs python3 with venv and headers, g++, cmake, make.
PYTHON ?= python3
TORCH ?= torch==2.13.0
VENV ?= .venv
BUILD ?= build/dev
BUILD_ASAN ?= build-asan
BUILD_TSAN ?= build-tsan
BENCH ?= benchmarks
BENCH_JSON ?= build/bench.json
PEERS ?= .venv-peers

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
CPP := $(shell find csrc tests examples benchmarks -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' 2>/dev/null)
BUILD_FILES := CMakeLists.txt setup.py pyproject.toml $(wildcard cmake/*) $(shell find csrc -type f 2>/dev/null)
JOBS := $(or $(CMAKE_BUILD_PARALLEL_LEVEL),$(shell nproc))
# Slow tests run where CI is set, or with `make test SLOW=1`.
PYTEST_MARKS := $(if $(or $(CI),$(SLOW)),,-m "not slow")
CTEST := ctest --output-on-failure --no-tests=error --test-dir

.DEFAULT_GOAL := help
.NOTPARALLEL:  # CMake and Ninja use the cores; the tests' closing line comes last
.PHONY: help build demo test lint test-cpp test-python bench bench-peers sanitize sanitize-thread format clean

help:  ## show what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## */\t/' | expand -t 18

build: $(VENV)/.built  ## .venv with torch, tools and pyhooks itself (editable)

demo: build  ## train a small network on scikit-learn's digits and show all it leaves behind
	$(BIN)/python -m pyhooks demo

test: lint test-cpp test-python  ## lint, C++ tests, Python tests

lint: build  ## ruff, mypy, clang-format: report only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(if $(CPP),$(BIN)/clang-format --dry-run -Werror $(CPP))

test-cpp: build  ## C++ tests
	cmake -S . -B $(BUILD) -DPYHOOKS_BUILD_TESTS=ON > $(BUILD)/configure.log || { cat $(BUILD)/configure.log; exit 1; }
	cmake --build $(BUILD) --parallel $(JOBS)
	$(CTEST) $(BUILD)

test-python: build  ## Python tests (SLOW=1: the slow ones too)
	$(BIN)/python -m pytest $(PYTEST_MARKS) $(PYTEST_ARGS)

bench: build  ## benchmarks, then their table
	mkdir -p $(dir $(BENCH_JSON))
	cmake -S . -B $(BUILD) -DPYHOOKS_BUILD_BENCHMARKS=ON > $(BUILD)/configure.log || { cat $(BUILD)/configure.log; exit 1; }
	cmake --build $(BUILD) --parallel $(JOBS) --target pyhooks_bench
	rm -f $(BENCH_JSON)
	failed=0; OMP_NUM_THREADS=1 PYHOOKS_BENCH_BUILD=$(BUILD) \
	  PYHOOKS_PEERS=$(or $(wildcard $(PEERS)/bin/python),$(BIN)/python) \
	  $(BIN)/python -m pytest $(BENCH) -o python_files='bench_*.py' --show-capture=no --benchmark-quiet --benchmark-json=$(BENCH_JSON) $(PYTEST_ARGS) || failed=1; \
	$(BIN)/python benchmarks/table.py $(BENCH_JSON) && exit $$failed

bench-peers: $(PEERS)/.installed  ## the cost of callbacks beside Lightning, Keras, Ignite and Transformers
	$(MAKE) bench BENCH=benchmarks/bench_peers.py

sanitize: $(VENV)/.tools  ## C++ tests with AddressSanitizer and UndefinedBehaviorSanitizer
	$(call sanitized,$(BUILD_ASAN),address$(comma)undefined)
	ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1 $(CTEST) $(BUILD_ASAN)

sanitize-thread: $(VENV)/.tools  ## C++ tests with ThreadSanitizer
	$(call sanitized,$(BUILD_TSAN),thread)
	setarch -R $(CTEST) $(BUILD_TSAN)

comma := ,
define sanitized
cmake -S . -B $(1) -G Ninja -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja -DPython_EXECUTABLE=$(CURDIR)/$(BIN)/python \
  -DPYHOOKS_SANITIZE=$(2) -DPYHOOKS_BUILD_PYTHON=OFF -DPYHOOKS_BUILD_TESTS=ON -DPYHOOKS_WERROR=ON
cmake --build $(1) --parallel $(JOBS)
endef

format: $(VENV)/.tools  ## put all files into the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(if $(CPP),$(BIN)/clang-format -i $(CPP))

clean:  ## remove what was built (not .venv)
	rm -rf build $(BUILD_ASAN) $(BUILD_TSAN) dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
	rm -rf pyhooks/_C*.so pyhooks/_build_info.py pyhooks/lib pyhooks/include pyhooks/share $(VENV)/.built

# --- stamps: a second call does only what has changed -----------------------------------------------------------------
# torch goes first and alone: it decides what pyhooks is compiled against.
$(VENV)/.torch-$(subst =,_,$(TORCH)):
	$(PYTHON) -m venv $(VENV)
	$(PIP) install $(TORCH)
	rm -f $(VENV)/.torch-* && touch $@

$(VENV)/.tools: requirements/dev.txt $(VENV)/.torch-$(subst =,_,$(TORCH))
	$(PIP) install -r requirements/dev.txt
	touch $@

# Sees the packages of .venv, so that there is one torch. The line in peers.pth is run by the new Python at its start.
$(PEERS)/.installed: requirements/peers.txt $(VENV)/.tools
	$(PYTHON) -m venv $(PEERS)
	$(BIN)/python -c 'import sysconfig; print("import site; site.addsitedir(%r)" % sysconfig.get_path("purelib"))' \
	  > $$($(PEERS)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/peers.pth
	$(PEERS)/bin/python -m pip --disable-pip-version-check -q install -r $<
	touch $@

$(VENV)/.built: $(VENV)/.tools $(BUILD_FILES)
	PYHOOKS_BUILD_DIR=$(BUILD) PYHOOKS_BUILD_TESTS=1 PYHOOKS_WERROR=1 $(PIP) install --no-build-isolation -e .
	touch $@

PYTHON ?= python3
BIN := .venv/bin

.PHONY: env demo lint test fuzz wheel sanitize docs links figures bench clean

# The build's own tools are pinned as well; older and newer pips read it from different names.
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_BUILD_CONSTRAINT := $(CURDIR)/constraints.txt

env: .venv/.installed

# torch goes first and alone: the rest then keeps the build of it, CPU or CUDA, that was found.
.venv/.installed: pyproject.toml constraints.txt CMakeLists.txt $(wildcard sknode/ode/native/*.?pp)
	$(PYTHON) -m venv .venv
	$(BIN)/pip install torch
	$(BIN)/pip install -e '.[all]'
	touch $@

demo: env
	$(BIN)/python benchmarks/demo.py

lint: env
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/clang-format --dry-run --Werror sknode/ode/native/*.[ch]pp
	$(BIN)/mypy sknode

# scipy reads SCIPY_ARRAY_API when imported; without it scikit-learn skips its array API checks.
test: export SCIPY_ARRAY_API := 1
# One thread a worker, or the two workers fight over two cores.
test: export OMP_NUM_THREADS := 1
test: export MKL_NUM_THREADS := 1
test: lint
	$(BIN)/pytest -n 2

# What takes too long for every run: 2,000 random fits with random hyperparameters on random data,
# 2,000 forged files, 50 trainings that are killed again and again, and scikit-learn's checks of the
# slow preset.
fuzz: export SKNODE_FUZZ := 2000
fuzz: export SKNODE_KILLS := 50
fuzz: export OMP_NUM_THREADS := 1
fuzz: export MKL_NUM_THREADS := 1
fuzz: env
	$(BIN)/pytest -n 2 tests/estimators/test_fuzz.py tests/training/test_checkpoint.py \
	  tests/test_forged_files.py
	$(BIN)/pytest -n 2 tests/estimators/test_contract.py -k presets

# The wheel with and without a compiler, each installed in an environment of its own, which sees
# the packages of .venv but not its sknode.
wheel: env
	rm -rf build/wheel
	$(BIN)/pip wheel -q --no-deps -w build/wheel/native .
	CC=false CXX=false $(BIN)/pip wheel -q --no-deps -w build/wheel/eager .
	ls build/wheel/eager/*-py3-none-any.whl
	for engine in native eager; do \
	  cd $(CURDIR)/build/wheel/$$engine && $(CURDIR)/$(BIN)/python -m venv venv && \
	  venv/bin/pip install -q --no-deps *.whl && \
	  echo $(CURDIR)/.venv/lib/python*/site-packages > $$(echo venv/lib/python*/site-packages)/more.pth && \
	  venv/bin/python $(CURDIR)/tests/check_wheel.py $$engine || exit 1; \
	done

# Address and undefined-behaviour sanitizers over the engine's tests.
sanitize: env
	$(BIN)/pip install -q --no-deps -e . -C cmake.define.SKNODE_SANITIZE=ON
	LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
	  ASAN_OPTIONS=detect_leaks=0 $(BIN)/pytest tests/ode/test_native.py -p no:xdist; \
	  status=$$?; $(BIN)/pip install -q --no-deps -e . && exit $$status

docs: env
	$(BIN)/sphinx-build -W --keep-going docs docs/_build/html

# Every link, anchor and picture of the site, but those that lead out of it.
links: docs
	$(BIN)/linkchecker --config docs/linkchecker.ini docs/_build/html/index.html

# The pictures of the examples that the guide shows, from what `make docs` has just drawn.
figures: docs
	for picture in docs/auto_examples/images/sphx_glr_plot_*.png; do \
	  cp $$picture docs/_static/gallery/$$(basename $$picture | sed s/sphx_glr_//) || exit 1; \
	done

bench: env
	$(BIN)/python benchmarks/step.py
	$(BIN)/python benchmarks/engine.py
	$(BIN)/python benchmarks/estimators.py
	$(BIN)/python benchmarks/iris.py

clean:
	rm -rf build dist docs/_build docs/auto_examples docs/sg_execution_times.rst
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -path ./.venv -prune -o -name __pycache__ -exec rm -rf {} +

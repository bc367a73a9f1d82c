PYTHON ?= python3
BIN := .venv/bin

.PHONY: env demo lint test docs bench clean

env: .venv/.installed

# torch goes first and alone: the rest then keeps the build of it, CPU or CUDA, that was found.
.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -c constraints.txt torch
	$(BIN)/pip install -c constraints.txt -e '.[all]'
	touch $@

demo: env
	$(BIN)/python benchmarks/demo.py

lint: env
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy sknode

# scipy reads SCIPY_ARRAY_API when imported; without it scikit-learn skips its array API checks.
test: export SCIPY_ARRAY_API := 1
# One thread a worker, or the two workers fight over two cores.
test: export OMP_NUM_THREADS := 1
test: export MKL_NUM_THREADS := 1
test: lint
	$(BIN)/pytest -n 2

docs: env
	$(BIN)/sphinx-build -W --keep-going docs docs/_build/html

bench: env
	$(BIN)/python benchmarks/step.py
	$(BIN)/python benchmarks/iris.py

clean:
	rm -rf build dist docs/_build docs/auto_examples docs/sg_execution_times.rst
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -path ./.venv -prune -o -name __pycache__ -exec rm -rf {} +

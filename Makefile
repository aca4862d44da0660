# Every target makes what it needs; each works first, alone, on a machine with Python 3.11 or newer.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# For a CPU-only torch: make setup TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
# Options of tests/benchmarks/bench.py, of tests/breaks.py and of tests/benchmarks/fuzz.py
BENCH ?=
BREAKS ?=
# TESTS="not slow" leaves out the eight files that take longest
TESTS ?=
FUZZ ?=

.PHONY: run test bench breaks fuzz setup lab explore course figure clean

run: $(VENV)/.installed  ## the main job: all notebooks on the embedded photos, with a report
	$(BIN)/python -m anonlab run --profile quick

test: $(VENV)/.installed  ## lint, unit tests, every notebook
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m "not serial$(if $(TESTS), and $(TESTS))"
	$(BIN)/python -m pytest -q -m "serial$(if $(TESTS), and $(TESTS))"

bench: $(VENV)/.installed  ## how fast every part is here; BENCH="--quick --only explorer" for less
	$(BIN)/python tests/benchmarks/bench.py $(BENCH)

breaks: $(VENV)/.installed  ## break the code in many ways, and see whether the tests notice; BREAKS="--only key"
	$(BIN)/python tests/breaks.py $(BREAKS)

fuzz: $(VENV)/.installed  ## 10,000 mutated picture files, and whether anything worse than an error comes of one
	$(BIN)/python tests/benchmarks/fuzz.py $(FUZZ)

setup: $(VENV)/.installed  ## install only

lab: $(VENV)/.installed  ## JupyterLab on the notebooks
	$(BIN)/jupyter lab --notebook-dir=notebooks

explore: $(VENV)/.installed  ## the mask explorer as a web page, on this machine only
	$(BIN)/voila anonlab/explorer/page.ipynb

course: $(VENV)/.installed  ## the newest executed notebooks as a book to browse, without a network
	$(BIN)/python -m anonlab course

figure: $(VENV)/.installed  ## draw the README's picture again
	$(BIN)/python -m anonlab.figures.readme_figure

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(if $(TORCH_INDEX),$(BIN)/python -m pip install torch torchvision --index-url $(TORCH_INDEX))
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

clean:  ## everything that was made, but not your photos
	rm -rf $(VENV) outputs/runs outputs/notebooks outputs/course

# Every target makes what it needs; each works first, alone, on a machine with Python 3.11 to 3.13.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# Where torch comes from: a CPU-only one (2 GB instead of 7.5) where no NVIDIA driver is seen; where its
# index is not reached, or with TORCH_INDEX= (nothing), pip's own
TORCH_INDEX ?= $(if $(shell command -v nvidia-smi),,https://download.pytorch.org/whl/cpu)
TORCH := torch==2.14.1 torchvision==0.29.1
# Options of benchmarks/bench.py, of mutmut and of benchmarks/fuzz.py
BENCH ?=
BREAKS ?=
FUZZ ?=
# Set where `make gate` has run already
GATED ?=
# The folder of the notebooks' run that the tests read, and of the one on an emulated processor
GATE := $(CURDIR)/outputs/gate

.PHONY: run test gate gate-sse41 bench breaks fuzz setup lab explore course assignments slides tables figure clean

run: $(VENV)/.installed  ## the main job: all notebooks on the embedded photos, with a report
	$(BIN)/python -m anonlab run --profile quick

test: $(VENV)/.installed  ## lint, every notebook against the accepted numbers, all tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	-$(if $(GATED),:,$(MAKE) gate)  # what fails in it fails the tests, which say how much of it
	ANONLAB_GATE=$(GATE)/native $(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m "not serial"
	ANONLAB_GATE=$(GATE)/native $(BIN)/python -m pytest -q -m serial

gate: $(VENV)/.installed  ## every notebook against the accepted numbers
	rm -rf $(GATE)/native
	$(BIN)/python -m anonlab run --out $(GATE)/native -p STATE=$(GATE)/native/people

gate-sse41: $(VENV)/.installed  ## the same as a processor without AVX computes it
	rm -rf $(GATE)/sse41
	$(BIN)/python -m anonlab run --environment sse41 --out $(GATE)/sse41 -p STATE=$(GATE)/sse41/people

bench: $(VENV)/.installed  ## how fast every part is here; BENCH="--quick --only explorer" for less
	$(BIN)/python benchmarks/bench.py $(BENCH)

breaks: $(VENV)/.installed  ## mutants of the files where a silent error costs a face; BREAKS="anonlab.photo.boxes*"
	-$(BIN)/mutmut run $(BREAKS)
	$(BIN)/python benchmarks/breaks.py  # commit tests/survivors.txt: `git diff` then says what changed

fuzz: $(VENV)/.installed  ## 10,000 mutated picture files, and whether anything worse than an error comes of one
	$(BIN)/python benchmarks/fuzz.py $(FUZZ)

setup: $(VENV)/.installed  ## install only

lab: $(VENV)/.installed  ## JupyterLab on the notebooks
	$(BIN)/jupyter lab --notebook-dir=notebooks

explore: $(VENV)/.installed  ## the mask explorer as a web page, on this machine only
	$(BIN)/python -m anonlab explore

course: $(VENV)/.installed  ## the newest executed notebooks as a book to browse, without a network
	$(BIN)/python -m anonlab course

assignments: $(VENV)/.installed  ## the exercises for nbgrader and otter-grader, open and solved
	$(BIN)/python -m anonlab course assignments

slides: $(VENV)/.installed  ## slides of the newest executed notebooks
	$(BIN)/python -m anonlab course slides

tables: $(VENV)/.installed  ## the tables of the READMEs, from data/judged.json
	$(BIN)/python benchmarks/pages.py

figure: $(VENV)/.installed  ## draw the README's picture again
	$(BIN)/python benchmarks/pages.py picture

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	# isolated, so that both come from this index; one of each does not fit together
	$(if $(TORCH_INDEX),PIP_CONFIG_FILE=/dev/null $(BIN)/python -m pip --isolated install --quiet --retries 1 \
	  $(TORCH) --index-url $(TORCH_INDEX) 2>/dev/null || echo "no torch at $(TORCH_INDEX): pip's own is taken")
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

clean:  ## remove the environment, and what runs, course, assignments, slides and mutants made
	rm -rf $(VENV) outputs/runs outputs/gate outputs/notebooks outputs/course outputs/assignments \
	  outputs/slides mutants

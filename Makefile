# `make help` lists what there is to make. Everything runs in environments of its own, .venv,
# .venv-onedl and .venv-docs; nothing outside this folder is touched.
PYTHON ?= python3

# pip reports what it does to a person at a terminal; to a log, errors alone.
PIP = $(@D)/bin/python -m pip install --disable-pip-version-check --no-input \
	$(if $(MAKE_TERMOUT),,--quiet --quiet)

# Tests of one file stay in one process, since they share what they train. More than one thread of
# PyTorch's in each would only wait for the other's.
PYTEST = OMP_NUM_THREADS=1 .venv/bin/python -m pytest --numprocesses auto --dist loadfile

# Schemas come with the package: nothing is downloaded.
SCHEMA = .venv/bin/check-jsonschema --builtin-schema vendor.

.DEFAULT_GOAL := help
.PHONY: help setup train demo test test-onedl fuzz fuzz-files mutate coverage lint docs \
	wheels clean

help:
	@echo 'make setup       create .venv: the official OpenMMLab stack and this package, compiled'
	@echo 'make train       set up, draw the sample data set, train on it from scribbles, evaluate'
	@echo 'make demo        set up, draw the sample data set, serve a page to draw scribbles on'
	@echo 'make test        set up, run all tests (some of them: make test ARGS="tests/ops -x")'
	@echo 'make test-onedl  run the tests of the whole path under the maintained fork (.venv-onedl)'
	@echo 'make fuzz        call the compiled filter at random under the sanitizers of the compiler'
	@echo 'make fuzz-files  give 5,000 damaged files to every tool that reads files (10 minutes)'
	@echo 'make mutate      break the package in small ways and see that the tests notice (minutes)'
	@echo 'make coverage    run all tests and fail where they reach less than 95 % of the package'
	@echo 'make lint        check the code, its format, its types, and the files that services read'
	@echo 'make docs        build the site of the documentation into build/docs; dead links fail'
	@echo 'make wheels      build and try the sdist and a wheel for every Python found, into dist/'
	@echo 'make clean       remove environments and build products; data/ and work_dirs/ stay'
	@echo 'Another Python (3.10 or newer) than python3: make clean setup PYTHON=python3.12'

setup: .venv/.package
	@echo 'Ready. To work in the environment: source .venv/bin/activate'

train: setup
	.venv/bin/python tools/train_sample.py

demo: setup
	.venv/bin/python tools/make_sample_dataset.py
	.venv/bin/python demo/web.py $(ARGS)

test: setup
	$(PYTEST) $(ARGS)

test-onedl: .venv-onedl/.package
	.venv-onedl/bin/python -m pytest tests/test_compat.py tests/smoke

fuzz:
	tests/fuzz/run.sh

fuzz-files: setup
	.venv/bin/python -m pytest tests/fuzz/fuzz_files.py

mutate: setup
	.venv/bin/python tests/mutation/mutate.py $(ARGS)

coverage: setup
	$(PYTEST) --cov --cov-report term:skip-covered --cov-fail-under 95 $(ARGS)

lint: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/clang-format --dry-run -Werror $(wildcard csrc/*.?pp csrc/*/*.?pp tests/fuzz/*.cpp)
	$(SCHEMA)github-workflows .github/workflows/*.yml
	$(SCHEMA)github-issue-forms .github/ISSUE_TEMPLATE/[!c]*.yml
	$(SCHEMA)github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(SCHEMA)citation-file-format CITATION.cff

docs: .venv-docs/.requirements
	rm -rf build/docs-source && mkdir -p build/docs-source
	cp -R README.md CONTRIBUTING.md CHANGELOG.md LICENSE docs configs build/docs-source
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict

wheels:
	packaging/build.sh

clean:
	rm -rf .venv .venv-onedl .venv-docs build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find mmseg_rloss -name '*.so' -delete

.venv-docs/.requirements: requirements/docs.txt
	@$(PYTHON) -m venv $(@D)
	@$(PIP) -r $<
	@touch $@

# An environment is made in two steps, each with a stamp: what it needs, then this package, which
# is compiled again when its C++ code changes.
.venv/.requirements: requirements/official.txt
.venv-onedl/.requirements: requirements/onedl.txt

%/.requirements: requirements/build.txt requirements/test.txt tools/check_machine.py
	@command -v $(PYTHON) >/dev/null || { echo 'make setup cannot begin: $(PYTHON) is not found.' \
		'Install Python 3.10 or newer, or name it: make setup PYTHON=...' >&2; exit 1; }
	@$(PYTHON) tools/check_machine.py
	@echo 'Installing into $(@D): a minute, or the download of a few GB where PyTorch brings CUDA'
	@$(PYTHON) -m venv $(@D)
	@$(PIP) $(patsubst %,-r %,$(filter %.txt,$^))
	@touch $@

%/.package: %/.requirements setup.py pyproject.toml $(wildcard csrc/* csrc/*/*)
	@echo 'Compiling the extension'
	@MMSEG_RLOSS_EXTENSION=require $(PIP) --no-build-isolation --no-deps --editable .
	@touch $@

# Everything runs in a virtual environment of its own, .venv; PYTHON chooses the interpreter it is made from.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test lint docs wheel clean

demo: $(VENV)/installed  ## score the packaged demo model on the packaged pairs; needs no network after the install
	HF_HUB_OFFLINE=1 $(BIN)/lm_eval run --model hf-reward --model_args pretrained=demo --tasks preference_demo

test: $(VENV)/installed-test  ## run the tests
	$(BIN)/python -m pytest -n 2

lint: $(VENV)/installed-test  ## check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

docs: $(VENV)/installed-test  ## write the parts of README.md that are made from the code
	$(BIN)/python tests/test_docs.py

wheel: $(VENV)/installed-test  ## build dist/*.whl
	$(BIN)/python -m build --wheel --no-isolation

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 10) else f"found Python {v[0]}.{v[1]}, expected 3.10 or later: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt -e .
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[test]'
	touch $@

clean:
	rm -rf $(VENV) dist build

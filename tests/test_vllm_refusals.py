"""vllm-reward refuses before an engine starts, in one line: checkpoints that vLLM would compute otherwise, and options."""

import json
import sys
from pathlib import Path

import pytest
import torch
import transformers
from conftest import make_model, make_tokenizer
from safetensors.torch import load_file, save_file
from stand_in import stand_in
from tiny_checkpoints import decoder, numbers, write

from skywork_rb_plugin import UserError, VLLMReward
from skywork_rb_plugin.heads.checkpoint import Checkpoint
from skywork_rb_plugin.heads.families.classifier import Classifier
from skywork_rb_plugin.models import engine_checks

START = VLLMReward._start


@pytest.fixture(autouse=True)
def engine(monkeypatch):
    """In place of vLLM; it never starts."""
    stand_in(monkeypatch)
    monkeypatch.setattr(VLLMReward, "_start", lambda *_: pytest.fail("the engine was started"))


@pytest.fixture
def folder(tmp_path):
    """A classifier that vLLM would take."""
    return Path(make_model(tmp_path / "m"))


def refusal(folder, **options):
    """The line."""
    with pytest.raises(UserError) as caught:
        VLLMReward(pretrained=folder, **options)
    line = str(caught.value)
    assert "\n" not in line
    return line


def with_tensors(folder, tensors):
    """Add tensors to a checkpoint."""
    file = folder / "model.safetensors"
    save_file({**load_file(file), **tensors}, file, {"format": "pt"})


def with_config(folder, **values):
    """Change keys of its config."""
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


@pytest.mark.parametrize("trusted", [True, False])
def test_code_of_its_own(folder, trusted):
    """vLLM would compute transformers' class in its place, trusted or not."""
    (folder / "mine.py").write_text("")
    with_config(folder, architectures=["Mine"], auto_map={"AutoModelForSequenceClassification": "mine.Mine"})
    line = refusal(folder, trust_remote_code=trusted)
    assert line.startswith("found code of its own (mine.Mine) in ")
    assert "expected --model hf-reward" in line


@pytest.mark.parametrize("extra", ["consolidated.safetensors", "model_ema.safetensors", "adapter_model.safetensors"])
def test_weights_that_only_vllm_would_load(folder, extra):
    """Without an index it loads all files."""
    (folder / extra).write_bytes((folder / "model.safetensors").read_bytes())
    line = refusal(folder)
    assert f"found the files {', '.join(sorted([extra, 'model.safetensors']))} of " in line
    assert "where transformers loads model.safetensors, expected the same" in line


def test_an_index_says_what_is_loaded(folder):
    """What it does not name, neither loads; what lies whole beside it, transformers takes first."""
    names = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").rename(folder / "part.safetensors")
    (folder / "consolidated.safetensors").write_bytes(b"")
    index = {"metadata": {}, "weight_map": dict.fromkeys(names, "part.safetensors")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "found steps=min" in refusal(folder, steps="min")  # what is refused last
    (folder / "model.safetensors").write_bytes(b"")
    assert "found the files part.safetensors" in refusal(folder)


def test_files_on_the_hub(monkeypatch):
    """All that are there: vLLM fetches them; not those of folders."""
    there = ["config.json", "model.safetensors", "model_ema.safetensors", "original/consolidated.safetensors"]
    monkeypatch.setattr(engine_checks, "list_repo_files", lambda name, revision: there)
    checkpoint = Checkpoint("owner/name", transformers.LlamaConfig(), "owner/name")
    with pytest.raises(UserError, match=r"^found the files model.safetensors, model_ema.safetensors of owner/name, "):
        engine_checks.check_checkpoint(Classifier(), checkpoint)


def test_bin_files(folder):
    """Of the older format vLLM takes all files too, but for the trainer's."""
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    (folder / "training_args.bin").write_bytes(b"")
    assert "found steps=min" in refusal(folder, steps="min")
    (folder / "value_head.bin").write_bytes((folder / "pytorch_model.bin").read_bytes())
    assert "found the files pytorch_model.bin, value_head.bin" in refusal(folder)


def test_an_adapter_beside_the_weights(folder):
    """Transformers applies it."""
    (folder / "adapter_config.json").write_text("{}")
    assert "found an adapter (adapter_config.json)" in refusal(folder)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"classifier_from_token": ["no", "yes"]}, r"found classifier_from_token=['no', 'yes']"),
        ({"is_causal": False}, "found is_causal=False"),
    ],
)
def test_keys_of_the_config_that_only_vllm_heeds(folder, values, found):
    """By one it makes another head, by the other another model."""
    with_config(folder, **values)
    assert found in refusal(folder)


@pytest.mark.parametrize("name", ["score.bias", "v.weight"])
def test_tensors_beside_the_head(folder, name):
    """vLLM adds the bias, and fails on others."""
    with_tensors(folder, {name: torch.ones(1)})
    assert f"found {name} in " in refusal(folder)


def test_a_language_models_head_is_passed_over(folder):
    """By both."""
    with_tensors(folder, {"lm_head.weight": torch.ones(320, 32)})
    assert "found steps=min" in refusal(folder, steps="min")


def longrope(folder):
    """Save a checkpoint whose rotary positions change after 64 tokens."""
    rope = {"rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0] * 4, "long_factor": [4.0] * 4}
    settings = {"max_position_embeddings": 512, "original_max_position_embeddings": 64}
    config = transformers.Phi3Config(
        vocab_size=320, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4,
        num_key_value_heads=4, pad_token_id=2, num_labels=1, rope_parameters=rope, **settings,
    )  # fmt: skip
    transformers.Phi3ForSequenceClassification(config).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


def test_rotary_positions_that_change_with_the_length(tmp_path):
    """In vLLM the longest conversation decides for all."""
    folder = longrope(tmp_path / "m")
    assert "(longrope) change after 64 tokens" in (line := refusal(folder, max_length=65))
    assert "expected max_length=64 or --model hf-reward" in line
    assert "found steps=min" in refusal(folder, steps="min", max_length=64)


LAYERS = {"score.0.weight": (32, 32), "score.0.bias": (32,), "score.2.weight": (1, 32), "score.2.bias": (1,)}
HEADS = {
    "another name": ("RewardModel", {"value_head.weight": (1, 32), "score.weight": (1, 32)}, "value_head_prefix value_head"),
    "no class of vLLM's": ("Qwen2ForOtherReward", LAYERS, "read by the head mlp"),
    "another family": (
        "Qwen2ForPrmModel", {"v_head.summary.weight": (1, 32), "v_head.summary.bias": (1,)}, "read by the head skywork-o1-prm",
    ),
    "another shape": ("Qwen2ForSequenceClassification", {"score.weight": (1, 16)}, "score.weight of the shape (1, 16)"),
    "two labels": ("Qwen2ForSequenceClassification", {"score.weight": (2, 32)}, "score.weight of the shape (2, 32)"),
    "no head": ("RewardModel", {"embed": (1,)}, "found no tensor score.weight"),
}  # fmt: skip


@pytest.mark.parametrize("case", HEADS)
def test_heads(tmp_path, case):
    """Those that vLLM does not compute, and those that are not whole."""
    architecture, shapes, expected = HEADS[case]
    prefix = {"value_head_prefix": "value_head"} if case == "another name" else {}
    config, tensors = decoder("qwen2", architectures=[architecture], num_labels=1, **prefix)
    tensors |= {name: numbers(name, shape) for name, shape in shapes.items()}
    assert expected in refusal(write(tmp_path / "m", config, tensors))


def test_a_classifier_that_is_read_otherwise(tmp_path):
    """Its class in transformers has no `score` at the last token."""
    config = transformers.GPT2Config(
        vocab_size=320, n_embd=32, n_layer=1, n_head=2, n_positions=512, pad_token_id=2, num_labels=1
    )
    transformers.GPT2ForSequenceClassification(config).save_pretrained(tmp_path)
    make_tokenizer().save_pretrained(tmp_path)
    assert "--model hf-reward reads it" in refusal(tmp_path)


def test_sliding_windows_in_some_layers(tmp_path):
    """As vLLM's Qwen-3 does not have them."""
    windows = {"use_sliding_window": True, "sliding_window": 16, "max_window_layers": 1}
    assert "found sliding windows in some layers" in refusal(make_model(tmp_path / "m", "qwen-3", **windows))


@pytest.mark.parametrize(
    ("name", "known", "fits"),
    [
        ("LlamaForSequenceClassification", ["LlamaForCausalLM"], True),
        ("Qwen2ForTokenClassification", ["Qwen2ForCausalLM"], True),
        ("Qwen2ForRewardModel", ["Qwen2ForRewardModel"], True),
        ("Gemma3TextForSequenceClassification", ["Gemma3ForCausalLM", "Gemma3TextModel"], False),
    ],
)
def test_classes_that_vllm_has(folder, name, known, fits):
    """By its own name, or as a language model; the decoder alone is not enough."""
    checkpoint = Checkpoint("m", transformers.AutoConfig.from_pretrained(folder), folder)
    if fits:
        return engine_checks.check_class(checkpoint, [name], known)
    with pytest.raises(
        UserError, match=f"found the class {name} in m .*, which vLLM does not have, expected --model hf"
    ):
        engine_checks.check_class(checkpoint, [name], known)


OPTIONS = [
    ({"tensor_paralel_size": 2}, "did you mean tensor_parallel_size"),
    ({"max_model_len": 100}, "found max_model_len in --model_args, expected max_length in its place"),
    *[
        ({name: value}, f"found {name} in --model_args, expected it left out: vllm-reward sets it")
        for name, value in (
            ("runner", "generate"), ("convert", "embed"), ("model_impl", "transformers"), ("hf_config_path", "x"),
            ("data_parallel_rank", 1),
        )
    ],
    ({"tokenizer_revision": "v2"}, "found tokenizer_revision in --model_args, expected tokenizer=FOLDER in its place"),
    ({"enable_lora": True}, "found enable_lora in --model_args, expected --model hf-reward"),
    ({"default_mm_loras": {"a": "b"}}, "found default_mm_loras in --model_args, expected --model hf-reward"),
    *[
        ({name: value}, f"found {name} in --model_args, which neither vllm-reward nor vLLM has, expected --model hf-reward")
        for name, value in (
            ("peft", "x"), ("delta", "x"), ("subfolder", "x"), ("load_in_8bit", True), ("enable_thinking", True),
            ("scoring", "tree"),
        )
    ],
    ({"swap_space": 4}, "found swap_space in --model_args, which neither vllm-reward nor vLLM has"),
    ({"load_format": "dummy"}, "found load_format=dummy, expected one that loads"),
    ({"load_format": "mistral"}, "found load_format=mistral, expected one that loads"),
    ({"device": "cuda:1"}, "CUDA_VISIBLE_DEVICES=1"),
    ({"head_dtype": "half"}, "found head_dtype='half', expected model or float32"),
    ({"revision": 5}, "found revision=5, expected a branch, tag or commit"),
    ({"add_bos_token": "no"}, "found add_bos_token='no', expected True or False"),
    ({"trust_remote_code": "no"}, "found trust_remote_code='no', expected True or False"),
    ({"hf_overrides": "x"}, "found hf_overrides='x', expected names and values"),
    *[
        ({"hf_overrides": {name: 1}}, f"found {name} in hf_overrides, expected it left out")
        for name in ("architectures", "num_labels", "head_dtype")
    ],
    ({"hf_overrides": {"text_config": {"rope_theta": 5}}}, "found text_config in hf_overrides, expected values of"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "line"), OPTIONS, ids=str)
def test_options(options, line, monkeypatch):
    """Known before anything is loaded."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert line in refusal("absent", **options)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"max_length": 600}, "found max_length=600, expected at most 512"),
        ({"steps": "min"}, "found steps=min in --model_args, which the head classifier of"),
        ({"label": "x"}, "found label=x, but"),
    ],
)
def test_options_that_the_checkpoint_does_not_take(folder, options, line):
    """Known once its config and its head are."""
    assert line in refusal(folder, **options)


def test_processes_of_a_launcher(folder, monkeypatch):
    """Each would start an engine of its own and score everything."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert "found 2 processes, started by torchrun or accelerate, expected one lm_eval" in refusal(folder)


def test_a_vllm_that_cannot_be_imported(tmp_path, monkeypatch):
    """A folder of that name in the working directory, or a library that it lacks."""
    monkeypatch.delitem(sys.modules, "vllm")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "vllm").mkdir()
    assert "can't be imported: AttributeError" in (line := refusal("absent"))
    assert "vllm>=" in line or "vllm<" in line
    monkeypatch.delitem(sys.modules, "vllm", raising=False)
    (tmp_path / "vllm" / "__init__.py").write_text("raise ImportError('libcudart.so.13\\nis missing')")
    assert "can't be imported: ImportError: libcudart.so.13 is missing; expected vllm" in refusal("absent")


def test_another_release_of_vllm(folder, monkeypatch):
    """What is used of it may be elsewhere there, as it is in the stand-in."""
    monkeypatch.setattr(VLLMReward, "_start", START)
    assert "can't be imported: ImportError: cannot import name 'ModelRegistry' from 'vllm'" in refusal(folder)

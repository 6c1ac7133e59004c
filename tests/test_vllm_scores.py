"""vllm-reward without vLLM: what it sends to an engine, what it makes of its numbers, and what decides a score."""

from pathlib import Path

import pytest
import torch
import transformers
from conftest import TEMPLATE, make_model, make_tokenizer
from safetensors.torch import load_file, save_file
from stand_in import StandIn, by_token, stand_in
from tiny_checkpoints import decoder, numbers, write

from skywork_rb_plugin import HFReward, UserError, VLLMReward
from skywork_rb_plugin.heads import plugins
from skywork_rb_plugin.heads.families.classifier import Classifier

PAIRS = [
    *[(f"Question {i}?", f"answer {i} " * i) for i in (3, 1, 2)],
    ("Question?", "one that ends in pad tokens<|pad|><|pad|>"),
    ("Too long?", "the quick brown fox " * 20),
]
# neither a marker after a response nor a BOS: it may end in pad tokens, and the BOS is the tokenizer's
OPEN = TEMPLATE.replace("<|end|>", "").replace("{{ bos_token }}", "{{ date_string }}")
LENGTH = 64
VALUE_HEAD = {"normalize_reward": True, "mean": 0.4, "std": 1.7}


@pytest.fixture(autouse=True)
def engine(monkeypatch):
    """In place of vLLM."""
    stand_in(monkeypatch)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A classifier whose config has no pad token."""
    return make_model(tmp_path_factory.mktemp("model") / "m", tokenizer=make_tokenizer(OPEN), pad_token_id=None)


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """What options name: a tokenizer and a template."""
    root = tmp_path_factory.mktemp("others")
    make_tokenizer(OPEN + "<|end|>").save_pretrained(root / "tokenizer")
    (root / "other.jinja").write_text(TEMPLATE.replace("<|end|>", "<|system|>"))
    return {"OTHERS": str(root)}


def engine_model(folder, **options):
    """The model in the stand-in's engine."""
    return VLLMReward(pretrained=folder, **{"max_length": LENGTH, **options})


def hf_model(folder, **options):
    """The same in hf-reward."""
    return HFReward(pretrained=folder, device="cpu", scoring="padded", **{"max_length": LENGTH, **options})


def named(value, others):
    """An option that may name a file."""
    return value.replace("OTHERS", others["OTHERS"]) if isinstance(value, str) else value


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pad_rule": "reference"},
        {"chat_template": "OTHERS/other.jinja"},
        {"chat_template_args": {"date_string": "today"}},
        {"tokenizer": "OTHERS/tokenizer"},
        {"add_bos_token": False},
        {"max_length": 600, "max_position_embeddings": 600},
        {"dtype": "bfloat16"},
    ],
    ids=str,
)
def test_options_that_hf_reward_has_too_give_its_rewards(folder, others, options):
    """Each changes rewards, and changes them as there."""
    options = {name: named(value, others) for name, value in options.items()}
    rewards = engine_model(folder, **options).score(PAIRS)
    tolerance = 0.05 if "dtype" in options else 1e-4
    assert rewards == pytest.approx(hf_model(folder, **options).score(PAIRS), abs=tolerance)
    if options:
        assert rewards != pytest.approx(engine_model(folder).score(PAIRS), abs=1e-5)


def test_prompts_are_sent_in_order_up_to_the_token_that_is_read(folder):
    """In the order of their ids; nothing after the last token that is read."""
    model = engine_model(folder, pad_rule="reference")
    model.scorer.engine.sent.clear()
    model.score(PAIRS)
    sent = model.scorer.engine.sent
    assert sent == sorted(sent)
    assert len(sent) == len(PAIRS)
    assert max(map(len, sent)) == LENGTH
    pad = model.renderer.tokenizer.pad_token_id
    assert all(ids[-1] != pad for ids in sent)


def checkpoint(folder, architecture, labels, shapes, **config):
    """A decoder with a head; returns its folder."""
    config, tensors = decoder("qwen2", architectures=[architecture], num_labels=labels, **config)
    tokenizer = make_tokenizer(add_bos=False)
    tokenizer.add_tokens(["<extra_0>", "<|im_start|>", "<|im_end|>"], special_tokens=True)
    return write(folder, config, tensors | {name: numbers(name, shape) for name, shape in shapes.items()}, tokenizer)


BIASED = {"score.weight": (1, 32), "score.bias": (1,)}


@pytest.mark.parametrize(
    ("architecture", "labels", "shapes", "options", "config"),
    [
        ("Qwen2ForSequenceClassification", 3, {"score.weight": (3, 32)}, {"label": 1}, {}),
        ("Qwen2Model", 2, {"score.weight": (1, 32)}, {}, {}),
        ("RewardModel", 2, {"score.weight": (1, 32)}, {}, VALUE_HEAD),
    ],
)
def test_heads_of_one_layer(tmp_path, architecture, labels, shapes, options, config):
    """One label of several; those whose config does not say that they have one: a decoder with a head, a value head."""
    folder = checkpoint(tmp_path / "m", architecture, labels, shapes, **config)
    model, hf = engine_model(folder, **options), hf_model(folder, **options)
    assert model.score(PAIRS) == pytest.approx(hf.score(PAIRS), abs=1e-4)
    assert model.head_name() == hf.head_name()
    assert model.scorer.engine.config["architectures"] == ["Qwen2ForSequenceClassification"]
    assert model.scorer.engine.config["num_labels"] == shapes["score.weight"][0]
    assert model.scorer.engine.config["head_dtype"] == "model"


def test_a_value_head_keeps_its_bias(tmp_path):
    """vLLM adds it, as the authors do."""
    assert engine_model(checkpoint(tmp_path / "m", "RewardModel", 1, BIASED)).family.family.name == "openrlhf"


LAYERS = {"score.0.weight": (32, 32), "score.0.bias": (32,), "score.2.weight": (2, 32), "score.2.bias": (2,)}


def test_numbers_of_all_tokens_are_read_where_the_head_reads(tmp_path):
    """At the end of each step the probability of the second of two labels."""
    folder = checkpoint(tmp_path / "m", "Qwen2ForProcessRewardModel", 2, LAYERS)
    model = engine_model(folder, steps="min", max_length=200)
    conversation = ("How many?", "One.\n\nThen two.\n\nThree")
    [reward] = model.score([conversation])
    ids = model.scorer.engine.sent[-1]
    end = model.renderer.tokenizer.convert_tokens_to_ids("<extra_0>")
    assert ids.count(end) == 3
    assert ids[-1] == end
    steps = by_token(ids)[[i for i, token in enumerate(ids) if token == end]].softmax(-1)[:, 1]
    assert reward == pytest.approx(min(steps.tolist()), abs=1e-6)


@pytest.mark.parametrize("architecture", ["Qwen2ForSequenceClassification", "Qwen2ForProcessRewardModel"])
def test_an_engine_that_gives_too_many_numbers_is_not_believed(tmp_path, monkeypatch, architecture):
    """Else they would be read at other tokens."""
    monkeypatch.setattr(StandIn, "extra", 1)
    shapes = LAYERS if "Process" in architecture else {"score.weight": (1, 32)}
    labels = 2 if "Process" in architecture else 1
    with pytest.raises(RuntimeError, match=r"the engine gave numbers of \d+ tokens, expected \d+"):
        engine_model(checkpoint(tmp_path / "m", architecture, labels, shapes))


@pytest.mark.parametrize(
    ("options", "same"),
    [
        ({"dtype": "bfloat16"}, False),
        ({"head_dtype": "float32"}, False),
        ({"pad_rule": "reference"}, False),
        ({"chat_template": "OTHERS/other.jinja"}, False),
        ({"chat_template_args": {"date_string": "today"}}, False),
        ({"tokenizer": "OTHERS/tokenizer"}, False),
        ({"add_bos_token": False}, False),
        ({"max_length": 60}, False),
        ({"max_position_embeddings": 600}, False),
        ({"trust_remote_code": True}, False),
        ({"hf_overrides": {"pad_token_id": 1}}, False),
        ({"hf_overrides": {"rms_norm_eps": 0.5}}, False),
        ({"quantization": "fp8"}, False),
        ({"load_format": "bitsandbytes"}, False),
        ({"block_size": 16}, False),
        ({"attention_backend": "FLASH_ATTN"}, False),
        ({"tensor_parallel_size": 2}, True),
        ({"gpu_memory_utilization": 0.5}, True),
        ({"max_num_seqs": 16}, True),
        ({"seed": 7}, True),
        ({"served_model_name": "mine"}, True),
        ({"log_level": "DEBUG"}, True),
        ({"disable_custom_all_reduce": True}, True),
    ],
    ids=str,
)
def test_what_decides_a_score_is_in_the_fingerprint(folder, others, options, same):
    """A score cache belongs to one; where and in what portions it was computed is not in it."""
    options = {name: named(value, others) for name, value in options.items()}
    assert (engine_model(folder, **options).fingerprint() == engine_model(folder).fingerprint()) is same


@pytest.mark.parametrize(
    ("attribute", "value"), [("version", "vLLM 0.33.0"), ("device", "cuda"), ("attention", "vLLM FLASH_ATTN")]
)
def test_what_the_engine_is_decides_too(folder, monkeypatch, attribute, value):
    """Its release, the device, and by what it attends."""
    before = engine_model(folder).fingerprint()
    monkeypatch.setattr(StandIn, attribute, value)
    assert engine_model(folder).fingerprint() != before


def test_the_checkpoints_state_decides_too(folder, tmp_path):
    """Another training of the same checkpoint; of the hub's its commit or, where that is not known, the revision."""
    make_tokenizer(OPEN).save_pretrained(tmp_path)
    tensors = load_file(Path(folder) / "model.safetensors")
    save_file(tensors | {"score.weight": -tensors["score.weight"]}, tmp_path / "model.safetensors", {"format": "pt"})
    (tmp_path / "config.json").write_text((Path(folder) / "config.json").read_text())
    model = engine_model(folder, revision="v2")
    assert engine_model(tmp_path).identity()["revision"] != model.identity()["revision"]
    model._name = "owner/name"
    assert model.identity()["revision"] == "v2"
    model.checkpoint.config._commit_hash = "c0ffee"
    assert model.identity()["revision"] == "c0ffee"


def test_config_and_tokenizer_are_of_the_revision(folder, monkeypatch):
    """And their own code may run where the user trusts it."""
    given = []
    for auto in (transformers.AutoConfig, transformers.AutoTokenizer):

        def spy(name, load=auto.from_pretrained, **options):
            given.append((options["revision"], options["trust_remote_code"]))
            return load(name, **options)

        monkeypatch.setattr(auto, "from_pretrained", spy)
    engine_model(folder, revision="v2", trust_remote_code=True)
    assert given[:2] == [("v2", True), ("v2", True)]


def test_it_says_where_the_reference_would_read(tmp_path, caplog):
    """Where the pad token is the end of a turn, as hf-reward says it."""
    folder = make_model(tmp_path / "m", tokenizer=make_tokenizer(pad="<|end|>"), pad_token_id=None)
    engine_model(folder)
    assert "pad_rule=reference imitates it" in caplog.text


def test_equal_rewards_are_told(tmp_path, caplog):
    """A head of zeros."""
    folder = Path(make_model(tmp_path / "m"))
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors | {"score.weight": torch.zeros(1, 32)}, folder / "model.safetensors", {"format": "pt"})
    engine_model(folder)
    assert "different short conversations all have the reward 0" in caplog.text


def test_a_plugins_family_is_not_taken_for_ours_by_its_name(folder, monkeypatch):
    """Another package may call its head as ours; vLLM knows nothing of it."""

    class Theirs(Classifier):
        def head(self, loaded):
            raise AssertionError("not reached")

    monkeypatch.setattr(plugins, "registered", lambda: (plugins.Registered(Theirs(), "theirs 1.0"),))
    with pytest.raises(UserError, match=r"read by the head classifier, .*; --model hf-reward reads it"):
        engine_model(folder)


def test_a_plugins_head_has_its_origin(folder, monkeypatch):
    """In the results file and in the fingerprint, as in hf-reward."""
    monkeypatch.setattr(plugins, "registered", lambda: (plugins.Registered(Classifier(), "theirs 1.0"),))
    model = engine_model(folder)
    assert model.head_name() == hf_model(folder).head_name() == "LlamaForSequenceClassification, one label (theirs 1.0)"


def test_the_config_that_the_engine_gets(folder):
    """What the user overrides, and what the head decides."""
    assert engine_model(folder, hf_overrides={"rms_norm_eps": 0.5}).scorer.engine.config == {
        "head_dtype": "model", "rms_norm_eps": 0.5, "architectures": ["LlamaForSequenceClassification"], "num_labels": 1,
    }  # fmt: skip

"""Value heads through the harness, by tree and in padded batches, against their hidden states and weights."""

import numpy as np
import pytest
import torch
import transformers
from conftest import make_tokenizer
from families import ROWS, by_tree_and_padded, states, token_ids
from rewards import load, scores, user
from tiny_checkpoints import decoder, numbers, write

from skywork_rb_plugin import UserError
from skywork_rb_plugin.heads import plugins
from skywork_rb_plugin.heads.checkpoint import Checkpoint
from skywork_rb_plugin.heads.families.classifier import Classifier
from skywork_rb_plugin.heads.families.value_heads import ValueHead
from skywork_rb_plugin.heads.pooling import before_first

MLP = {"score.0.weight": (32, 32), "score.0.bias": (32,), "score.2.weight": (1, 32), "score.2.bias": (1,)}
SUMMARY = {"v_head.summary.weight": (1, 32), "v_head.summary.bias": (1,)}
GRM = {
    "v_head.summary.0.weight": (24, 32), "v_head.summary.0.bias": (24,), "v_head.summary.2.weight": (24, 24),
    "v_head.summary.2.bias": (24,), "v_head.summary.4.weight": (1, 24), "v_head.summary.4.bias": (1,),
}  # fmt: skip
CLASSIFIER = "LlamaForSequenceClassification"
# the text without BOS, and with a newline after what it ends with
PLAIN = "{% for message in messages %}{{ message['role'] + ': ' + message['content'] }}\n{% endfor %}"


def checkpoint(folder, head, family="llama", extra=None, tokenizer=None, **config):
    """A decoder with the tensors of a head, by shape or as they are, and files of others: its folder and these tensors."""

    def arrays(some):
        return {name: numbers(name, it) if isinstance(it, tuple) else it for name, it in some.items()}

    config, tensors = decoder(family, **config)
    files = {file: arrays(some) for file, some in (extra or {}).items()}
    heads = [arrays(head), *files.values()]
    folder = write(folder, config, {**tensors, **heads[0]}, tokenizer, files)
    return folder, {name: torch.from_numpy(array) for some in heads for name, array in some.items()}


def check(folder, manager, tmp_path, caplog, expected, name, rows=ROWS, **options):
    """Both ways to score it give what is expected, by the head of this name; no other answers and nothing is left unread."""
    by_tree, padded, info = by_tree_and_padded(folder, manager, tmp_path, rows, **options)
    assert by_tree == pytest.approx(expected, abs=1e-5)
    assert padded == pytest.approx(expected, abs=1e-5)
    assert info["head"].startswith(f"{name} (")
    assert "would too" not in caplog.text
    assert "does not read" not in caplog.text


def rewards(folder, rows=ROWS, **options):
    """Without the harness, which costs a second: what `check` would give, by tree and in padded batches."""
    pairs = [(user(row["prompt"]), [row["chosen"], row["rejected"]]) for row in rows]
    return [scores(load(folder, dtype="float32", scoring=how, **options), pairs) for how in ("tree", "padded")]


def value(tensors, hidden, name):
    """A linear layer, or several with ReLU between, of one hidden state."""
    layers = (
        [name] if f"{name}.weight" in tensors else sorted({key.rsplit(".", 1)[0] for key in tensors if name in key})
    )
    for layer in layers:
        hidden = hidden if layer == layers[0] else torch.relu(hidden)
        hidden = tensors[f"{layer}.weight"] @ hidden + tensors.get(f"{layer}.bias", 0)
    return float(hidden)


def last(folder, tensors, name, ids=None, key_mapping=None):
    """The values at the last token."""
    return [value(tensors, hidden[-1], name) for hidden in states(folder, ids or token_ids(folder), key_mapping)]


@pytest.mark.parametrize(
    ("family", "architecture", "head", "layer", "config", "name"),
    [
        ("llama", "INFORMForSequenceClassification", MLP, "score", {}, "mlp"),
        ("qwen2", "Qwen2ForRewardModel", MLP, "score", {}, "mlp"),
        ("gemma2", "Gemma2ForCausalLM", SUMMARY, "v_head.summary", {"vhead_layer_type": "linear"}, "grm"),
        ("llama", "LlamaForCausalLM", GRM, "v_head.summary", {"vhead_layer_type": "mlp", "vhead_num_layers": 2}, "grm"),
        ("qwen3", "Qwen3ForCausalLM", SUMMARY, "v_head.summary", {"lm_head": True}, "v-head"),
        ("mistral", "MistralModel", {"v_head.weight": (1, 32)}, "v_head", {}, "v-head"),
        ("mistral", "EurusRewardModel", {"regression_head.weight": (1, 32)}, "regression_head", {}, "eurus"),
        ("qwen2", "Qwen2Model", {"value.weight": (1, 32)}, "value", {"value_head_prefix": "value"}, "openrlhf"),
    ],
)
def test_one_value_at_the_last_token(task_manager, tmp_path, caplog, family, architecture, head, layer, config, name):
    """By the layers that the config or the names say."""
    folder, tensors = checkpoint(tmp_path / "model", head, family, architectures=[architecture], **config)
    attention = {"attn_implementation": "eager"} if family == "gemma2" else {}
    check(folder, task_manager, tmp_path, caplog, last(folder, tensors, layer), name, **attention)


@pytest.mark.parametrize("file", ["value_head.safetensors", "value_head.bin"])
def test_a_value_head_in_a_file_of_its_own(tmp_path, file):
    """As LLaMA-Factory saves it."""
    folder, tensors = checkpoint(tmp_path / "model", {}, extra={file: SUMMARY}, lm_head=True)
    expected = last(folder, tensors, "v_head.summary")
    assert rewards(folder) == [pytest.approx(expected, abs=1e-5)] * 2


def test_a_value_head_computes_in_float32(tmp_path):
    """In a model of half precision: trl's does, GRM's does not."""
    ids = [0, 7, 8, 9]
    folder, tensors = checkpoint(tmp_path / "trl", SUMMARY, lm_head=True)
    other, _ = checkpoint(tmp_path / "grm", SUMMARY, lm_head=True, vhead_layer_type="linear")
    half = transformers.AutoModel.from_pretrained(folder, dtype=torch.bfloat16).eval()
    with torch.no_grad():
        hidden = half(torch.tensor([ids])).last_hidden_state[0, -1]
    whole = value(tensors, hidden.float(), "v_head.summary")
    rounded = value({key: tensor.bfloat16() for key, tensor in tensors.items()}, hidden, "v_head.summary")
    found = [load(path, dtype="bfloat16", scoring="padded").scorer.score([ids])[0] for path in (folder, other)]
    assert found == pytest.approx([whole, rounded], abs=1e-6)
    assert abs(whole - rounded) > 1e-4


def test_a_prefix_of_the_whole_model(tmp_path):
    """As the wrapper's under DeepSpeed ZeRO-3."""
    folder, tensors = checkpoint(tmp_path / "model", SUMMARY, prefix="pretrained_model.model.")
    expected = last(folder, tensors, "v_head.summary", key_mapping={r"^pretrained_model\.": ""})
    assert rewards(folder)[0] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("file", ["value_head.safetensors", "value_head.bin", "pytorch_model.bin"])
def test_a_value_head_beside_an_adapter(tmp_path, file):
    """The adapter was trained within a causal language model, and changes the scores; the base's own head gives way."""
    import peft

    base, _ = checkpoint(
        tmp_path / "base", {name: np.zeros(shape, "f") for name, shape in SUMMARY.items()}, lm_head=True
    )
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    settings = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM", init_lora_weights=False)
    torch.manual_seed(0)
    adapted = peft.get_peft_model(model, settings).eval()
    adapted.save_pretrained(tmp_path / "adapter")
    _, tensors = checkpoint(tmp_path / "other", {}, extra={file: SUMMARY})
    (tmp_path / "other" / file).rename(tmp_path / "adapter" / file)
    decoder = adapted.get_base_model().model
    with torch.no_grad():
        hidden = [decoder(torch.tensor([ids])).last_hidden_state[0, -1] for ids in token_ids(base)]
    expected = [value(tensors, state, "v_head.summary") for state in hidden]
    assert rewards(base, peft=str(tmp_path / "adapter")) == [pytest.approx(expected, abs=1e-5)] * 2
    assert expected != pytest.approx(last(base, tensors, "v_head.summary"), abs=1e-2)


@pytest.mark.parametrize(("asks", "mean", "std"), [(False, 0.4, 1.7), (True, 0.4, 1.7)])
def test_openrlhf_normalizes_where_the_config_asks(tmp_path, asks, mean, std):
    """(r - mean) / std."""
    folder, tensors = checkpoint(
        tmp_path / "model", {"score.weight": (1, 32)}, architectures=["RewardModel"], normalize_reward=asks, mean=mean, std=std
    )  # fmt: skip
    expected = [(one - mean) / std if asks else one for one in last(folder, tensors, "score")]
    assert rewards(folder) == [pytest.approx(expected, abs=1e-5)] * 2


@pytest.mark.parametrize(("end", "becomes"), [("<|end|>\n\n", "<|end|>"), ("!\n", "! <|end|>")])
def test_openrlhf_reads_at_the_eos_that_ends_its_texts(tmp_path, end, becomes):
    """A newline of the template goes; EOS is put where it is not."""
    template = "{% for message in messages %}{{ message['content'] + ' ' }}{% endfor %}{{ 'END' }}"
    tokenizer = make_tokenizer(template.replace("END", end.replace("\n", "\\n")))
    folder, tensors = checkpoint(
        tmp_path / "model", {"score.weight": (1, 32)}, tokenizer=tokenizer, value_head_prefix="score"
    )
    expected = last(folder, tensors, "score", token_ids(folder, template=template.replace("END", becomes)))
    assert rewards(folder)[0] == pytest.approx(expected, abs=1e-5)


def test_athene_reads_at_the_cls_that_it_appends(task_manager, tmp_path, caplog):
    """Though its config calls it a classifier."""
    folder, tensors = checkpoint(
        tmp_path / "model", {"v_head.weight": (1, 32)}, architectures=["CustomAutoModelForSequenceClassification"],
        tokenizer=make_tokenizer(cls_token="<|system|>"),
    )  # fmt: skip
    expected = last(folder, tensors, "v_head", [[*ids, 5] for ids in token_ids(folder)])
    check(folder, task_manager, tmp_path, caplog, expected, "athene")


PADS = [{"prompt": "A?", "chosen": "One<|bos|> two.", "rejected": "One<|pad|> three, and <|pad|>so on."}, *ROWS]


@pytest.mark.parametrize(
    ("name", "head", "layer", "prefix", "pad"),
    [("starling", {"v_head.weight": (1, 32)}, "v_head", "transformer.", 0), ("mlp", MLP, "score", "model.", 2)],
)
def test_heads_that_are_read_before_the_first_pad_token(task_manager, tmp_path, caplog, name, head, layer, prefix, pad):
    """Starling's is the id 0, the MLPs' the config's; a text that has it inside is read there."""
    folder, tensors = checkpoint(
        tmp_path / "model", head, prefix=prefix, architectures=[CLASSIFIER], tokenizer=make_tokenizer(PLAIN, add_bos=False)
    )  # fmt: skip
    messages = [
        [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row[which]}]
        for row in PADS
        for which in ("chosen", "rejected")
    ]
    ids = token_ids(folder, messages)
    ends = [one.index(pad) if pad in one else len(one) for one in ids]
    found = states(folder, ids, {r"^transformer\.": ""} if prefix == "transformer." else None)
    expected = [value(tensors, hidden[end - 1], layer) for hidden, end in zip(found, ends, strict=True)]
    assert any(end < len(one) for one, end in zip(ids, ends, strict=True))
    check(folder, task_manager, tmp_path, caplog, expected, name, PADS)


@pytest.mark.parametrize(
    ("ids", "pad", "index"), [([5, 6, 7], 2, 2), ([5, 2, 7, 2], 2, 0), ([2, 5, 6], 2, 2), ([5, 6], None, 1)]
)
def test_before_the_first_pad_token(ids, pad, index):
    """The last token where there is none, or where it comes first."""
    assert before_first(ids, pad) == index


def texts(folder, form):
    """Token ids of the conversations in a format of their own."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    pairs = [(row["prompt"], row[which]) for row in ROWS for which in ("chosen", "rejected")]
    return [tokenizer(form.format(*pair))["input_ids"] for pair in pairs]


def test_ultrarm_has_a_text_of_its_own(task_manager, tmp_path, caplog):
    """Its card's; another can be asked for."""
    folder, tensors = checkpoint(
        tmp_path / "model", {"regression_head.weight": (1, 32)}, architectures=["LlamaRewardModel"]
    )
    expected = last(folder, tensors, "regression_head", texts(folder, "Human: {}\n\nAssistant: {}"))
    check(folder, task_manager, tmp_path, caplog, expected, "ultrarm")
    (tmp_path / "plain.jinja").write_text(PLAIN)
    expected = last(folder, tensors, "regression_head", texts(folder, "user: {}\nassistant: {}\n"))
    assert rewards(folder, chat_template=str(tmp_path / "plain.jinja"))[0] == pytest.approx(expected, abs=1e-5)


NORMALIZER = {
    "normalizer.mean": np.array([0.3], "f"),
    "normalizer.var": np.array([2.5], "f"),
    "normalizer.count": np.array([9]),
}


@pytest.mark.parametrize(
    ("tensors", "config", "of"),
    [
        ({"score_head.bias": (1,)}, {"score_type": "reward", "bias": True}, lambda r: r),
        (NORMALIZER, {"score_type": "reward", "do_normalize": True}, lambda r: (r - 0.3) / (2.5**0.5 + 1e-8)),
        (NORMALIZER, {"score_type": "cost", "do_normalize": True, "var": [7.0]}, lambda r: -r / (2.5**0.5 + 1e-8)),
        ({}, {"do_normalize": True, "mean": [0.1], "var": [4.0]}, lambda r: (r - 0.1) / (2 + 1e-8)),
        ({}, {"score_type": "critic", "do_normalize": True, "mean": [0.1]}, lambda r: r),
        (NORMALIZER, {"score_type": "cost", "do_normalize": False}, lambda r: -r),
    ],
)
def test_beaver(task_manager, tmp_path, caplog, tensors, config, of):
    """Its own text; normalized where the config says so, by the checkpoint's numbers before the config's; a cost is negated."""
    head = {"score_head.weight": (1, 32), **tensors}
    folder, tensors = checkpoint(tmp_path / "model", head, architectures=["LlamaForScore"], **config)
    ids = texts(folder, "BEGINNING OF CONVERSATION: USER: {} ASSISTANT:{}<|end|>")
    expected = [of(one) for one in last(folder, tensors, "score_head", ids)]
    if config.get("score_type") == "cost":
        check(folder, task_manager, tmp_path, caplog, expected, "beaver")
    else:
        assert rewards(folder) == [pytest.approx(expected, abs=1e-5)] * 2


def without(head, name, **others):
    """A head that lacks a tensor, or has another in its place."""
    return {**{key: shape for key, shape in head.items() if key != name}, **others}


@pytest.mark.parametrize(
    ("head", "config", "line"),
    [
        (without(MLP, "score.2.weight"), {}, r"no tensor score\.2\.weight in .*head to be whole; .*score\.2\.bias"),
        (
            without(without(MLP, "score.2.weight"), "score.2.bias"),
            {},
            r"no tensor score\.2\.weight in .*score\.0\.weight",
        ),
        (without(MLP, "score.0.weight"), {}, r"no tensor score\.0\.weight in .*score\.2\.bias"),
        (
            {**MLP, "score.2.weight": (2, 32)},
            {},
            r"has score\.2\.weight of the shape \(2, 32\), expected \(1, 32\).*score\.0",
        ),
        ({**MLP, "score.0.weight": (32, 30)}, {}, r"has score\.0\.weight of the shape \(32, 30\), expected \(32, 32\)"),
        ({**MLP, "score.0.bias": (30,)}, {}, r"has score\.0\.bias of the shape \(30,\), expected \(32,\)"),
        (without(SUMMARY, "v_head.summary.bias"), {}, r"no tensor v_head\.summary\.bias in .*v_head\.summary\.weight"),
        (
            without(GRM, "v_head.summary.2.weight"),
            {},
            r"no tensor v_head\.summary\.2\.weight in .*v_head\.summary\.0\.bias",
        ),
        ({"v_head.weight": (2, 32)}, {"architectures": [CLASSIFIER]}, r"has v_head\.weight of the shape \(2, 32\)"),
        (
            SUMMARY,
            {"vhead_layer_type": "mlp", "vhead_num_layers": 1},
            r"found 1 layers of v_head\.summary.*expected 2: config",
        ),
        (
            {"regression_head.weight": (1, 30)},
            {},
            r"has regression_head\.weight of the shape \(1, 30\), expected \(1, 32\)",
        ),
        ({"score.weight": (1, 32)}, {"value_head_prefix": "value"}, r"no tensor value\.weight in .*score\.weight"),
        (
            {"score.weight": (1, 32)},
            {"value_head_prefix": "score", "normalize_reward": True, "mean": 0.4},
            r"found normalize_reward with mean 0\.4 and std None in config\.json of",
        ),
        ({"score_head.weight": (1, 32)}, {"bias": True}, r"no tensor score_head\.bias in .*score_head\.weight"),
        ({"score_head.weight": (1, 32)}, {"score_type": "worth"}, r"found score_type 'worth' in config\.json of"),
        ({"score_head.weight": (1, 32)}, {"var": [1.0, 2.0]}, r"found var \[1\.0, 2\.0\] of the normalizer of"),
    ],
)
def test_what_is_not_whole_is_one_line(tmp_path, monkeypatch, head, config, line):
    """With the tensors that there are, before the decoder is loaded."""
    monkeypatch.setattr(transformers.AutoModel, "from_pretrained", None)
    folder, _ = checkpoint(tmp_path / "model", head, **config)
    with pytest.raises(UserError, match=line) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("head", "architecture"),
    [(SUMMARY, "Qwen2ForPrmModel"), ({**MLP, "score.2.weight": (2, 32)}, "Qwen2ForProcessRewardModel")],
)
def test_step_models_are_left_to_others(tmp_path, head, architecture):
    """By the class that their config names; the tensors are the same."""
    folder, _ = checkpoint(tmp_path / "model", head, architectures=[architecture])
    found = Checkpoint(folder, transformers.AutoConfig.from_pretrained(folder), folder)
    assert found.architectures == [architecture]
    ours = [one.family for one in plugins.registered() if isinstance(one.family, (ValueHead, Classifier))]
    assert len(ours) > 8
    assert not [family.name for family in ours if family.answers(found)]

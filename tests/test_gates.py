"""Heads with a gate (ArmoRM, QRM, LDL-Reward, URM) through the harness, against forward passes written out here."""

import pytest
import torch
import transformers
from conftest import ASSETS, make_tokenizer, needs_assets
from families import by_tree_and_padded, conversations, states, token_ids
from rewards import load
from tiny_checkpoints import arrays, decoder, write
from torch.nn import functional

from skywork_rb_plugin import UserError

# the end of a prompt, and templates that have it
ENDS = {
    "llama": "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    "gemma2": "<end_of_turn>\n<start_of_turn>model\n",
}
TEMPLATES = {
    "llama": "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content }}"
    "<|eot_id|>{% endfor %}",
    "gemma2": "{{ bos_token }}{% for m in messages %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{{ m.content }}<end_of_turn>\n{% endfor %}",
}
OBJECTIVES, INNER = 5, 12


def tokenizer(family):
    """One with the markers of a family."""
    markers = ["<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>", "<start_of_turn>", "<end_of_turn>"]
    made = make_tokenizer(TEMPLATES[family])
    made.add_special_tokens({"additional_special_tokens": markers})
    return made


def checkpoint(folder, family, specs, without=(), files=None, prefix="model.", **config):
    """A tiny decoder with tensors of these shapes beside it; returns its folder and these."""
    config, tensors = decoder(family, prefix=prefix, **config)
    head = arrays(specs)
    kept = {name: array for name, array in head.items() if not name.startswith(tuple(without) or "?")}
    extra = {file: arrays(inside) for file, inside in (files or {}).items()}
    write(folder, config, {**tensors, **kept}, tokenizer(family), extra)
    return str(folder), {name: torch.from_numpy(array) for name, array in head.items()}


def layer(name, shape, bias=True, scale=0.8):
    """The shapes of a linear layer, its numbers large enough for an uneven gate."""
    found = {f"{name}.weight": {"shape": shape, "scale": scale}}
    return {**found, f"{name}.bias": {"shape": shape[:1]}} if bias else found


def armorm(folder, without=(), **config):
    """ArmoRM: two hidden layers in the gate."""
    specs = {
        "regression_layer.weight": {"shape": [OBJECTIVES, 32]},
        "reward_transform_matrix": {"shape": [OBJECTIVES, OBJECTIVES]},
        "gating.logit_scale": {"shape": [1], "around": 1},
        **layer("gating.layers.0", [INNER, 32]),
        **layer("gating.layers.1", [INNER, INNER]),
        **layer("gating.layers.2", [OBJECTIVES, INNER]),
    }
    specs.update(config.pop("specs", {}))
    settings = {
        "architectures": ["LlamaForRewardModelWithGating"], "gating_temperature": 0.5, "gating_n_hidden": 2,
        "auto_map": {"AutoModelForSequenceClassification": "modeling_custom.LlamaForRewardModelWithGating"},
        "id2label": {"0": "LABEL_0"}, **config,
    }  # fmt: skip
    return checkpoint(folder, "llama", specs, without, **settings)


def qrm(folder):
    """QRM-Gemma-2: three quantiles, no transform; its gate has batch norms and, but for the last, dropouts after them."""
    norm = {"running_var": {"shape": [INNER], "around": 1}, "num_batches_tracked": {"shape": [], "dtype": "int64"}}
    norm.update({key: {"shape": [INNER]} for key in ("weight", "bias", "running_mean")})
    specs = {
        "regression_layer.weight": {"shape": [OBJECTIVES * 3, 32]},
        "gating.logit_scale": {"shape": [1], "around": 1},
        **layer("gating.layers.0", [INNER, 32], bias=False),
        **layer("gating.layers.4", [INNER, INNER], bias=False),
        **layer("gating.layers.7", [OBJECTIVES, INNER]),
        **{f"gating.layers.{i}.{key}": spec for i in (2, 6) for key, spec in norm.items()},
    }
    settings = {"num_quantiles": 3, "gating_temperature": 0.5, "gating_n_hidden": 2}
    return checkpoint(folder, "gemma2", specs, architectures=["Gemma2ForSequenceClassification"], **settings)


def prompt_ends(folder, family):
    """Of each conversation's token ids the place where the prompt ends: the template puts it after one user message."""
    chosen = transformers.AutoTokenizer.from_pretrained(folder)
    end = len(chosen.encode(ENDS[family], add_special_tokens=False))
    starts = [
        chosen.apply_chat_template(messages[:1], tokenize=False)
        + {"llama": ENDS["llama"].removeprefix("<|eot_id|>"), "gemma2": "<start_of_turn>model\n"}[family]
        for messages in conversations()
    ]
    return [len(chosen(text, add_special_tokens=False)["input_ids"]) - end for text in starts]


def test_armorm(task_manager, tmp_path, caplog):
    """Objectives at the last token, through the transform, times the gate where the prompt ends."""
    folder, head = armorm(tmp_path / "model")
    expected = []
    for hidden, end in zip(states(folder, token_ids(folder)), prompt_ends(folder, "llama"), strict=True):
        gate = hidden[end]
        for i in (0, 1):
            gate = functional.relu(head[f"gating.layers.{i}.weight"] @ gate + head[f"gating.layers.{i}.bias"])
        gate = head["gating.layers.2.weight"] @ gate + head["gating.layers.2.bias"]
        gate = torch.softmax(gate / 0.5, 0) * head["gating.logit_scale"][0]
        rewards = head["regression_layer.weight"] @ hidden[-1]
        expected.append(float(gate @ (rewards @ head["reward_transform_matrix"])))
    by_tree, padded, info = by_tree_and_padded(folder, task_manager, tmp_path)
    assert by_tree == pytest.approx(expected, abs=1e-5)
    assert padded == pytest.approx(expected, abs=1e-5)
    assert info["head"] == "5 objectives, gated"
    assert "would too" not in caplog.text
    assert "does not read" not in caplog.text


def test_qrm(task_manager, tmp_path):
    """The mean of each objective's quantiles; batch norms by their running statistics."""
    folder, head = qrm(tmp_path / "model")
    expected = []
    for hidden, end in zip(states(folder, token_ids(folder)), prompt_ends(folder, "gemma2"), strict=True):
        gate = hidden[end]
        for linear, norm in ((0, 2), (4, 6)):
            gate = functional.relu(head[f"gating.layers.{linear}.weight"] @ gate)
            mean, var, weight, bias = (
                head[f"gating.layers.{norm}.{key}"] for key in ("running_mean", "running_var", "weight", "bias")
            )
            gate = (gate - mean) / torch.sqrt(var + 1e-5) * weight + bias
        gate = head["gating.layers.7.weight"] @ gate + head["gating.layers.7.bias"]
        gate = torch.softmax(gate / 0.5, 0) * head["gating.logit_scale"][0]
        rewards = (head["regression_layer.weight"] @ hidden[-1]).reshape(OBJECTIVES, 3).mean(1)
        expected.append(float(gate @ rewards))
    by_tree, padded, info = by_tree_and_padded(folder, task_manager, tmp_path)
    assert by_tree == pytest.approx(expected, abs=1e-5)
    assert padded == pytest.approx(expected, abs=1e-5)
    assert info["head"] == "5 objectives of 3 quantiles, gated"


def ldl_files():
    """The shapes in LDL's two files: three objectives of ten levels."""
    shapes = {
        "regression_layer.pt": {"0": [INNER, 32], "2": [INNER, INNER], "4": [30, INNER]},
        "gating_layer.pt": {"0": [INNER, 32], "3": [INNER, INNER], "6": [3, INNER]},
    }
    return {
        file: {key: spec for place, shape in layers.items() for key, spec in layer(f"network.{place}", shape).items()}
        for file, layers in shapes.items()
    }


def ldl(folder, **files):
    """LDL-Reward: a bare Gemma-2 whose head is two files beside it."""
    return checkpoint(
        folder, "gemma2", {}, files={**ldl_files(), **files}, prefix="", architectures=["LDLRewardModel27B"]
    )[0]


def test_ldl(task_manager, tmp_path):
    """The mean of the mixture of distributions, both networks at the last token."""
    folder = ldl(tmp_path / "model")
    files = {
        file: {key: torch.from_numpy(array) for key, array in arrays(specs).items()}
        for file, specs in ldl_files().items()
    }

    def through(file, hidden):
        *inner, last = sorted(files[file], key=lambda key: (int(key.split(".")[1]), key))[1::2]
        for name in inner:
            hidden = functional.leaky_relu(
                files[file][name] @ hidden + files[file][name.replace("weight", "bias")], 0.01
            )
        return files[file][last] @ hidden + files[file][last.replace("weight", "bias")]

    expected = []
    for hidden in states(folder, token_ids(folder)):
        distributions = torch.softmax(through("regression_layer.pt", hidden[-1]).reshape(3, 10), 1)
        mixture = through("gating_layer.pt", hidden[-1]) @ distributions
        expected.append(sum(float(mixture[i]) * i / 9 for i in range(10)))
    by_tree, padded, info = by_tree_and_padded(folder, task_manager, tmp_path)
    assert by_tree == pytest.approx(expected, abs=1e-5)
    assert padded == pytest.approx(expected, abs=1e-5)
    assert info["head"] == "3 distributions, gated"


def urm(folder, **specs):
    """URM: means and spreads of five attributes take turns."""
    shapes = {
        "score.weight": {"shape": [2 * OBJECTIVES, 32]},
        **layer("weights.fc.0", [32, 32], scale=0.2),
        **layer("weights.fc.2", [32, 32], scale=0.2),
        **layer("weights.fc.4", [OBJECTIVES, 32], scale=0.2),
    }
    name = "LlamaForSequenceClassificationWithNormal_Weights"
    return checkpoint(
        folder, "llama", {**shapes, **specs}, architectures=[name], num_labels=10,
        auto_map={"AutoModelForSequenceClassification": f"modeling.{name}"},
    )  # fmt: skip


def test_urm(task_manager, tmp_path, caplog):
    """The means alone, weighed by a network of SELUs; its own code is not needed."""
    folder, head = urm(tmp_path / "model")
    expected = []
    for hidden in states(folder, token_ids(folder)):
        gate = hidden[-1]
        for i in (0, 2):
            gate = functional.selu(head[f"weights.fc.{i}.weight"] @ gate + head[f"weights.fc.{i}.bias"])
        gate = head["weights.fc.4.weight"] @ gate + head["weights.fc.4.bias"]
        expected.append(float((head["score.weight"] @ hidden[-1])[0::2] @ gate))
    by_tree, padded, info = by_tree_and_padded(folder, task_manager, tmp_path)
    assert by_tree == pytest.approx(expected, abs=1e-5)
    assert padded == pytest.approx(expected, abs=1e-5)
    assert info["head"] == "means of 5 attributes, gated"
    assert "would too" not in caplog.text


@needs_assets
def test_prompts_end_in_the_tokens_that_the_models_know():
    """Of the real tokenizers, as RLHFlow/RLHF-Reward-Modeling's armo-rm/stage-2_prepare.py has them."""
    for family, name, ids in (
        ("llama", "llama-3.1", [128009, 128006, 78191, 128007, 271]),
        ("gemma2", "gemma-2", [107, 108, 106, 2516, 108]),
    ):
        real = transformers.AutoTokenizer.from_pretrained(ASSETS / "tokenizers" / name)
        assert real.encode(ENDS[family], add_special_tokens=False) == ids


def test_a_prompt_without_its_end_has_no_gate(tmp_path):
    """One line: of another template before anything is scored, of a cut conversation when it comes."""
    folder, _ = armorm(tmp_path / "model")
    template = tmp_path / "other.jinja"
    template.write_text("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}")
    with pytest.raises(
        UserError, match=r"^found no '<\|eot_id\|>.*' in a conversation of \d+ tokens.*leave chat_template=… and"
    ):
        load(folder, chat_template=str(template))
    model = load(folder, max_length=80)
    with pytest.raises(
        UserError, match=r"in a conversation of 80 tokens, .* or give a larger max_length=… where it was"
    ):
        model.score([("Hello", "a long response " * 20)])


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        ({"without": ["gating."]}, r"found no layer of a gate in .* beside the decoder's layers: model\.emb.*regression_"),
        ({"without": ["regression_layer"]}, r"found no tensor regression_layer\.weight in .*: gating\.logit_scale"),
        ({"without": ["gating.layers.1."]}, r"found gating\.layers\.0\.bias, .* expected 3 linear layers"),
        ({"without": ["reward_t"]}, r"found no tensor reward_transform_matrix in .* expected the head to be whole"),
        (
            {"specs": {"regression_layer.weight": {"shape": [4, 32]}}},
            r"found the shape \(4, 32\) for regression_layer\.weight in .* expected the shape \(5, 32\)",
        ),
        (
            {"specs": {"gating.layers.1.weight": {"shape": [INNER, 3]}}},
            r"found the shape \(12, 3\) for gating\.layers\.1\.weight in .* expected the shape \(any, 12\)",
        ),
        ({"num_quantiles": 2}, r"found the shape \(5, 32\) for regression_layer\.weight in .* expected the shape \(10, 32\)"),
    ],
)  # fmt: skip
def test_half_a_gate_is_one_line(tmp_path, damage, line):
    """Which names what was found, and nothing is made up."""
    folder, _ = armorm(tmp_path / "model", **damage)
    with pytest.raises(UserError, match=line) as error:
        load(folder)
    assert "\n" not in str(error.value)


def test_half_of_other_gates_is_one_line(tmp_path):
    """Likewise of LDL-Reward and URM."""
    folder = ldl(tmp_path / "ldl", **{"gating_layer.pt": {"network.0.weight": {"shape": [INNER, 32]}}})
    with pytest.raises(
        UserError, match=r"found gating_layer\.pt: network\.0\.weight of a gate in .* expected 3 linear"
    ):
        load(folder)
    folder = ldl(tmp_path / "levels", **{"gating_layer.pt": ldl_files()["regression_layer.pt"]})
    with pytest.raises(UserError, match=r"found 30 outputs of regression_layer\.pt and 30 of gating_layer\.pt"):
        load(folder)
    folder, _ = urm(tmp_path / "urm", **{"score.weight": {"shape": [OBJECTIVES, 32]}})
    with pytest.raises(
        UserError, match=r"found the shape \(5, 32\) for score\.weight in .* expected the shape \(10, 32"
    ):
        load(folder)

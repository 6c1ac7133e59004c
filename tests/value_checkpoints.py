"""For tests of value heads: tiny checkpoints with one, and what they should give."""

import pytest
import torch
import transformers
from families import ROWS, by_tree_and_padded, states, token_ids
from rewards import load, scores, user
from tiny_checkpoints import decoder, numbers, write

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


def texts(folder, form):
    """Token ids of the conversations in a format of their own."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    pairs = [(row["prompt"], row[which]) for row in ROWS for which in ("chosen", "rejected")]
    return [tokenizer(form.format(*pair))["input_ids"] for pair in pairs]

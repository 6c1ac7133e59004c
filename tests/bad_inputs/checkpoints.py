"""Checkpoints on disk: files missing, damaged, or of another model. Each is a copy of the packaged one, changed."""

import json
import shutil
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import skywork_rb_plugin as rb
from bad_inputs.case import Area, Place, line, scored
from bad_inputs.models import PAIRS

WEIGHTS = "model.safetensors"


def attempt(change: Callable[[Path], None], place: Place):
    """Copy the packaged checkpoint, change it, load it and score two conversations."""
    folder = Path(shutil.copytree(files("skywork_rb_plugin") / "demo" / "model", place.folder / "checkpoint"))
    change(folder)
    return rb.load(str(folder), device="cpu").score(PAIRS)


def without(*names: str):
    """Files that are not there."""
    return lambda folder: [(folder / name).unlink() for name in names]


def written(name: str, content: bytes | str):
    """A file of other content."""
    return lambda folder: (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


def cut(name: str, keep: int):
    """A file whose download ended early; a negative number counts from its end."""
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:keep])


def keys(name: str = "config.json", **values):
    """Keys of a JSON file changed; `...` leaves one out."""

    def change(folder):
        content = {**json.loads((folder / name).read_text()), **values}
        content = {key: value for key, value in content.items() if value is not ...}
        (folder / name).write_text(json.dumps(content))

    return change


def weights(edit: Callable[[dict], dict]):
    """Tensors, by name, changed."""

    def change(folder):
        from safetensors.torch import load_file, save_file

        save_file(edit(load_file(folder / WEIGHTS)), folder / WEIGHTS, {"format": "pt"})

    return change


def head(name: str | None):
    """The head under another name, or none."""
    return weights(
        lambda tensors: {
            new: value for old, value in tensors.items() if (new := name if old.startswith("score") else old)
        }
    )


def filled(value: float, name: str = "score.weight"):
    """A tensor of one number."""
    return weights(lambda tensors: {**tensors, name: tensors[name] * 0 + value})


def both(*changes):
    """One change after the other."""
    return lambda folder: [change(folder) for change in changes]


def nothing(folder):
    """No change."""


LANGUAGE_MODEL = keys(architectures=["LlamaForCausalLM"])
_CONFIG = {
    "nothing changed": scored(nothing),
    "no config.json": line(without("config.json"), "config.json"),
    "config.json without a byte": line(written("config.json", ""), "config.json"),
    "config.json cut off": line(cut("config.json", 100), "config.json"),
    "config.json in UTF-16": line(written("config.json", "{}".encode("utf-16")), "config.json"),
    "config.json of a list": line(written("config.json", "[]"), "config.json"),
    "config.json of null": line(written("config.json", "null"), "config.json"),
    "config.json of an empty mapping": line(written("config.json", "{}"), "model_type"),
    "config.json is a folder": line(both(without("config.json"), lambda f: (f / "config.json").mkdir()), "config.json"),
    "no model_type": line(keys(model_type=...), "model_type"),
    "an unknown model_type": line(keys(model_type="xyzzy"), "xyzzy"),
    "a model_type of another family": line(
        keys(model_type="gpt2", architectures=["GPT2ForSequenceClassification"]), "lacks"
    ),
    "a model_type without classifier": line(keys(model_type="whisper", architectures=["WhisperModel"]), "Whisper"),
    "architectures of a language model with a head": scored(LANGUAGE_MODEL),
    "no architectures": scored(keys(architectures=...)),
    "architectures of text": scored(keys(architectures="LlamaForSequenceClassification")),
    "three labels": line(
        keys(id2label={"0": "a", "1": "b", "2": "c"}, label2id={"a": 0, "b": 1, "c": 2}), "3 labels (a, b, c)"
    ),
    "labels left out": line(keys(id2label=..., label2id=...), "has 2 labels"),
    "labels of a list": line(keys(id2label=["LABEL_0"]), "config.json"),
    "no hidden_size": line(keys(hidden_size=...), "of the shape ("),
    "hidden_size of text": line(keys(hidden_size="128"), "hidden_size"),
    "hidden_size 0": line(keys(hidden_size=0), "of the shape ("),
    "a layer more": line(keys(num_hidden_layers=5), "lacks model.layers.4"),
    "a layer less": scored(keys(num_hidden_layers=3)),
    "heads that do not divide": line(keys(num_attention_heads=3), "number of attention heads (3)"),
    "num_hidden_layers 0": scored(keys(num_hidden_layers=0), "have the reward"),
    "vocab_size less than the tokenizer's": line(keys(vocab_size=300), "of the shape (1200, 128), expected (300, 128)"),
    "an unknown activation": line(keys(hidden_act="xyzzy"), "xyzzy"),
    "an unknown dtype": line(keys(dtype="float99"), "float99"),
    "pad_token_id null": scored(keys(pad_token_id=None)),
    "pad_token_id beyond the vocabulary": line(keys(pad_token_id=99999), "Padding_idx must be within"),
    "pad_token_id of text": line(keys(pad_token_id="<pad>"), "pad_token_id"),
    "pad_token_id of a list": line(keys(pad_token_id=[0]), "pad_token_id"),
    "max_position_embeddings 0": line(keys(max_position_embeddings=0), "found max_length=0"),
    "max_position_embeddings of text": line(keys(max_position_embeddings="1024"), "max_position_embeddings"),
    "an unknown kind of rope": line(keys(rope_parameters={"rope_type": "xyzzy", "rope_theta": 1.0}), "xyzzy"),
    "code of its own that is not there, and not asked for": scored(keys(auto_map={"AutoConfig": "absent.Config"})),
    "an unknown quantization": line(keys(quantization_config={"quant_method": "xyzzy"}), "xyzzy"),
    "quantization_config of text": line(keys(quantization_config="x"), "'str' object has no attribute 'to_dict'"),
}

_WEIGHTS = {
    "no weights": line(without(WEIGHTS), "model.safetensors"),
    "weights without a byte": line(written(WEIGHTS, b""), "SafetensorError: Error while deserializing header"),
    "weights cut off": line(cut(WEIGHTS, -1000), "incomplete metadata, file not fully covered"),
    "weights cut off in the header": line(cut(WEIGHTS, 100), "invalid header length"),
    "weights of text": line(written(WEIGHTS, "not weights, but a page of HTML"), "header too large"),
    "weights that are a pointer of Git LFS": line(
        written(WEIGHTS, "version https://git-lfs.github.com/spec/v1\n"), "header too large"
    ),
    "weights that are zeros": line(written(WEIGHTS, bytes(1000)), "invalid JSON in header"),
    "an index without its files": line(
        both(
            without(WEIGHTS),
            written(f"{WEIGHTS}.index.json", '{"metadata": {}, "weight_map": {"score.weight": "a.safetensors"}}'),
        ),
        "a.safetensors",
    ),
    "an index that is damaged": line(both(without(WEIGHTS), written(f"{WEIGHTS}.index.json", "{")), "JSONDecodeError"),
    "no head": line(head(None), "lacks score.weight"),
    "a head called v_head.summary": line(head("v_head.summary.weight"), "found no tensor v_head.summary.bias in"),
    "a head called value_head": line(head("value_head.weight"), "it has value_head.weight beside"),
    "a head called regression_layer": line(
        both(head("regression_layer.weight"), LANGUAGE_MODEL), "found no layer of a gate in"
    ),
    "a head called classifier": line(head("classifier.weight"), "it has classifier.weight beside"),
    "a language model's head": line(both(head("lm_head.weight"), LANGUAGE_MODEL), "found no head that reads"),
    "a head of three labels": line(
        weights(lambda t: {**t, "score.weight": t["score.weight"].repeat(3, 1)}),
        "score.weight of the shape (3, 128), expected (1, 128)",
    ),
    "a head of another size": line(
        weights(lambda t: {**t, "score.weight": t["score.weight"][:, :64].contiguous()}),
        "score.weight of the shape (1, 64), expected (1, 128)",
    ),
    "a head of zeros": scored(filled(0), "have the reward 0: is the head trained?"),
    "a head of NaN": line(filled(float("nan")), "found score nan"),
    "a head that is endless": line(filled(float("inf")), "found score nan"),
    "embeddings of NaN": line(filled(float("nan"), "model.embed_tokens.weight"), "found score nan"),
    "embeddings of zeros": scored(filled(0, "model.embed_tokens.weight"), "have the reward"),
    "one layer missing": line(
        weights(lambda t: {k: v for k, v in t.items() if "layers.2." not in k}), "lacks model.layers.2"
    ),
    "names with a beginning": line(weights(lambda t: {f"module.{k}": v for k, v in t.items()}), "lacks"),
    "a tensor more": scored(weights(lambda t: {**t, "extra.weight": t["model.norm.weight"].clone()})),
    "a head of whole numbers": scored(
        weights(lambda t: {**t, "score.weight": t["score.weight"].int()}), "have the reward 0"
    ),
}

_TOKENIZER = {
    "no tokenizer": line(without("tokenizer.json", "tokenizer_config.json"), "tokenizer"),
    "no tokenizer.json": line(without("tokenizer.json"), "tokenizer"),
    "no tokenizer_config.json": scored(without("tokenizer_config.json")),
    "tokenizer.json cut off": line(cut("tokenizer.json", 1000), "tokenizer.json"),
    "tokenizer.json without a byte": line(written("tokenizer.json", ""), "tokenizer.json"),
    "tokenizer.json of an empty mapping": line(written("tokenizer.json", "{}"), "tokenizer.json"),
    "tokenizer_config.json cut off": line(cut("tokenizer_config.json", 50), "tokenizer_config.json"),
    "tokenizer_config.json of a list": line(written("tokenizer_config.json", "[]"), "tokenizer_config.json"),
    "an unknown tokenizer_class": scored(keys("tokenizer_config.json", tokenizer_class="XyzzyTokenizer")),
    "no chat template": line(without("chat_template.jinja"), "found no chat template in the tokenizer"),
    "a chat template that is damaged": line(
        written("chat_template.jinja", "{% for %}"), "refuses a conversation with the roles"
    ),
    "a chat template without a byte": line(written("chat_template.jinja", ""), "found no chat template"),
    "a chat template in Latin-1": line(written("chat_template.jinja", b"\xe9{{ messages }}"), "chat_template.jinja"),
    "a chat template of a number": line(
        both(without("chat_template.jinja"), keys("tokenizer_config.json", chat_template=5)),
        "Can't compile non template nodes",
    ),
    "only templates of other names": line(
        both(
            without("chat_template.jinja"),
            keys("tokenizer_config.json", chat_template=[{"name": "tools", "template": "x"}]),
        ),
        "found only templates named tools",
    ),
    "no bos_token": scored(keys("tokenizer_config.json", bos_token=...)),
    "no eos_token": scored(keys("tokenizer_config.json", eos_token=...)),
    "no pad_token": scored(keys("tokenizer_config.json", pad_token=...)),
    "model_max_length 0": scored(keys("tokenizer_config.json", model_max_length=0)),
    "model_max_length of text": line(keys("tokenizer_config.json", model_max_length="x"), "model_max_length"),
    "padding_side of neither": line(keys("tokenizer_config.json", padding_side="top"), "Padding side should be"),
}

AREA = Area("checkpoints", {**_CONFIG, **_WEIGHTS, **_TOKENIZER}, attempt)

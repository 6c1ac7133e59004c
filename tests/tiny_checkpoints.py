"""Tiny decoder checkpoints with the real tensor names and config keys, the same bit for bit whatever is installed.

The numbers come from their tensor's name alone, so that a reference implementation in an environment of its own scores
the very weights that a test rebuilds. Needs numpy and safetensors; `write` also saves a tokenizer.

    config, tensors = decoder("llama", architectures=["LlamaForSequenceClassification"], num_labels=1)
    tensors["score.weight"] = numbers("score.weight", (1, 32))
    folder = write(tmp_path / "model", config, tensors)
"""

import json
import zlib
from pathlib import Path

import numpy as np

CONFIG = {
    "vocab_size": 320,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "torch_dtype": "float32",
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 2,
}
# the stem of a family's class names, and what its config has beside CONFIG
FAMILIES = {
    "llama": ("Llama", {}),
    "mistral": ("Mistral", {"sliding_window": None}),
    "gemma2": (
        "Gemma2",
        {
            "query_pre_attn_scalar": 8,
            "sliding_window": 16,
            "attn_logit_softcapping": 50.0,
            "final_logit_softcapping": 30.0,
        },
    ),
    "qwen2": ("Qwen2", {"use_sliding_window": False}),
    "qwen3": ("Qwen3", {"use_sliding_window": False}),
}


def numbers(name, shape, scale=0.2, seed=0):
    """Float32 numbers around 0 with this standard deviation, decided by the name and the seed."""
    # uniform ones from the raw stream: numpy promises to keep that, and may change how it draws normal ones
    raw = np.random.PCG64([seed, zlib.crc32(name.encode())]).random_raw(int(np.prod(shape)))
    return (scale * 3**0.5 * (raw / 2.0**63 - 1)).astype(np.float32).reshape(shape)


def decoder(model_type, prefix="model.", lm_head=False, seed=0, **config):
    """Config and tensors of a backbone whose names begin with a prefix, which does not change the numbers.

    `config` overrides or adds keys of config.json. With `lm_head`, `lm_head.weight` is there too.
    """
    stem, settings = FAMILIES[model_type]
    base = {"architectures": [stem + ("ForCausalLM" if lm_head else "Model")], "model_type": model_type}
    config = {**base, **CONFIG, **settings, **config}
    shapes = _shapes(config)
    tensors = {prefix + name: _weights(name, shape, model_type, seed) for name, shape in shapes.items()}
    if lm_head:
        tensors["lm_head.weight"] = numbers("lm_head.weight", shapes["embed_tokens.weight"], seed=seed)
    return config, tensors


def write(folder, config, tensors, tokenizer=None, extra=None):
    """Save a checkpoint; returns its folder as a string.

    The tokenizer is the caller's, or `conftest.make_tokenizer()`. `extra` is what else the folder holds, by file name:
    {"value_head.safetensors": {tensor name: array}}, a .bin or .pt of the same, or any text.
    """
    from safetensors.numpy import save_file

    if tokenizer is None:
        from conftest import make_tokenizer

        tokenizer = make_tokenizer()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    for name, content in {
        "config.json": json.dumps(config, indent=1),
        "model.safetensors": tensors,
        **(extra or {}),
    }.items():
        if isinstance(content, str):
            (folder / name).write_text(content, encoding="utf-8")
        elif name.endswith(".safetensors"):
            save_file(content, folder / name, metadata={"format": "pt"})
        else:
            import torch

            torch.save({key: torch.from_numpy(array) for key, array in content.items()}, folder / name)
    return str(folder)


def rebuild(folder, case, tokenizer=None):
    """Save the checkpoint of a case of reference/heads.json; returns its folder as a string."""
    config, tensors = decoder(**case["decoder"])
    extra = {name: arrays(specs) for name, specs in case.get("files", {}).items()}
    return write(folder, config, {**tensors, **arrays(case.get("head", {}))}, tokenizer, extra)


def arrays(specs):
    """Arrays from {tensor name: {"shape": …, "around": 0, "scale": 0.2, "dtype": "float32"}}.

    Integers are all `around`.
    """
    found = {}
    for name, spec in specs.items():
        if spec.get("dtype", "float32") == "float32":
            found[name] = numbers(name, spec["shape"], spec.get("scale", 0.2)) + np.float32(spec.get("around", 0))
        else:
            found[name] = np.full(spec["shape"], spec.get("around", 0), spec["dtype"])
    return found


def _shapes(config):
    """{tensor name: shape} of a backbone, without prefix."""
    hidden, inner, width = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    queries, keys = config["num_attention_heads"] * width, config["num_key_value_heads"] * width
    family = config["model_type"]
    layer = {
        "input_layernorm.weight": (hidden,),
        "self_attn.q_proj.weight": (queries, hidden),
        "self_attn.k_proj.weight": (keys, hidden),
        "self_attn.v_proj.weight": (keys, hidden),
        "self_attn.o_proj.weight": (hidden, queries),
        "post_attention_layernorm.weight": (hidden,),
        "mlp.gate_proj.weight": (inner, hidden),
        "mlp.up_proj.weight": (inner, hidden),
        "mlp.down_proj.weight": (hidden, inner),
    }
    if family == "gemma2":
        layer.update({f"{when}_feedforward_layernorm.weight": (hidden,) for when in ("pre", "post")})
    if family == "qwen2":
        layer.update(
            {f"self_attn.{name}_proj.bias": (size,) for name, size in zip("qkv", (queries, keys, keys), strict=True)}
        )
    if family == "qwen3":
        layer.update({f"self_attn.{name}_norm.weight": (width,) for name in "qk"})
    return {
        "embed_tokens.weight": (config["vocab_size"], hidden),
        **{f"layers.{i}.{name}": shape for i in range(config["num_hidden_layers"]) for name, shape in layer.items()},
        "norm.weight": (hidden,),
    }


def _weights(name, shape, model_type, seed):
    """A tensor's numbers; norms multiply by about 1, which Gemma-2 writes as 0."""
    array = numbers(name, shape, seed=seed)
    return array + np.float32(1) if name.endswith("norm.weight") and model_type != "gemma2" else array

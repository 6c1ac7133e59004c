"""Tiny checkpoints of encoders and of models that compare two responses, the same bit for bit whatever is installed.

Config keys and tensor names are the published ones; shapes come from transformers' own classes, numbers from
`tiny_checkpoints.numbers`.
"""

import json
import zlib

import tokenizers
import transformers
from tiny_checkpoints import decoder, numbers, write

SIZES = {
    "vocab_size": 320, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "initializer_range": 0.2, "pad_token_id": 0,
}  # fmt: skip
# as in the configs of OpenAssistant's models and of PairRM
DEBERTA = {
    "relative_attention": True, "position_biased_input": False, "position_buckets": 16, "pos_att_type": ["p2c", "c2p"],
    "share_att_key": True, "norm_rel_ebd": "layer_norm", "type_vocab_size": 0, "pooler_hidden_size": 32,
    "max_position_embeddings": 64, "max_relative_positions": -1,
}  # fmt: skip
PREFIXES = ["<|source|>", "<|candidate1|>", "<|candidate2|>"]
FLAN = {
    "vocab_size": 320, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 4,
    "feed_forward_proj": "gated-gelu", "is_gated_act": True, "dense_act_fn": "gelu_new", "is_encoder_decoder": True,
    "tie_word_embeddings": False, "decoder_start_token_id": 0, "eos_token_id": 2, "pad_token_id": 0, "n_positions": 64,
}  # fmt: skip


def pair_tokenizer(pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", types=True, single="[CLS] $A [SEP]", added=(), **settings):
    """A byte-level tokenizer that joins two texts, with a CLS and no BOS, as BERT's."""
    inner = tokenizers.Tokenizer(tokenizers.models.BPE())
    inner.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300, special_tokens=["[PAD]", "[CLS]", "[SEP]", "[UNK]"], show_progress=False,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    inner.train_from_iterator(["the quick brown fox answers the question"], trainer)
    inner.add_special_tokens(list(added))
    inner.post_processor = tokenizers.processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]",
        model_input_names=["input_ids", *["token_type_ids"] * types, "attention_mask"], **settings,
    )  # fmt: skip


def pairrm(folder, files=None):
    """DebertaV2PairRM, as PairRM-hf and Better-PairRM store it."""
    tokenizer = pair_tokenizer(added=PREFIXES)
    ids = tokenizer.convert_tokens_to_ids(PREFIXES)
    config = {
        **SIZES, **DEBERTA, "model_type": "deberta-v2", "architectures": ["DebertaV2PairRM"], "n_tasks": 1,
        "drop_out": 0.05, "source_prefix_id": ids[0], "cand1_prefix_id": ids[1], "cand2_prefix_id": ids[2],
        "cand_prefix_id": ids[2] + 1, "sep_token_id": 2, "torch_dtype": "float32",
    }  # fmt: skip
    backbone = transformers.DebertaV2Model(transformers.DebertaV2Config(**SIZES, **DEBERTA))
    tensors = _tensors(backbone, "pretrained_model.")
    for name, shape in {"1.weight": (32, 64), "1.bias": (32,), "4.weight": (1, 32), "4.bias": (1,)}.items():
        tensors[f"head_layer.{name}"] = numbers(f"head_layer.{name}", shape)
    return write(folder, config, {**tensors, **(files or {})}, tokenizer)


def steamshp(folder, tied=False):
    """A gated T5 with a head of its own, as SteamSHP-flan-t5; or with its embeddings for one."""
    settings = {**FLAN, "tie_word_embeddings": tied}
    model = transformers.T5ForConditionalGeneration(transformers.T5Config(**settings))
    config = {**settings, "model_type": "t5", "architectures": ["T5ForConditionalGeneration"], "torch_dtype": "float32"}
    shared = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", *["lm_head.weight"] * tied)
    tensors = {name: array for name, array in _tensors(model).items() if name not in shared}
    return write(folder, config, tensors, pair_tokenizer(single="$A [SEP]", types=False))


def pair_preference(folder, family="llama", tied=False, **config):
    """A language model with a chat template."""
    config, tensors = decoder(family, lm_head=not tied, **{"tie_word_embeddings": tied, **config})
    config["architectures"] = [config["architectures"][0].replace("Model", "ForCausalLM")]
    return write(folder, config, tensors)


def digest(ids):
    """How many token ids there are, and their checksum."""
    return [len(ids), zlib.crc32(json.dumps(list(ids)).encode())]


def _tensors(model, prefix=""):
    """A model's tensors by name, with numbers of their own; norms multiply by about 1."""
    found = {}
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            array = numbers(name, tuple(tensor.shape))
            is_norm = "norm" in name.lower() and name.endswith("weight")
            found[prefix + name] = array + 1 if is_norm else array
    return found

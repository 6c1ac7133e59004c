"""Log-probabilities of next tokens: what models do to their logits, and that never all of these exist at once."""

import pytest
import torch
import transformers
from conftest import make_tokenizer
from families import conversations
from tiny_checkpoints import decoder, write

import skywork_rb_plugin as rb
from skywork_rb_plugin import UserError
from skywork_rb_plugin.heads.policy import NextTokens

SHAPE = {
    "vocab_size": 320, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "initializer_range": 0.3, "pad_token_id": 2, "bos_token_id": 0, "eos_token_id": 1,
}  # fmt: skip


def model_of(name, **config):
    """A random language model of a family."""
    torch.manual_seed(0)
    model = getattr(transformers, f"{name}ForCausalLM")(
        getattr(transformers, f"{name}Config")(**SHAPE, **config)
    ).eval()
    model.name_or_path = "tiny"
    return model


def score(model, **options):
    """Rewards of three pairs, by the sum."""
    loaded = rb.load(model, model="hf-dpo", tokenizer=make_tokenizer(), ref_free_type="sum", **options)
    return loaded.score(conversations()), loaded


def by_hand(model, renderer):
    """The same from the model's own logits."""
    found = []
    for ids in renderer.encode(renderer.render_all(conversations())):
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
        found.append(sum(logits[i - 1, ids[i]].item() for i in range(ids.marks[0], len(ids))))
    return found


@pytest.mark.parametrize(
    ("name", "config"),
    [
        # transformers 4 would take sdpa, which has no soft-capping
        (
            "Gemma2",
            {
                "final_logit_softcapping": 3.0,
                "head_dim": 8,
                "query_pre_attn_scalar": 8,
                "attn_implementation": "eager",
            },
        ),
        ("Granite", {"logits_scaling": 4.0}),
        ("Cohere", {"logit_scale": 0.25}),
        ("Phi", {}),  # its lm_head has a bias
    ],
)
def test_what_models_do_to_their_logits(name, config):
    """Soft caps, scales and biases are those of the model."""
    model = model_of(name, **config)
    if getattr(model.lm_head, "bias", None) is not None:
        torch.nn.init.normal_(model.lm_head.bias)
    found, loaded = score(model)
    assert found == pytest.approx(by_hand(model, loaded.renderer), abs=6e-5)
    assert loaded.scorer.name == "tree"


def test_a_model_that_does_more_to_its_logits_is_refused():
    """Its own forward knows."""
    model = model_of("Llama")
    model.register_forward_hook(lambda module, inputs, output: setattr(output, "logits", output.logits * 2))
    with pytest.raises(
        UserError, match=r"logits of LlamaForCausalLM are more than its lm_head .* differ by [\d.]+; expec"
    ):
        score(model)


def test_the_logits_of_all_tokens_never_exist_at_once():
    """Ten at a time here; the numbers are the same."""
    model = model_of("Llama")
    hidden, targets = torch.randn(34, 32), torch.arange(34) * 9
    expected = NextTokens(model)(hidden, targets)
    sizes = []
    model.lm_head.register_forward_hook(lambda module, inputs, output: sizes.append(len(output)))
    found = NextTokens(model, bytes_at_once=10 * 4 * 320)(hidden, targets)
    assert sizes == [10, 10, 10, 4]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    logits = model.lm_head(hidden).log_softmax(-1)
    torch.testing.assert_close(found[:, 0], logits[torch.arange(34), targets], rtol=0, atol=1e-5)


def test_each_node_and_next_token_is_computed_once():
    """What conversations share costs the vocabulary once, as it costs the layers once."""
    model, sizes = model_of("Llama"), []
    _, loaded = score(model, device="cpu")
    model.lm_head.register_forward_hook(lambda module, inputs, output: sizes.append(len(output)))
    loaded.score(conversations())
    sequences = loaded.renderer.encode(loaded.renderer.render_all(conversations()))
    asked = {ids[: i + 1] for ids in map(tuple, sequences) for i in range(len(ids))}
    prompts = {tuple(ids[: n + 1]) for ids in sequences for n in range(ids.marks[0])}
    assert sum(sizes) == len(asked - prompts)


@pytest.mark.parametrize(
    ("architecture", "tensor", "line"),
    [
        (
            "LlamaForSequenceClassification",
            "score.weight",
            r"found .*m \(LlamaForSeq.*\), expected a causal language model,",
        ),
        (
            "LlamaForSomething",
            "score.weight",
            r"m lacks lm_head.weight \(LlamaForSomething\).* \(it has score.weight beside",
        ),
    ],
)
def test_reward_models_are_no_policies(tmp_path, architecture, tensor, line):
    """Nor references: both are told before weights are made up."""
    config, tensors = decoder("llama", architectures=[architecture])
    tensors[tensor] = tensors["model.embed_tokens.weight"][:1]
    folder = write(tmp_path / "m", config, tensors)
    config, tensors = decoder("llama", lm_head=True)
    sound = write(tmp_path / "sound", config, tensors)
    for options in ({"pretrained": folder}, {"pretrained": sound, "ref_model": folder}):
        with pytest.raises(UserError, match=line):
            rb.load(**options, model="hf-dpo", device="cpu")

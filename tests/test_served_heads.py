"""api-reward: each head gets from a server's model what hf-reward gives it, or a line that says it can't."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import transformers
from conftest import TEMPLATE, make_model, make_tokenizer
from servers.faults import changed
from servers.stand_in import RewardServer, running
from test_api_reward import load, number
from value_checkpoints import MLP, checkpoint

import skywork_rb_plugin as rb
from skywork_rb_plugin import UserError
from skywork_rb_plugin.models import served_heads
from skywork_rb_plugin.models.served_heads import served_head

PAIRS = [("Question?", f"answer {i} " * (i + 1)) for i in range(4)]


def configured(folder, **settings):
    """The folder with other values in its config.json; None takes one out."""
    file = Path(folder) / "config.json"
    config = {**json.loads(file.read_text()), **settings}
    file.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))
    return str(folder)


def at_the_end(folder):
    """What a server computes: the layer `score` at the last token that it is sent, whatever token that is."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder, attn_implementation="eager", num_labels=1
    ).eval()

    @torch.inference_mode()
    def score(ids):
        return [model.score(model.model(torch.tensor([one])).last_hidden_state[0, -1]).item() for one in ids]

    return score


@pytest.mark.parametrize("protocol", ["openrlhf", "vllm-classify"])
def test_a_checkpoint_of_openrlhf_ends_in_eos(protocol, tmp_path):
    """Also where its template ends in a newline, as ChatML does."""
    tokenizer = make_tokenizer(template=TEMPLATE.replace("<|end|>{% endfor %}", "<|end|>\n{% endfor %}"))
    folder = make_model(tmp_path, tokenizer=tokenizer)
    configured(folder, value_head_prefix="score", architectures=["LlamaForCausalLM"])
    hf = rb.load(folder, device="cpu", attn_implementation="eager")
    assert hf.head_name().startswith("openrlhf")
    with running(RewardServer(at_the_end(folder), protocol, tokenizer, root=folder)) as served:
        model = load(served, pretrained=folder)
        assert model.score(PAIRS) == pytest.approx(hf.score(PAIRS), abs=1e-5)
        assert {one[-1] for sent in served.sent[1:] for one in sent} == {tokenizer.eos_token_id}
        # without a config, what OpenRLHF's own server reads is taken to be trained so
        assert load(served, tokenizer=folder).score(PAIRS) == model.score(PAIRS)
        configured(folder, normalize_reward=True, mean=0.5, std=2.0)
        if protocol == "openrlhf":
            assert load(served, pretrained=folder).score(PAIRS) == model.score(PAIRS)
        else:
            with pytest.raises(UserError, match="with normalize_reward, which servers but OpenRLHF's own leave out"):
                load(served)


def test_what_ends_in_the_pad_token_is_read_before_it(tmp_path, caplog):
    """As hf-reward does; where no config says which token it is, that is said."""
    tokenizer = make_tokenizer(pad="<|end|>")
    folder = make_model(tmp_path, tokenizer=tokenizer)
    hf = rb.load(folder, device="cpu", attn_implementation="eager")
    for protocol in ("sglang", "openrlhf"):
        with running(RewardServer(at_the_end(folder), protocol, tokenizer, root=folder)) as served:
            assert load(served, pretrained=folder).score(PAIRS) == pytest.approx(hf.score(PAIRS), abs=1e-5)
            assert tokenizer.pad_token_id not in {one[-1] for sent in served.sent[1:] for one in sent}
    assert "end in the pad token" not in caplog.text
    with running(RewardServer(number)) as served:
        load(served, tokenizer=folder)
    assert "Conversations end in the pad token '<|end|>', at which the server reads them" in caplog.text


def test_an_mlp_is_read_before_the_first_pad_token(tmp_path):
    """By servers of token ids; OpenRLHF's has no such head."""
    folder, _ = checkpoint(tmp_path / "mlp", MLP)
    head = served_head(folder, None, False, "vllm-pooling", False)
    assert (head.name, head.last([5, 6, head.pad_id, 7, 8])) == ("mlp", 1)
    with pytest.raises(UserError, match=r"read by the head mlp, of which a server by openrlhf does not give"):
        served_head(folder, None, False, "openrlhf", True)


def test_other_heads_are_for_hf_reward(tmp_path, folder):
    """Those that want tokens, marks or a format of their own, and what is no reward model at all."""
    steps = configured(
        make_model(tmp_path / "steps", "qwen-3"),
        architectures=["Qwen3ForTokenClassification"],
        id2label=None,
        label2id=None,
    )
    grm, _ = checkpoint(tmp_path / "v", {"v_head.summary.weight": (1, 32), "v_head.summary.bias": (1,)})
    policy = make_model(tmp_path / "policy", classifier=False)
    for place, says in (
        (steps, r"read by the head token-classifier, of which a server by .* expected --model hf-reward for it"),
        (grm, r"read by the head v-head, .* expected --model hf-reward for it"),
        (policy, "found no head that reads"),
    ):
        with running(RewardServer(number, root=place)) as served, pytest.raises(UserError, match=says):
            load(served)
    # an embedding model under the name of a classifier
    wide = changed(lambda content: [one.update(probs=[0.5] * 768) for one in content["data"]])
    with running(RewardServer(number, root=folder, fault=wide)) as served:
        with pytest.raises(
            UserError, match="found 768 numbers for each conversation, expected at most the 1 labels of"
        ):
            load(served, label=0)
        # what is sent is checked by the model's own vocabulary
        configured(tmp_path / "policy", vocab_size=4, architectures=["LlamaForSequenceClassification"])
        with pytest.raises(UserError, match="expected less than 4, which"):
            load(served, pretrained=policy)


@pytest.fixture(scope="module")
def folder(models):
    """A classifier."""
    return models["llama-3.1"]


def test_a_head_that_is_not_known_is_said(folder, caplog, monkeypatch, tmp_path):
    """Without a config, or with one of an unknown kind whose tensors can't be listed; no weights are fetched for that."""
    with running(RewardServer(number)) as served:
        assert load(served, tokenizer=folder).identity()["head"] == "None"
    assert "no config of it was found under org/tiny, which pretrained=… would bring" in caplog.text
    caplog.clear()
    strange = configured(make_model(tmp_path), architectures=["LlamaForRewards"])
    listed, real = [], served_heads.Path
    monkeypatch.setattr(served_heads, "Path", lambda path: SimpleNamespace(is_dir=lambda: False))  # as of the hub
    monkeypatch.setattr(served_heads.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(
        served_heads,
        "get_safetensors_metadata",
        lambda name, revision: listed.append(name) or SimpleNamespace(weight_map={"score.weight": "model.safetensors"}),
    )
    assert served_head(strange, None, False, "sglang", False).name == "classifier"
    assert listed == [strange]

    def fails(name, revision):
        raise OSError("no connection")

    monkeypatch.setattr(served_heads, "get_safetensors_metadata", fails)
    assert served_head(strange, None, False, "sglang", False).name is None
    assert "Which head the served model has is not known: conversations are sent" in caplog.text
    assert real(strange).is_dir()

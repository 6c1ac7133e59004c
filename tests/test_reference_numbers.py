"""What tests/reference rebuilds is what the reference implementations scored, on the transformers installed here."""

import json
from pathlib import Path

import pytest
import torch
import transformers
from conftest import make_tokenizer
from tiny_checkpoints import arrays, decoder, rebuild, write

FOLDER = Path(__file__).parent / "reference"
HEADS = json.loads((FOLDER / "heads.json").read_text())
DPO = json.loads((FOLDER / "dpo.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["grm-linear", "openrlhf", "beaver-reward", "starling", "ultrarm"])
def test_one_layer_at_the_last_token_gives_the_reference_rewards(tmp_path, name):
    """Heads of one layer, on the rebuilt backbone."""
    case = HEADS["cases"][name]
    backbone = transformers.AutoModel.from_pretrained(
        rebuild(tmp_path, case), attn_implementation="eager", key_mapping={"^transformer\\.": "model."}
    )
    head = {part: torch.from_numpy(array) for part, array in arrays(case["head"]).items() if "norm" not in part}
    weight, *bias = head.values()
    for ids, reward in zip(HEADS["sequences"][case["sequences"]], case["rewards"], strict=True):
        with torch.no_grad():
            last = backbone(torch.tensor([ids])).last_hidden_state[0, -1]
        assert float(weight @ last + sum(bias)) == pytest.approx(reward, abs=1e-5)


@pytest.mark.parametrize("side", ["chosen", "rejected"])
def test_log_probabilities_of_rebuilt_policies_are_the_reference_ones(tmp_path, side):
    """BOS, rendered prompt and response, EOS, as make_dpo.py says; the response's sum under policy and reference."""
    case, tokenizer, sums = DPO["cases"]["tiny pairs"], make_tokenizer(), {}
    for name, seed in case["seeds"].items():
        folder = write(tmp_path / name, *decoder(seed=seed, **case["decoder"]))
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager")
        sums[name] = []
        for row, prompt_tokens, tokens in zip(
            DPO["pairs"], case["tokens"]["prompt"], case["tokens"][side], strict=True
        ):
            prompt = row["prompt"] if isinstance(row["prompt"], list) else [{"role": "user", "content": row["prompt"]}]
            whole = [*prompt, {"role": "assistant", "content": row[side]}]
            text = tokenizer.apply_chat_template(whole, tokenize=False)
            ids = [0, *tokenizer.encode(text, add_special_tokens=False), 1]
            assert len(ids) == prompt_tokens + tokens
            with torch.no_grad():
                logs = model(torch.tensor([ids])).logits[0].log_softmax(-1)
            sums[name].append(sum(float(logs[i - 1, ids[i]]) for i in range(prompt_tokens, len(ids))))
    assert sums["policy"] == pytest.approx(case["rewards"]["sum"][side], abs=1e-3)
    difference = [policy - reference for policy, reference in zip(*sums.values(), strict=True)]
    assert difference == pytest.approx(case["rewards"]["reference"][side], abs=1e-3)

"""Value heads whose conversations have a text or an end of their own."""

import numpy as np
import pytest
from conftest import make_tokenizer
from families import token_ids
from value_checkpoints import PLAIN, check, checkpoint, last, rewards, texts
from wheels import ROOT


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
    """Though its config calls it a classifier; two BOS, as in its card's pipeline."""
    folder, tensors = checkpoint(
        tmp_path / "model", {"v_head.weight": (1, 32)}, architectures=["CustomAutoModelForSequenceClassification"],
        tokenizer=make_tokenizer(cls_token="<|system|>"),
    )  # fmt: skip
    expected = last(folder, tensors, "v_head", [[*ids, 5] for ids in token_ids(folder, one_bos=False)])
    check(folder, task_manager, tmp_path, caplog, expected, "athene")


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


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("beaver", "BEGINNING OF CONVERSATION: USER: Why? ASSISTANT: So. USER: Oh ASSISTANT: Yes <|end|>"),
        ("ultrarm", "User: Why?\n\nAssistant: So.\n\nUser: Oh\n\nAssistant: Yes\n\n<|end|>"),
    ],
)
def test_the_texts_of_reward_bench_are_at_hand(name, text):
    """Its conversations `pku-align` and `openbmb` (rewardbench/chattemplates.py), with an EOS (scripts/run_rm.py)."""
    template = (ROOT / "examples" / "templates" / f"{name}-reward-bench.jinja").read_text(encoding="utf-8")
    turns = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]
    messages = [*turns, {"role": "user", "content": "Oh"}, {"role": "assistant", "content": "Yes"}]
    assert make_tokenizer(template).apply_chat_template(messages, tokenize=False) == text

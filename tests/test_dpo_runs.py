"""Runs of hf-dpo that end early or badly: what the cache keeps, what is refused, and when."""

import math

import pytest
import torch
from conftest import make_tokenizer, preference_task
from families import ROWS, conversations
from rewards import requests, user
from tiny_checkpoints import decoder, write

import skywork_rb_plugin as rb
from skywork_rb_plugin import UserError
from skywork_rb_plugin.models.hf_dpo import HFDPO
from skywork_rb_plugin.models.score_cache import PolicyScores


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A policy and a reference."""
    root = tmp_path_factory.mktemp("policies")
    return [write(root / f"llama{seed}", *decoder("llama", lm_head=True, seed=seed)) for seed in (0, 1)]


def load(policy, **options):
    """The model as the command line makes it."""
    return rb.load(str(policy), model="hf-dpo", **{"device": "cpu", "batch_size": 4, **options})


@pytest.mark.parametrize("both", [True, False])
def test_a_run_killed_before_the_reference_goes_on_with_it(folders, task_manager, tmp_path, monkeypatch, both):
    """The policy's scores are in the cache, and it is not asked again."""
    import lm_eval

    policy, reference = folders
    cache = str(tmp_path / "cache")

    def run():
        found = lm_eval.simple_evaluate(
            model="hf-dpo", model_args={"pretrained": policy, "ref_model": reference, "keep_both": both},
            tasks=[preference_task(ROWS, tmp_path)], task_manager=task_manager, device="cpu", use_cache=cache,
            log_samples=True, bootstrap_iters=0,
        )  # fmt: skip
        samples = sorted(found["samples"]["mine"], key=lambda sample: sample["doc_id"])
        return [answer[0][0] for sample in samples for answer in sample["resps"]], found["config"]["reward"]

    def killed(self):
        self._database.commit()
        self._database.close()
        raise KeyboardInterrupt

    def never(self):
        raise AssertionError("the policy is asked again")

    with monkeypatch.context() as changed:
        changed.setattr(HFDPO, "_reference_s_turn", killed)
        with pytest.raises(KeyboardInterrupt):
            run()
    with monkeypatch.context() as changed:
        changed.setattr(HFDPO, "_policy_s_turn", never)
        rewards, info = run()
    assert rewards == pytest.approx(load(policy, ref_model=reference).score(conversations()), abs=1e-6)
    assert info["conversations_scored"] == 5
    # what is done is answered by the host
    monkeypatch.setattr(HFDPO, "_reference_s_turn", never)
    assert run()[0] == rewards


def test_a_score_that_is_no_number_ends_the_run_after_all_others(folders):
    """By the policy, or by the reference alone."""
    policy, reference = folders
    for poisoned in (0, 1):
        model = load(policy, ref_model=reference)
        part = [model, model._reference][poisoned]
        with torch.no_grad():
            part.model.get_input_embeddings().weight[make_tokenizer()("Z", add_special_tokens=False).input_ids] = (
                math.nan
            )
        kept = {}
        model.cache_hook.add_partial = lambda kind, args, answer, kept=kept: kept.update({args[1]: answer[0]})
        with pytest.raises(UserError, match=r"task t, document 1, response 0: found score nan"):
            model.loglikelihood(requests([(user("One?"), ["yes", "no"]), (user("Two?"), ["Z Z", "no, never"])]))
        assert set(kept) == {"yes", "no", "no, never"}


def test_half_a_character_is_one_line_with_a_cache_too(folders):
    """The cache is asked before the tokenizer."""
    policy, reference = folders
    model = load(policy, ref_model=reference)
    model.scorer.kept = PolicyScores({})
    with pytest.raises(UserError, match=r"found half a character \(a lone surrogate\) in '.*yes .ud800"):
        model.score([("One?", "yes \ud800")])


def test_the_policy_by_another_path_is_no_reference(folders, tmp_path, monkeypatch):
    """A link, and a relative path."""
    policy, _ = folders
    (tmp_path / "link").symlink_to(policy)
    monkeypatch.chdir(policy)
    for same in (str(tmp_path / "link"), "."):
        with pytest.raises(UserError, match=r"found ref_model=.*, which is the policy itself"):
            load(policy, ref_model=same)


def test_other_tokens_are_refused_before_weights_are_loaded(folders, tmp_path):
    """A token that one of the two has more, such as a pad token, is none of them."""
    policy, _ = folders
    config, tensors = decoder("llama", lm_head=True, seed=1)
    other = make_tokenizer()
    other.add_tokens(["<|more|>"], special_tokens=True)
    assert load(policy, ref_model=write(tmp_path / "more", config, tensors, other))
    changed = make_tokenizer()
    text = changed.backend_tokenizer.to_str().replace('"Ġquick":', '"Ġslow":').replace('["Ġqui","ck"]', '["Ġs","low"]')
    changed = type(changed)(
        tokenizer_object=_tokenizer_of(text), bos_token="<|bos|>", eos_token="<|end|>", pad_token="<|pad|>",
        chat_template=changed.chat_template,
    )  # fmt: skip
    folder = write(tmp_path / "changed", config, tensors, changed)
    (tmp_path / "changed" / "model.safetensors").unlink()
    with pytest.raises(
        UserError, match=r"2 tokens of .*llama0 and .*changed differ, such as .*expected a reference with"
    ):
        load(policy, ref_model=folder)


def _tokenizer_of(text):
    """A tokenizer without merges, of changed text."""
    import json

    import tokenizers

    content = json.loads(text)
    content["model"]["merges"] = []
    return tokenizers.Tokenizer.from_str(json.dumps(content))


@pytest.mark.parametrize("both", [True, False])
def test_tokens_that_the_reference_does_not_know_are_refused(folders, tmp_path, both):
    """A token that was added to the policy's tokenizer and is in a conversation."""
    _, reference = folders
    tokenizer = make_tokenizer()
    tokenizer.add_tokens([f"<|new {i}|>" for i in range(60)], special_tokens=True)
    policy = write(tmp_path / "policy", *decoder("llama", lm_head=True, vocab_size=400), tokenizer)
    model = load(policy, ref_model=reference, keep_both=both)
    assert all(map(math.isfinite, model.score([("One?", "yes"), ("One?", "no")])))
    with pytest.raises(UserError, match=r"found token id 3\d\d, expected less than 320"):
        model.score([("One?", "yes <|new 58|>")])
    # the reference has a row for it, which nothing trained
    with pytest.raises(UserError, match=r"found the token '<\|new 0\|>' of .*policy \(id 291\) in a conversation"):
        model.score([("One?", "yes <|new 0|>")])
    # of what is cut neither model sees anything
    short = load(policy, ref_model=reference, keep_both=both, max_length=40)
    assert all(map(math.isfinite, short.score([("<|new 0|> One? " * 5, text) for text in ("yes " * 40, "no " * 40)])))


def test_two_beginnings_are_told(folders, caplog):
    """Once, with the option that leaves one."""
    from skywork_rb_plugin.host import warning_once

    warning_once.cache_clear()
    policy, reference = folders
    both = load(policy, ref_model=reference)
    assert caplog.text.count("begins with <|bos|>, and allenai/reward-bench puts another before it") == 1
    [ids, *_] = both.renderer.encode(both.renderer.render_all(conversations()))
    one = load(policy, ref_model=reference, add_bos_token=False)
    assert one.renderer.encode(one.renderer.render_all(conversations()))[0] == ids[1:]
    assert one.score(conversations()) != pytest.approx(both.score(conversations()), abs=1e-3)
    assert one.fingerprint() != both.fingerprint()


@pytest.mark.parametrize("both", [True, False])
def test_check_tells_how_it_is_read(folders, both):
    """`check --model hf-dpo`: the tokens before those of the response, and no problem."""
    from skywork_rb_plugin.commands.check.findings import examine

    policy, reference = folders
    found = examine(load(policy, ref_model=reference, keep_both=both))
    assert found.problems == []
    assert found.facts["tokens"]["bos"] == 2
    # the first probe: `<|end|>` of the prompt, then the assistant's header and its answer
    assert [read["token"][1] for read in found.facts["tokens"]["read"][:2]] == ["<|end|>", "<|assistant|>"]
    assert set(found.facts["rewards"]) == {"alone", "tree"}

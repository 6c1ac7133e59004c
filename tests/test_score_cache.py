"""A score cache belongs to one model under one set of settings."""

import pytest
import transformers
from conftest import TEMPLATE, make_model, make_tokenizer
from rewards import load, requests
from sqlitedict import SqliteDict

from skywork_rb_plugin import HFReward, UserError


class Hook:
    """The host's cache hook on a database of ours."""

    def __init__(self, file):
        self.dbdict = SqliteDict(str(file), autocommit=True)

    def add_partial(self, kind, args, answer):
        """Store an answer."""
        self.dbdict[repr(args)] = answer


def test_cache_of_another_model_is_refused(models, tmp_path):
    """Model, revision, dtype, template, max length and attention are part of a score."""
    load(models["llama-3.1"]).set_cache_hook(Hook(tmp_path / "a.db"))
    load(models["llama-3.1"]).set_cache_hook(Hook(tmp_path / "a.db"))
    other_template = tmp_path / "other.jinja"
    other_template.write_text(TEMPLATE + " ")
    for options, line in (
        ({"dtype": "bfloat16"}, r"was made with dtype torch.float32, this run has torch.bfloat16"),
        ({"max_length": 100}, r"was made with max length 512, this run has 100"),
        ({"attn_implementation": "eager"}, r"was made with attention prefix_tree, this run has eager"),
        ({"chat_template": str(other_template)}, r"was made with chat template \w+, this run has"),
        ({"pad_rule": "reference"}, r"was made with pad rule config, this run has reference"),
        ({"mixed_precision_dtype": "bfloat16"}, r"was made with mixed precision None, this run has torch.bfloat16"),
        ({"rms_norm_eps": 0.5}, r"was made with config \w+, this run has"),
        ({"use_fast_tokenizer": True}, r"was made with files \[\], this run has"),
    ):
        with pytest.raises(UserError, match=line):
            load(models["llama-3.1"], **options).set_cache_hook(Hook(tmp_path / "a.db"))
    with pytest.raises(UserError, match=r"a.db was made with .*; give another --use_cache path, or delete that file"):
        load(models["qwen-3"]).set_cache_hook(Hook(tmp_path / "a.db"))
    foreign = Hook(tmp_path / "b.db")
    foreign.add_partial("loglikelihood", ("a", "b"), (1.0, False))
    with pytest.raises(UserError, match="holds scores of unknown origin"):
        load(models["llama-3.1"]).set_cache_hook(foreign)


def test_retrained_weights_in_the_same_folder_are_another_model(tmp_path, monkeypatch):
    """The cache goes by the files' content, not by the folder's name."""
    folder = make_model(tmp_path / "m")
    load(folder).set_cache_hook(Hook(tmp_path / "a.db"))
    (tmp_path / "m" / "cache_rank0.db").write_text("a cache in the model's own folder changes nothing")
    load(folder).set_cache_hook(Hook(tmp_path / "a.db"))
    loaded = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    make_model(folder, initializer_range=0.1)
    with pytest.raises(UserError, match="was made with revision files"):
        load(folder).set_cache_hook(Hook(tmp_path / "a.db"))
    other = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    HFReward(pretrained=loaded, tokenizer=make_tokenizer()).set_cache_hook(Hook(tmp_path / "b.db"))
    with pytest.raises(UserError, match="was made with revision weights"):
        HFReward(pretrained=other, tokenizer=make_tokenizer()).set_cache_hook(Hook(tmp_path / "b.db"))
    # a tokenizer without a name is not the files of the working folder
    monkeypatch.chdir(folder)
    HFReward(pretrained=loaded, tokenizer=make_tokenizer()).set_cache_hook(Hook(tmp_path / "b.db"))


def test_revision_and_adapter_are_part_of_a_cache(models):
    """A hub model's commit, and the adapter on it, are in the fingerprint."""
    model = load(models["llama-3.1"])
    prints = []
    for commit, adapter in (("abc", None), ("def", None), ("abc", "some/adapter")):
        model.pretrained, model.model.config._commit_hash, model.peft = "hub/model", commit, adapter
        prints.append(model.fingerprint())
    assert prints[0]["revision"] == "abc"
    assert prints[0] != prints[1]
    assert prints[0] != prints[2]


def test_tasks_that_share_conversations_share_a_cache(models, tmp_path):
    """mt-bench-med and -hard have conversations in common: of a document, one response may be in the cache already."""
    model = load(models["llama-3.1"])
    model.set_cache_hook(Hook(tmp_path / "a.db"))
    model.loglikelihood(requests([("Q", [" yes", " no"])], task="med"))
    partly = requests([("Q", [" yes", " other"]), ("R", [" yes", " no"])], task="hard")[1:]
    assert len(model.loglikelihood(partly)) == 3


def test_resumed_document_with_one_request_left_is_scored(models, tmp_path):
    """After a kill the host asks only for what is missing; that is not a document with one continuation."""
    model = load(models["llama-3.1"])
    model.set_cache_hook(Hook(tmp_path / "a.db"))
    whole = requests([("Question?", [" yes", " no"])], task="arc")
    model.loglikelihood(whole)
    again = load(models["llama-3.1"])
    again.set_cache_hook(Hook(tmp_path / "a.db"))
    assert again.loglikelihood(whole[:1])[0][0] == pytest.approx(model.loglikelihood(whole)[0][0], abs=1e-6)
    with pytest.raises(UserError, match="found one continuation"):
        again.loglikelihood(requests([("x", [" y"])], task="lambada"))

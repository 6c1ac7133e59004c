"""api-reward: what a server's rewards come to, in each protocol, beside hf-reward's of the same checkpoint."""

import itertools
import json
import threading

import pytest
import torch
import transformers
from conftest import TEMPLATE, make_tokenizer
from lm_eval import simple_evaluate
from servers.faults import die, later
from servers.stand_in import PATHS, RewardServer, running

import skywork_rb_plugin as rb
from skywork_rb_plugin import UserError
from skywork_rb_plugin.models import api_options
from skywork_rb_plugin.models.api_reward import APIReward
from skywork_rb_plugin.rendering.as_text import TextRenderer

SYSTEM = {"role": "system", "content": "Be brief."}
PAIRS = [
    *[("Question?", text) for text in ("short", "a much longer response that goes on", "x", "Grüße, 你好 🙂")],
    *[([SYSTEM, {"role": "user", "content": "Question?"}], text) for text in ("short", "long " * 9)],
    ("Too long?", "the quick brown fox " * 60),
]
LENGTH = 120


def number(ids):
    """Rewards of another kind, some of them far outside [0, 1]."""
    return [(sum(one) % 97) / 8 - 6 for one in ids]


def computed(folder):
    """Rewards by transformers."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation="eager").eval()

    @torch.inference_mode()
    def score(ids):
        return [model(torch.tensor([one])).logits.item() for one in ids]

    return score


def load(served, pretrained=None, **options):
    """From Python."""
    served.loading.clear()
    return rb.load(pretrained, model="api-reward", **{"base_url": served.url, "batch_size": 3, **options})


def expected(model, pairs):
    """Rewards of pairs by their numbers alone."""
    render, roles = model.renderer.render, ("user", "assistant")
    texts = [
        render([{"role": role, "content": text} for role, text in zip(roles, pair, strict=True)]) for pair in pairs
    ]
    return number(model.renderer.encode(texts))


def flat(sent):
    """The conversations of all requests."""
    return list(itertools.chain(*sent))


@pytest.fixture(scope="module")
def folder(models):
    """Where a tokenizer lies."""
    return models["llama-3.1"]


@pytest.mark.parametrize(
    ("protocol", "family"),
    [*[(protocol, "llama-3.1") for protocol in PATHS], ("vllm-classify", "gemma-2"), ("sglang", "qwen-3")],
)
def test_rewards_are_those_of_hf_reward(models, protocol, family):
    """The protocol is found out; tokens are ours, one BOS and the cut from the left too."""
    folder = models[family]
    hf = rb.load(folder, device="cpu", max_length=LENGTH, attn_implementation="eager", scoring="padded")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with running(RewardServer(computed(folder), protocol, tokenizer, length=LENGTH, root=folder)) as served:
        where = {"pretrained": folder, "max_length": LENGTH} if protocol == "openrlhf" else {}
        model = APIReward(base_url=f"{served.url}/v1", batch_size=3, **where)
        assert model.reward_info()["head"] == f"classifier, of the server, by {protocol}"
        assert model.score(PAIRS) == pytest.approx(hf.score(PAIRS), abs=1e-5)
        assert max(len(one) for sent in served.sent for one in sent) == LENGTH
        assert all(one.count(0) == 1 for sent in served.sent[2:] for one in sent)  # the BOS
    info = model.get_model_info()["reward"]
    assert (info["scale"], info["scoring"], info["server"]) == ("logits", "server", served.url)


def test_prefixes_come_together_and_few_requests_at_a_time(folder):
    """So that the server's cache of prefixes is of use; as many under way as wanted, and more than one."""
    running_now, most, lock = [0], [0], threading.Lock()

    def score(ids):
        with lock:
            running_now[0] += 1
            most[0] = max(most[0], running_now[0])
        threading.Event().wait(0.02)
        with lock:
            running_now[0] -= 1
        return number(ids)

    pairs = [(f"Question {i % 5}?", f"answer {i}") for i in range(30)]
    with running(RewardServer(score)) as served:
        model = load(served, tokenizer=folder, batch_size=2, num_concurrent=3)
        model.score(pairs)
        assert 1 < most[0] <= 3
        model, served.sent = load(served, tokenizer=folder, batch_size="auto", num_concurrent=1), []
        model.score(pairs)
    assert [len(one) for one in served.sent] == [16, 14]
    assert flat(served.sent) == sorted(flat(served.sent))
    assert served.activation[-5:] == [False, False, True, False, False]


def test_an_older_vllm_has_another_name_for_the_switch(folder):
    """Each request has both; a server that knows neither is told from its answers."""
    with running(RewardServer(number, switch="activation")) as served:
        model = load(served, tokenizer=folder)
        assert model.score(PAIRS[:3]) == expected(model, PAIRS[:3])
        assert model.scorer.settings()["scale"] == "logits"


def test_a_sigmoid_is_said_and_never_undone(folder, caplog):
    """Also of logits that happen to lie in [0, 1], where a switch shows that they are some; saturated scores tie."""
    with running(RewardServer(lambda ids: [40.0 + len(one) for one in ids], "sglang", sigmoid=True)) as served:
        served.score = number
        model = load(served, tokenizer=folder)
        assert "they are no logits" in caplog.text
        assert model.scorer.settings()["scale"] == "in [0, 1]"
        served.score = lambda ids: number(ids) if len(ids) == 6 else [40.0] * len(ids)
        assert model.score([("Q", "x"), ("Q", "y")]) == [1.0, 1.0]
        assert "2 scores are exactly 0 or 1: the sigmoid of the server has no room for what they were" in caplog.text
        assert model.get_model_info()["reward"]["scores_saturated"] == 2
    caplog.clear()
    with running(RewardServer(lambda ids: [0.001 * len(one) for one in ids])) as served:
        model = load(served, tokenizer=folder)
        assert model.scorer.settings()["scale"] == "logits"
    assert "no logits" not in caplog.text


def test_a_run_goes_on_where_the_server_died(folder, task_manager, tmp_path, monkeypatch):
    """Under --use_cache; nothing is asked twice, another model has no part in the file, and no file has the key."""
    monkeypatch.setenv("REWARD_API_KEY", "sk-secret")
    run = {
        "model": "api-reward", "tasks": ["preference_demo_chat"], "task_manager": task_manager, "bootstrap_iters": 0,
        "use_cache": str(tmp_path / "cache"), "batch_size": 1, "log_samples": True,
    }  # fmt: skip
    tokens = {"tokenizer": folder, "num_concurrent": 2, "max_retries": 0}
    with running(RewardServer(number, key="sk-secret")) as served:
        # the first three requests are those of the loading
        served.fault = later(3 + 10, die)
        line = r"is it up.*; scores that came before are in the cache: the same command goes on from there"
        with pytest.raises(UserError, match=line):
            simple_evaluate(**run, model_args={"base_url": served.url, **tokens})
    first = set(flat(served.sent[3:13]))
    with running(RewardServer(number, key="sk-secret")) as served:
        results = simple_evaluate(**run, model_args={"base_url": served.url, **tokens})
        second = set(flat(served.sent[3:]))
        assert len(first) == 10
        assert not first & second
        with (
            running(RewardServer(number, root="org/other")) as other,
            pytest.raises(UserError, match="was made with root"),
        ):
            simple_evaluate(**run, model_args={"base_url": other.url, **tokens})
    reward = results["config"]["reward"]
    assert reward["served"] == {"model": "tiny", "server": "vLLM 0.32.0"}
    assert (reward["checkpoint"], reward["scale"]) == ("org/tiny", "logits")
    assert "acc,none" in results["results"]["preference_demo_chat"]
    assert "sk-secret" not in json.dumps(results, default=str)
    assert b"sk-secret" not in b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())


def test_the_key_comes_from_the_environment_and_goes_nowhere(folder, monkeypatch, caplog):
    """Other programs' is not sent; a server that quotes it is not quoted, whatever it puts it into."""
    monkeypatch.delenv("REWARD_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-theirs")
    with running(RewardServer(number, key="sk-ours")) as served, caplog.at_level("DEBUG", logger="lm_eval"):
        with pytest.raises(UserError, match=r"found status 401 .*REWARD_API_KEY \(none was found there\)"):
            load(served, tokenizer=folder)
        monkeypatch.setenv("REWARD_API_KEY", " sk-ours\n")
        load(served, tokenizer=folder)
        monkeypatch.setenv("REWARD_API_KEY", "sk-old")
        with pytest.raises(UserError, match=r"found status 401 .*\(the one in REWARD_API_KEY was sent\)"):
            load(served, tokenizer=folder)
        served.key = None
        served.fault = lambda handler, content: handler.answer(401, f"bad key {handler.headers['Authorization']}")
        with pytest.raises(UserError, match="with 'bad key Bearer …'"):
            load(served, tokenizer=folder)
        served.fault, served.model = None, "sk-old"
        with pytest.raises(UserError, match="expected one that the server has: …"):
            APIReward(base_url=served.url, tokenizer=folder, model="tiny")
        served.key, served.fault = None, lambda handler, content: {**content, "data": ["sk-old"]}
        with pytest.raises(UserError, match=r"vllm-classify: .*\['…'\]"):
            load(served, tokenizer=folder)
        for sent, bare in (("Bearer sk-old", "sk-old"), ("Basic sk-old", "sk-old")):
            monkeypatch.setenv("REWARD_API_KEY", sent)
            served.fault = lambda handler, content, bare=bare: handler.answer(
                400, f"{handler.headers['Authorization']} or {bare}"
            )
            with pytest.raises(UserError, match=f"400 with '(… or …|{sent.split()[0]} … or …)'"):
                load(served, tokenizer=folder)
        monkeypatch.setenv("REWARD_API_KEY", "sk-a\nsk-b")
        with pytest.raises(UserError, match=r"a key in the environment variable REWARD_API_KEY that can't be sent"):
            load(served, tokenizer=folder)
        for url in ("http://sk-in@x", "http://u:sk-in@x", "http://x?key=sk-in", "https://x/#sk-in"):
            with pytest.raises(UserError, match="expected the key in REWARD_API_KEY") as error:
                load(served, base_url=url)
            assert "sk-" not in str(error.value)
    assert "sk-" not in caplog.text


def test_what_a_server_takes_and_tells(folder, caplog):
    """A gateway that tells nothing, several models, scores for each token, a label, a length of nobody."""
    with running(RewardServer(number, silent=True)) as served:
        model = load(served, tokenizer=folder, max_length=100)
        assert model.identity()["root"] == "None"
        named = APIReward(tokenizer=folder, base_url=served.url, model="tiny", max_length=100)
        assert named.identity()["model"] == "tiny"
        assert named.fingerprint() != model.fingerprint()
    with running(RewardServer(number, "vllm-pooling", per_token=True, labels=2)) as served:
        with pytest.raises(UserError, match="found 2 numbers for each token, as a process reward model gives"):
            load(served, tokenizer=folder, label=1, max_length=100)
        served.per_token = False
        labelled = load(served, tokenizer=folder, label=1, max_length=100)
        assert labelled.score(PAIRS[:3]) == [reward + 100 for reward in expected(labelled, PAIRS[:3])]
    with running(RewardServer(number, "openrlhf", make_tokenizer())) as served:
        with pytest.raises(UserError, match=r"found neither pretrained=… nor tokenizer=…"):
            load(served)
        with caplog.at_level("INFO", logger="lm_eval"):
            assert load(served, tokenizer=folder).renderer.max_length == 2048
        assert "cuts them from the right and does not say so" in caplog.text
    with running(RewardServer(number)) as served:
        served.length = None
        with pytest.raises(UserError, match=r"found no length that .* states, expected max_length=…"):
            load(served, tokenizer=folder)
        with pytest.raises(UserError, match=r"found no tokenizer 'org/tiny', expected tokenizer=… in --model_args"):
            load(served)


def test_a_text_has_the_tokens_that_were_meant():
    """With a BOS by the template, by the tokenizer, or both; cut within a character it is cut further."""
    without = TEMPLATE.removeprefix("{{ bos_token }}")
    for template, adds in ((TEMPLATE, True), (without, True), (TEMPLATE, False)):
        tokenizer = make_tokenizer(template=template, add_bos=adds)
        renderer = TextRenderer(tokenizer, None, {}, 20, "m")
        text = renderer.render([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "🙂" * 30}])
        [whole] = renderer.encode([text])
        for max_length in range(8, 14):
            renderer.max_length = max_length
            ids = renderer.cut(whole)
            sent = tokenizer(renderer.text_of(text, ids), add_special_tokens=False)["input_ids"]
            assert (sent, sent.count(0), sent[-1]) == (list(ids), 1, whole[-1])
            assert max_length - 4 < len(ids) <= max_length
    strange = TextRenderer(tokenizer, None, {}, 20, "m")
    with pytest.raises(UserError, match="of which the server, which takes texts, would make other tokens"):
        strange.text_of("abc", whole[8:9])


def test_packages_that_are_absent(folder, monkeypatch):
    """The extra is named."""
    monkeypatch.setattr(api_options, "find_spec", lambda name: None)
    with pytest.raises(
        UserError, match=r"found no package aiohttp and no tenacity.*pip install 'skywork-rb-plugin\[api\]'"
    ):
        APIReward(folder, base_url="http://localhost:1")

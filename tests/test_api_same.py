"""api-reward: whether it is the same model still, by what a server says and by scores that it gave before; also in `score`."""

import json
import math

import pytest
from conftest import make_tokenizer, write_rows
from lm_eval import simple_evaluate
from scored_files import lines_of
from servers.faults import changed, die, later, times
from servers.stand_in import RewardServer, running
from test_api_reward import load, number

from skywork_rb_plugin import APIReward, UserError, commands
from skywork_rb_plugin.models import score_cache
from skywork_rb_plugin.rendering.rendered import Rendered
from skywork_rb_plugin.servers import connection
from skywork_rb_plugin.servers.scale import IN_0_1, LOGITS, Scale, alike

PAIRS = [("Question?", f"answer {i} " * (i + 1)) for i in range(4)]
MIXED = "was made with sample of scores of two models: another one answered in the middle of a run"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tokenizer."""
    folder = tmp_path_factory.mktemp("tokenizer")
    make_tokenizer().save_pretrained(folder)
    return str(folder)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No pauses."""
    monkeypatch.setattr(connection, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(connection, "_LONGEST_PAUSE", 0.02)


def other(ids):
    """Another model."""
    return [-score for score in number(ids)]


def swapped(handler, content):
    """From the next request on."""
    handler.served.score = other
    return content


def port_of(served):
    """Of an address that another server takes over."""
    return int(served.url.rpartition(":")[2])


def test_another_model_behind_a_silent_server(folder):
    """OpenRLHF's says nothing of itself: its scores do, in a process that goes on and in the next."""
    with running(RewardServer(number, "openrlhf", make_tokenizer())) as served:
        model, before = load(served, tokenizer=folder), load(served, tokenizer=folder).fingerprint()
        assert "server" not in before
    with running(RewardServer(other, "openrlhf", make_tokenizer()), port=port_of(served)) as served:
        line = r"another model there than before: the scores \[.*\] of a few conversations, not .* may be of either: begin anew"
        with pytest.raises(UserError, match=line):
            model.score(PAIRS)
        assert not served.asked or served.looked  # none of its scores is taken
        after = load(served, tokenizer=folder).fingerprint()
    with pytest.raises(UserError, match="was made with sample of scores"):
        score_cache.claim({"skywork_rb_plugin:fingerprint": before}, after)


@pytest.mark.parametrize("closes", [False, True])
def test_no_score_is_taken_after_a_break(closes, folder):
    """Of a server that was busy, or away, and is another model since."""

    def broken(handler, content):
        handler.close_connection = closes
        return handler.answer(503, "busy") if swapped(handler, content) and not closes else content

    with running(RewardServer(number)) as served:
        model = load(served, tokenizer=folder, num_concurrent=1, batch_size=1)
        texts = [f"<|user|>question {i}<|end|>" for i in range(9)]
        served.fault = later(4, times(1, broken))
        with pytest.raises(UserError, match="another model there than before"):
            list(model.scorer.run(Rendered(model.renderer, texts)))
        assert served.asked == 3 + 4 + 2


def test_rounding_is_no_other_model(folder):
    """Of the range of the sample; what comes to more is another one."""
    with running(RewardServer(number)) as served:
        model = load(served, tokenizer=folder)
        before = model.fingerprint()
        served.score = lambda ids: [score + 0.1 * (-1) ** i for i, score in enumerate(number(ids))]
        model.score(PAIRS)
        score_cache.claim({"skywork_rb_plugin:fingerprint": before}, load(served, tokenizer=folder).fingerprint())
        served.score = lambda ids: [1.2 * score for score in number(ids)]
        with pytest.raises(UserError, match="another model"):
            model.score(PAIRS)
    assert alike([1.0, 0.0], [1.04, 0.0])
    assert not alike([1.0, 0.0], [1.06, 0.0])
    assert not alike([math.nan, 0.0], [1.0, 0.0])


def test_what_is_said_otherwise_is_another_model(folder):
    """A revision, weights that were updated, an adapter's parent; not what is left out for once."""
    said = {"weight_version": "default", "revision": None, "dtype": "auto", "load_format": "auto", "torchao_config": ""}
    for key, value in (("weight_version", "2"), ("load_format", "dummy"), ("dtype", "float32")):
        with running(RewardServer(number, "sglang")) as served:
            tell, now = served.get, dict(said)
            served.get = lambda path, tell=tell, now=now: (
                {**tell(path), **now} if path.startswith("/get_") and tell(path) else tell(path)
            )
            model = load(served, tokenizer=folder)
            before = model.fingerprint()
            model.score(PAIRS)
            now[key] = value
            with pytest.raises(UserError, match=f"another model there than before: {key} {value}, not "):
                model.score(PAIRS)
            assert load(served, tokenizer=folder).fingerprint() != before
            now[key] = said[key]
            served.silent = True
            model.score(PAIRS)


def test_each_option_that_decides_is_in_the_fingerprint(folder, tmp_path):
    """The protocol, the label, the tokenizer."""
    elsewhere = tmp_path / "elsewhere"
    make_tokenizer(add_bos=False).save_pretrained(elsewhere)
    with running(RewardServer(number)) as served:
        known = load(served, tokenizer=folder).identity()
        for options, key in (({"label": 0}, "label"), ({"tokenizer": str(elsewhere)}, "tokenizer")):
            found = load(served, **{"tokenizer": folder, **options}).identity()
            assert found.pop(key) != known[key]
    with running(RewardServer(number, "vllm-pooling")) as served:
        assert load(served, tokenizer=folder).identity()["protocol"] != known["protocol"]


def test_a_model_with_several_names_and_an_adapter(folder):
    """Each name will do; an adapter takes as many tokens as its parent."""
    with running(RewardServer(number)) as served:
        tell = served.get
        cards = [{"id": name, "root": "org/tiny", "parent": None, "max_model_len": 100} for name in ("tiny", "second")]
        lora = {"id": "third", "root": "org/lora", "parent": "tiny", "max_model_len": None}
        served.get = lambda path: {"data": cards} if path == "/v1/models" else tell(path)
        post = served.post

        def first_name(body):  # as vLLM, which answers in it; an adapter in its own
            ids, content = post({**body, "model": "tiny"})
            return ids, {**content, "model": "third" if body["model"] == "third" else "tiny"}

        served.post = first_name
        assert load(served, tokenizer=folder).identity()["model"] == "tiny"
        rewards = [load(served, tokenizer=folder).score(PAIRS)]
        options = {"base_url": served.url, "tokenizer": folder}
        assert APIReward(**options, model="second").score(PAIRS) == rewards[0]
        cards.append(lora)
        third = APIReward(**options, model="third")
        assert third.renderer.max_length == 100
        assert third.identity()["parent"] == "tiny"
        with pytest.raises(
            UserError, match="found no model=… in --model_args, expected one that the server has: tiny, second, third"
        ):
            APIReward(**options)


@pytest.mark.parametrize("failing", [False, True])
def test_a_cache_of_two_models_is_no_ones(failing, folder, task_manager, tmp_path):
    """Swapped without a break: the cache is refused from then on, also where another failure came first."""
    run = {
        "model": "api-reward", "tasks": ["preference_demo_chat"], "task_manager": task_manager, "bootstrap_iters": 0,
        "use_cache": str(tmp_path / "cache"), "batch_size": 1,
    }  # fmt: skip
    with running(RewardServer(number)) as served:
        given = {"base_url": served.url, "tokenizer": folder, "num_concurrent": 1, "max_retries": 0}
        wrong = changed(lambda content: content["data"].clear())
        served.fault = later(
            3 + 10, lambda handler, content: (wrong if failing else swapped)(handler, swapped(handler, content))
        )
        with pytest.raises(UserError, match="found another model there than before") as caught:
            simple_evaluate(**run, model_args=given)
        assert "goes on from there" not in str(caught.value)
        served.fault, served.score = None, number
        with pytest.raises(UserError, match=MIXED):
            simple_evaluate(**run, model_args=given)


def test_score_goes_on_elsewhere_and_asks_nothing_twice(folder, tmp_path, capsys):
    """At another address, with more patience and larger requests; what two models made is refused."""
    write_rows(tmp_path / "in.jsonl", [{"prompt": f"Question {i}?", "response": f"answer {i} "} for i in range(30)])

    def score(served, output, *options):
        given = ["--data", str(tmp_path / "in.jsonl"), "-o", str(tmp_path / output), "--model", "api-reward"]
        commands.run("score", [*given, "--model_args", f"base_url={served.url}", f"tokenizer={folder}", *options])

    with running(RewardServer(number)) as served:
        served.fault = later(3 + 12, die)
        with pytest.raises(
            UserError, match=r"scores that came before are kept; .* the same command goes on from there"
        ):
            score(served, "out.jsonl", "num_concurrent=1", "max_retries=0")
        first = {one for sent in served.sent[3:-1] for one in sent}
    with running(RewardServer(number)) as served:
        score(served, "out.jsonl", "num_concurrent=4", "max_retries=1", "batch_size=4", "timeout=20")
        second = [one for sent in served.sent[3:] for one in sent]
        assert (len(first), len(second)) == (12, 18)
        assert first.isdisjoint(second)
        score(served, "whole.jsonl")
        assert lines_of(tmp_path / "out.jsonl") == lines_of(tmp_path / "whole.jsonl")
        served.loading.clear()
        served.fault = later(3 + 5, times(1, swapped))
        with pytest.raises(UserError, match=r"may be of either: begin anew, .* score's --overwrite") as caught:
            score(served, "mixed.jsonl")
        assert "goes on from there" not in str(caught.value)
        served.score = number
        with pytest.raises(UserError, match=rf"mixed.jsonl {MIXED}"):
            score(served, "mixed.jsonl")
        score(served, "mixed.jsonl", "--overwrite")
    capsys.readouterr()


def test_the_scale_is_told_from_a_sigmoid_and_not_from_noise(folder, caplog):
    """Logits between 0 and 1 have a sigmoid; what a sigmoid made differs by rounding; one score outside settles it."""
    inside, noisy = [0.1, 0.5, 0.9], [0.1005, 0.4993, 0.9008]
    for raw, activated, name in (
        (inside, noisy, IN_0_1),
        (inside, inside, IN_0_1),
        (inside, None, IN_0_1),
        (inside, [1 / (1 + math.exp(-score)) for score in noisy], LOGITS),
        ([*inside, 1.01], None, LOGITS),
    ):
        scale = Scale()
        scale.learn(raw, activated)
        assert scale.name == name
    with running(RewardServer(number, "sglang", sigmoid=True)) as served:
        model = load(served, tokenizer=folder)
        before, post = model.fingerprint(), served.post
        served.post = lambda body: (
            (ids := [tuple(one) for one in body["input_ids"]]),
            post(body)[1] if len(ids) == 6 else [{"embedding": [7.5]} for _ in ids],
        )
        model.score(PAIRS)
        assert model.get_model_info()["reward"]["scale"] == LOGITS
        assert model.fingerprint() == before
    assert "those of http" in caplog.text
    assert "are logits after all" in caplog.text
    with running(RewardServer(lambda ids: [0.001 * len(one) for one in ids], labels=1)) as served:
        # what is made of several labels is no sigmoid, so that none is looked for
        assert load(served, tokenizer=folder, label=0).scorer.scale.name == IN_0_1
    assert json.loads(before["sample of scores"])

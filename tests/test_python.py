"""The package from Python: `load`, `score`, and every snippet of docs/python.md, run in the page's order."""

import contextlib
import inspect
import io
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
import transformers
from conftest import make_model, make_tokenizer
from test_docs import code_of

import skywork_rb_plugin as rb
from skywork_rb_plugin.models import reward_lm

PAGE = Path(__file__).parents[1] / "docs" / "python.md"


def test_every_snippet_of_the_page_prints_what_it_shows(tmp_path, monkeypatch):
    """In one namespace, with the output below it where there is one."""
    monkeypatch.chdir(tmp_path)
    pieces = re.findall(r"^```(python|text)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert sum(kind == "python" for kind, _ in pieces) >= 7
    names = {}
    for (kind, text), (following, shown) in zip(pieces, [*pieces[1:], (None, None)], strict=True):
        if kind == "python":
            if "from trl import" in text:  # the last snippet: what comes before runs without it
                pytest.importorskip("trl")
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                exec(compile(text, str(PAGE), "exec"), names)
            # the trainer prints its losses too
            assert following != "text" or output.getvalue().endswith(shown), text


def test_the_readme_s_lines_score_pairs():
    """The first lines that a newcomer runs."""
    names = {}
    exec(code_of("README.md", "python")[0], names)
    assert [type(reward) for reward in names["rewards"]] == [float, float]


def test_rewards_come_in_order_and_equal_conversations_once(caplog):
    """Pairs, messages and a generator; whatever order they are scored in."""
    model = rb.load("demo", tokens_per_pack=60)
    responses = ["a long response, and more of it", "short", "a long response", "short"]
    pairs = [("Question?", response) for response in responses]
    messages = [
        [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}] for prompt, response in pairs
    ]
    found = model.score(pairs)
    assert all(type(reward) is float for reward in found)
    assert found == model.score(iter(messages))
    assert found == model.score((prompt, response["content"]) for *prompt, response in messages)
    assert found[1] == found[3]
    assert len(set(found)) == 3
    assert found == pytest.approx([model.score([pair])[0] for pair in pairs], abs=1e-5)
    with caplog.at_level("INFO", logger="lm_eval"):
        model.score(pairs)
    assert "Scored 3 conversations in" in caplog.text
    assert model.get_model_info()["reward"]["conversations_scored"] == 0  # that counts what the harness asked for
    assert model.score([]) == []


@pytest.mark.parametrize(
    ("conversation", "line"),
    [
        ("text", "conversation 1: found 'text', expected a list of messages, or a prompt and a response"),
        (("a", "b", "c"), r"conversation 1: found \('a', 'b', 'c'\), expected a list of messages"),
        ([{"role": "user", "content": "x"}], "found a last message of the user, expected the assistant's"),
        ([{"role": "assistant", "content": "x"}], "found a response alone, expected messages before it"),
        ([{"role": "user"}], r"found \{'role': 'user'\}, expected a message with `role` and `content`"),
        (None, "conversation 1: found None"),
        (
            [{"role": "usr", "content": "x"}, {"role": "assistant", "content": "y"}],
            "found role 'usr', did you mean 'user'",
        ),
        (("Question?", "half \ud83d"), r"found half a character \(a lone surrogate\) in '.*half .ud83d"),
    ],
)
def test_what_is_no_conversation_is_named_by_its_number(conversation, line):
    """One line, before anything is scored."""
    model = rb.load("demo")
    with pytest.raises(rb.UserError, match=line):
        model.score([("Question?", "yes"), conversation])
    assert model.get_model_info()["reward"]["conversations_scored"] == 0


def test_the_bar_is_for_long_work_only(capfd, monkeypatch):
    """None within the first seconds, and none at all on demand."""
    model = rb.load("demo")
    capfd.readouterr()
    model.score([("Question?", "yes")])
    assert capfd.readouterr().err == ""
    monkeypatch.setattr(reward_lm, "_SECONDS_WITHOUT_BAR", 0)
    model.score([("Question?", "yes")], progress=False)
    assert capfd.readouterr().err == ""
    model.score([("Question?", "yes")])
    assert "Scoring: 100%" in capfd.readouterr().err


def test_a_caller_s_model_stays_in_training_mode():
    """Wholly or in parts; scored without dropout all the same."""
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=320, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_labels=1,
        pad_token_id=2, attention_dropout=0.9,
    )  # fmt: skip
    trained = transformers.LlamaForSequenceClassification(config).train()
    trained.model.embed_tokens.eval()
    model = rb.load(trained, tokenizer=make_tokenizer())
    pairs = [("Question?", "a long response"), ("Question?", "short")]
    assert model.score(pairs) == model.score(pairs)
    assert [name for name, module in trained.named_modules() if not module.training] == ["model.embed_tokens"]
    assert model.score(pairs) == pytest.approx(
        rb.load(trained.eval(), tokenizer=make_tokenizer()).score(pairs), abs=1e-6
    )


def test_what_a_failed_load_and_a_tokenizer_are_left_as():
    """Training mode after an error, and a tokenizer without the pad token that the harness gives its own."""
    trained = transformers.AutoModelForSequenceClassification.from_pretrained(rb.load("demo").pretrained).train()
    tokenizer = make_tokenizer(pad=None)
    rb.load(trained, tokenizer=tokenizer)
    assert tokenizer.pad_token is None
    with pytest.raises(rb.UserError, match="found no chat template"):
        rb.load(trained, tokenizer=make_tokenizer(template=None))
    assert all(module.training for module in trained.modules())


def test_models_that_are_none_are_refused_when_loaded(tmp_path):
    """A language model in memory, one without a tokenizer, a tokenizer of another model; a path is a folder."""
    lm = transformers.AutoModelForCausalLM.from_pretrained(make_model(tmp_path / "lm", classifier=False, num_labels=1))
    with pytest.raises(
        rb.UserError, match=r"found no head that reads LlamaForCausalLM \(LlamaForCausalLM; .*expected a reward model"
    ):
        rb.load(lm)
    config = transformers.LlamaConfig(hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_labels=1)
    made = transformers.LlamaForSequenceClassification(config)
    with pytest.raises(rb.UserError, match="found a loaded model that has no name to load a tokenizer by"):
        rb.load(made)
    small = make_model(tmp_path / "small", vocab_size=200)
    with pytest.raises(rb.UserError, match=r"found token id \d+, expected less than 200, which .* knows: is tokenizer"):
        rb.load(tmp_path / "small")
    assert rb.load(Path(rb.load("demo").pretrained)).score([("Q", "x")]) == rb.load("demo").score([("Q", "x")])
    assert small


def test_threads_wait_for_each_other():
    """Four of them get what one gets."""
    model = rb.load("demo", tokens_per_pack=60)
    batches = [[(f"Question {i}?", f"answer {j}") for j in range(6)] for i in range(8)]
    expected = [model.score(batch) for batch in batches]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(model.score, batches)) == expected


def test_help_shows_every_option_of_ours():
    """And a misspelt model is answered with the nearest."""
    text = inspect.getdoc(rb.load)
    ours = set(inspect.signature(rb.HFReward).parameters) - {"kwargs"}
    assert all(f"\n    {option}: " in text for option in ours)
    with pytest.raises(rb.UserError, match=r"found model='hf-rewards' \(did you mean hf-reward\?\), expected one of"):
        rb.load("demo", model="hf-rewards")


def test_a_backend_needs_nothing_of_the_host_s_own_loading(task_manager):
    """A reward model that is neither on disk nor HFLM: renderer, scorer and two facts are enough for a whole run."""
    from lm_eval import simple_evaluate

    from skywork_rb_plugin.models.reward_lm import RewardLM
    from skywork_rb_plugin.rendering.renderer import Renderer
    from skywork_rb_plugin.scoring.batches import Scored

    class Length:
        """Rewards of another kind: the number of tokens."""

        name, attention = "length", "none"

        def run(self, conversations):
            """One by one."""
            for i, ids in enumerate(conversations.encode(range(len(conversations.texts)))):
                yield Scored([i], [float(len(ids))], [len(ids)], len(ids), 0)

        def settings(self):
            """Nothing to set."""
            return {"scoring": self.name, "attention": self.attention}

    class LengthReward(RewardLM):
        """A backend."""

        def __init__(self):
            super().__init__()
            self.renderer, self.scorer = Renderer(make_tokenizer(), None, {}, 512, "length"), Length()

        def identity(self):
            """What decides a score."""
            return {"model": "length"}

        def reward_info(self):
            """What the results file says."""
            return {"head": "length"}

    model = LengthReward()
    assert model.score([("Q", "long response"), ("Q", "x")])[0] > model.score([("Q", "x")])[0]
    results = simple_evaluate(model=model, tasks=["preference_demo_chat"], task_manager=task_manager, bootstrap_iters=0)
    assert results["config"]["reward"]["head"] == "length"
    assert 0 < results["results"]["preference_demo_chat"]["acc,none"] < 1
    model.scorer.run = lambda conversations: (
        scored for scored in Length().run(conversations) if scored.conversations != [1]
    )
    with pytest.raises(RuntimeError, match="scoring by length left 1 conversations without a reward"):
        model.score([("Q", "one"), ("Q", "two")])
    assert set(model.fingerprint()) >= {"model", "attention", "chat template", "max length", "plugin"}

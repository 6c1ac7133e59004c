"""Models that compare two responses, against the classes that published them and against forward passes written here."""

import json
import math
from pathlib import Path

import pytest
import torch
import transformers
from conftest import make_model, preference_task, write_rows
from families import ROWS, run
from lm_eval.api.instance import Instance
from rewards import requests, user
from safetensors.torch import load_file, save_file
from test_rewardbench2 import official_rows
from tiny_pairs import digest, pair_preference, pairrm, steamshp

import skywork_rb_plugin as rb
from skywork_rb_plugin import HFReward, UserError
from skywork_rb_plugin.models.hf_pairwise import Comparison, HFPairwise

REFERENCE = json.loads((Path(__file__).parent / "reference" / "pairs.json").read_text("utf-8"))


def load(folder, **options):
    """The model as the command line makes it."""
    return HFPairwise(pretrained=str(folder), device="cpu", **{"batch_size": 4, "dtype": "float32", **options})


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A checkpoint of each family, in a folder with the name that some are known by."""
    root = tmp_path_factory.mktemp("pairwise")
    return {
        "pairrm": pairrm(root / "PairRM-hf"),
        "better-pairrm": pairrm(root / "Better-PairRM"),
        "pair-preference": pair_preference(root / "pair-preference-model-LLaMA3-8B"),
        "steamshp": steamshp(root / "SteamSHP-flan-t5-large"),
    }


@pytest.fixture(scope="module")
def models(folders):
    """Each of them, loaded."""
    return {name: load(folder) for name, folder in folders.items()}


def encoded(model, prompt, first, second):
    """Token ids of both orders, cut to the model's length."""
    pair = Comparison(tuple(prompt), first, second)
    texts = [model.renderer.render(order.messages) for order in (pair, pair.swapped)]
    return [model.renderer.cut(ids) for ids in model.renderer.encode(texts)]


@pytest.mark.parametrize("name", ["pairrm", "better-pairrm"])
@pytest.mark.parametrize("number", range(4))
def test_pairrm_is_the_reference(models, name, number):
    """Its tokens, with its cuts, and its logits: half the difference of both orders, so that its verdict is ours."""
    pair, (ids, logits) = REFERENCE["pairs"][number], REFERENCE[name][number]
    assert [digest(one) for one in encoded(models[name], *pair)] == ids
    if number != 2:  # thousands of tokens take seconds
        assert models[name].compare(*pair) == pytest.approx((logits[0] - logits[1]) / 2, abs=1e-5)


def test_the_log_says_where_each_model_is_cut(models, caplog, monkeypatch):
    """PairRM's prompt on the right, Better-PairRM's on the left, and one text from the left."""
    caplog.set_level("WARNING", logger="lm_eval")
    for name, line in (
        ("pairrm", "shares of prompt and responses: the prompt from the right, each response likewise."),
        ("better-pairrm", "shares of prompt and responses: the prompt from the left, each response from the right."),
        ("pair-preference", "tokens and were cut from the left."),
    ):
        monkeypatch.setattr(models[name].renderer, "max_length", 100)
        models[name].compare("What is two and two? " * 20, "Four.", "It is five.")
        assert line in caplog.text
        caplog.clear()


@pytest.mark.parametrize("number", range(2))
def test_pair_preference_is_the_reference(models, number):
    """Its tokens, and its mean probability as log-odds."""
    pair, (ids, probability) = REFERENCE["pairs"][number], REFERENCE["pair-preference"][number]
    assert [digest(one) for one in encoded(models["pair-preference"], *pair)] == ids
    expected = math.log(probability / (1 - probability))
    assert models["pair-preference"].compare(*pair) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("number", range(2))
def test_steamshp_is_the_reference(models, folders, number):
    """Its text; the logits of A and B at the first token of transformers' own answer."""
    pair, texts = REFERENCE["pairs"][number], REFERENCE["steamshp"][number]
    tokenizer = transformers.AutoTokenizer.from_pretrained(folders["steamshp"])
    model = transformers.T5ForConditionalGeneration.from_pretrained(folders["steamshp"], dtype=torch.float32).eval()
    letters, odds = [tokenizer.encode(letter, add_special_tokens=False)[0] for letter in "AB"], []
    for text in texts:
        with torch.no_grad():
            logits = model(**tokenizer(text, return_tensors="pt"), decoder_input_ids=torch.tensor([[0]])).logits
        odds.append(float(logits[0, 0, letters[0]] - logits[0, 0, letters[1]]))
    probability = (torch.tensor(odds[0]).sigmoid() + torch.tensor(-odds[1]).sigmoid()) / 2
    assert models["steamshp"].compare(*pair) == pytest.approx(float(probability.logit()), abs=1e-5)


def test_log_odds_of_a_mean_stay_exact_where_probabilities_round(models):
    """And swapping the responses changes the sign alone."""
    log_odds = models["pair-preference"].family.family.log_odds
    assert log_odds(800.0, -800.0) == pytest.approx(800.0)
    assert log_odds(40.0, 41.0) == pytest.approx(-log_odds(41.0, 40.0))
    mean = (1 / (1 + math.exp(-0.3)) + 1 / (1 + math.exp(-0.1))) / 2
    assert log_odds(0.3, -0.1) == pytest.approx(math.log(mean / (1 - mean)))


@pytest.mark.parametrize("name", ["pairrm", "better-pairrm", "steamshp", "pair-preference"])
def test_two_responses_differ_by_their_log_odds(task_manager, tmp_path, folders, models, name):
    """Through the harness; encoders in padded batches, language models by tree and in padded batches."""
    expected = [models[name].compare(row["prompt"], row["chosen"], row["rejected"]) for row in ROWS]
    ways = ("tree", "padded") if name == "pair-preference" else ("auto",)
    for scoring in ways:
        rewards, info = run(folders[name], task_manager, tmp_path, model="hf-pairwise", scoring=scoring)
        assert [a - b for a, b in zip(rewards[::2], rewards[1::2], strict=True)] == pytest.approx(expected, abs=1e-5)
        assert [a + b for a, b in zip(rewards[::2], rewards[1::2], strict=True)] == pytest.approx([0] * 3, abs=1e-9)
        assert info["head"] == name
        assert info["scoring"] == {"auto": "padded"}.get(scoring, scoring)
    assert all(abs(log_odds) > 1e-3 for log_odds in expected)


def test_many_responses_are_all_compared(models):
    """As LLM-Blender's scores, halved; equal responses once, and documents with equal prompts apart."""
    model, texts = models["pairrm"], ["Red.", "Blue, I think.", "The quick brown fox", "No."]
    answers = model.loglikelihood(
        requests([(user("Name a colour."), [*texts, "Red."]), (user("Name a colour."), texts[:2])])
    )
    rewards = [reward for reward, _ in answers]
    logits = {
        (a, b): float(model.scorer.score([encoded(model, user("Name a colour.").messages, a, b)[0]])[0])
        for a in texts for b in texts if a != b
    }  # fmt: skip
    matrix = torch.tensor([[logits.get((a, b), 0.0) for b in texts] for a in texts])
    blender = (matrix - matrix.T).mean(dim=1)
    assert rewards[:4] == pytest.approx((blender / 2).tolist(), abs=1e-5)
    assert rewards[4] == rewards[0]
    assert rewards[5] == pytest.approx(model.compare("Name a colour.", *texts[:2]) / 2, abs=1e-5)
    assert answers[0][0].tokens is None
    assert answers[0][0].cut is False


def test_ties_of_rewardbench_2(models, task_manager, tmp_path, monkeypatch):
    """A published task with many responses, through the harness."""
    from lm_eval import simple_evaluate

    folder = tmp_path / "allenai" / "reward-bench-2"
    folder.mkdir(parents=True)
    rows = [row for row in official_rows() if row["subset"] == "Ties"]
    write_rows(folder / "test.jsonl", rows)
    monkeypatch.setenv("SKYWORK_RB_DATA_ROOT", str(tmp_path))
    model = models["pairrm"]
    found = simple_evaluate(
        model=model, tasks=["rewardbench2_ties"], task_manager=task_manager, log_samples=True, bootstrap_iters=0
    )
    assert isinstance(found["results"]["rewardbench2_ties"]["score,none"], float)
    [sample] = [sample for sample in found["samples"]["rewardbench2_ties"] if sample["doc"]["id"] == "tied:2"]
    rewards = [float(answer[0][0]) for answer in sample["resps"]]
    texts = sample["doc"]["chosen"] + sample["doc"]["rejected"]
    against = [model.compare(sample["doc"]["prompt"], texts[0], text) for text in texts[1:]]
    assert rewards[0] == pytest.approx(sum(against) / len(texts), abs=1e-5)
    assert len(set(rewards)) == len(texts)


def test_many_responses_are_said_to_be_many(models, monkeypatch, caplog):
    """With what they cost."""
    caplog.set_level("WARNING", logger="lm_eval")
    monkeypatch.setattr("skywork_rb_plugin.models.hf_pairwise._MANY_RESPONSES", 2)
    models["pairrm"].loglikelihood(requests([(user("One?"), ["a", "b", "c"])]))
    assert "A document has 3 responses, which are 6 comparisons: they grow with the square." in caplog.text


def test_what_cannot_be_compared_is_one_line(models):
    """A single conversation, a single response, responses to different prompts, and text that is none."""
    model = models["pairrm"]
    with pytest.raises(
        UserError, match=r"compares two responses, .* expected compare\(prompt, a, b\) in place of score"
    ):
        model.score([("One?", "Two.")])
    with pytest.raises(UserError, match=r"document 0: found one continuation"):
        model.loglikelihood(requests([(user("One?"), ["Two."])]))
    to_other = [Instance("loglikelihood", {}, (user(text), text), i, ("t", 0, 1)) for i, text in enumerate("ab")]
    with pytest.raises(UserError, match=r"found responses to different prompts, expected one prompt"):
        model.loglikelihood(to_other)
    with pytest.raises(UserError, match=r"found \('One\?', 7\), expected"):
        model.compare("One?", "Two.", 7)
    with pytest.raises(
        UserError, match=r"refuses .* roles system, user, .* leave out --system_instruction, or leave out what"
    ):
        model.compare([{"role": "system", "content": "S"}, {"role": "user", "content": "U"}], "a", "b")


def test_each_model_has_its_own_name(models, folders, tmp_path):
    """hf-reward refuses what compares, and hf-pairwise what scores; a chat template is refused too."""
    with pytest.raises(UserError, match=r"head pairrm compares two responses, expected --model hf-pairwise for it"):
        HFReward(folders["pairrm"], device="cpu")
    with pytest.raises(UserError, match=r"head classifier scores one response, expected --model hf-reward for it"):
        rb.load("demo", model="hf-pairwise", device="cpu")
    with pytest.raises(UserError, match=r"in a format of its own; expected it left out"):
        load(folders["pairrm"], chat_template="{{ messages }}")
    assert len({model.family.family.name for model in models.values()}) == 4


def test_a_score_cache_is_refused(task_manager, tmp_path, folders, monkeypatch):
    """Before the model is loaded; and by a model that came loaded."""
    monkeypatch.setattr(HFPairwise, "load", lambda *_, **__: pytest.fail("loaded"))
    with pytest.raises(UserError, match=r"found --use_cache with --model hf-pairwise, expected it left out: a reward"):
        run_cached(folders["pairrm"], task_manager, tmp_path, "hf-pairwise")


def test_a_score_cache_is_refused_by_a_loaded_model(task_manager, tmp_path, models):
    """Nothing is stored."""
    with pytest.raises(UserError, match=r"found --use_cache with --model hf-pairwise"):
        run_cached(None, task_manager, tmp_path, models["pairrm"])


def run_cached(folder, manager, tmp_path, model):
    """A run with --use_cache."""
    import lm_eval

    lm_eval.simple_evaluate(
        model=model, model_args={"pretrained": folder} if folder else None, tasks=[preference_task(ROWS, tmp_path)],
        task_manager=manager, device="cpu", use_cache=str(tmp_path / "cache"), bootstrap_iters=0,
    )  # fmt: skip


def test_damaged_checkpoints_are_one_line(tmp_path, folders):
    """Half a head, one of another shape, a tokenizer without the prefixes, LLM-Blender's own format."""
    tensors = load_file(Path(folders["pairrm"], "model.safetensors"))
    cases = {
        "half": ({"head_layer.4.bias": None, "head_layer.4.weight": None}, r"no tensor head_layer\.4\.weight in .* beside the layers: head_layer\.1\.bias"),
        "shape": ({"head_layer.1.weight": torch.zeros(32, 32)}, r"head_layer\.1 of the shape \(32, 32\) .* expected \(32, 64\)"),
    }  # fmt: skip
    for name, (changes, line) in cases.items():
        folder = pairrm(tmp_path / name)
        changed = {key: tensor for key, tensor in {**tensors, **changes}.items() if tensor is not None}
        save_file(changed, Path(folder, "model.safetensors"), metadata={"format": "pt"})
        with pytest.raises(UserError, match=line):
            load(folder)
    with pytest.raises(UserError, match=r"<\|source\|>.* in the tokenizer of"):
        load(folders["pairrm"], tokenizer=folders["steamshp"])
    blender = Path(pairrm(tmp_path / "PairRM"), "config.json")
    blender.write_text(
        '{"ranker_type": "pairranker", "model_type": "deberta", "model_name": "microsoft/deberta-v3-large"}'
    )
    with pytest.raises(UserError, match=r"LLM-Blender's own loader .* pretrained=llm-blender/PairRM-hf"):
        load(blender.parent)


def test_steamshp_is_a_t5(tmp_path):
    """Asked for on another model, it is refused before that is loaded."""
    folder = make_model(tmp_path / "lm", classifier=False)
    with pytest.raises(
        UserError, match=r"found .*lm \(LlamaForCausalLM\) with head=steamshp, expected a T5: stanfordnlp"
    ):
        rb.load(folder, model="hf-pairwise", head="steamshp", device="cpu")

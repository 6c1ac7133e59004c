"""hf-reward on tiny real models: what a score is, what is refused, what is recorded."""

import datetime
import json
import math
import shutil

import pytest
import torch
import transformers
from conftest import FAMILIES, TEMPLATE, make_model, make_tokenizer, preference_task
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from sqlitedict import SqliteDict

from skywork_rb_plugin import Conversation, HFReward, UserError

TEXTS = ["a short one", "a much longer response that goes on for a while, and on", "x", "the quick brown fox " * 5]


def requests(pairs, task="t"):
    """Requests of one document with several responses each."""
    return [
        Instance("loglikelihood", {}, (context, response), i, (task, document, 1))
        for document, (context, responses) in enumerate(pairs)
        for i, response in enumerate(responses)
    ]


def user(text):
    """A conversation with one user message."""
    return Conversation([{"role": "user", "content": text}])


def scores(model, pairs):
    """The rewards of all responses."""
    return [score for score, _ in model.loglikelihood(requests(pairs), disable_tqdm=True)]


def load(folder, **options):
    """The model as the command line makes it."""
    return HFReward(pretrained=str(folder), device="cpu", **{"batch_size": 4, **options})


PAIRS = [(user("Question?"), TEXTS), (user("Another, longer question, is it not?"), TEXTS[:2])]


def by_hand(folder, messages):
    """Render, tokenize and run one conversation without padding; the last token's logit, in float64."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=torch.float64, attn_implementation="eager"
    )
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    ids = tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids
    assert (ids == tokenizer.bos_token_id).sum() == 1
    with torch.no_grad():
        return model.score(model.model(ids).last_hidden_state[0, -1]).item()


@pytest.mark.parametrize("scoring", ["tree", "padded"])
@pytest.mark.parametrize("family", FAMILIES)
def test_scores_are_those_of_single_conversations(models, family, scoring):
    """Batches, padding and order change nothing: each score is the last token's logit of one rendered conversation."""
    found = scores(load(models[family], scoring=scoring), PAIRS)
    expected = [
        by_hand(models[family], [*context.messages, {"role": "assistant", "content": response}])
        for context, responses in PAIRS
        for response in responses
    ]
    assert found == pytest.approx(expected, abs=1e-5)
    again = load(models[family], scoring=scoring, batch_size=1, tokens_per_pack=50)
    assert scores(again, PAIRS[::-1])[2:] == pytest.approx(expected[:4], abs=1e-5)
    assert len(set(found)) == len(found)


def test_one_bos_whether_template_tokenizer_or_both_add_it(models, tmp_path):
    """A doubled BOS would move every score."""
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    plain = TEMPLATE.replace("{{ bos_token }}", "")
    for name, tokenizer in {
        "both": make_tokenizer(),
        "template": make_tokenizer(add_bos=False),
        "tokenizer": make_tokenizer(template=plain),
    }.items():
        model = load(make_model(tmp_path / name, tokenizer=tokenizer))
        [ids] = model.renderer.encode([model.renderer.render(messages)])
        assert ids.count(model.tokenizer.bos_token_id) == 1, name
        assert ids[0] == model.tokenizer.bos_token_id, name


def test_pooling_follows_the_configs_pad_token(tmp_path, caplog):
    """pad = the conversation's last token: transformers' rule reads the score before it; with none, the last token."""
    messages = [{"role": "user", "content": "Question?"}, {"role": "assistant", "content": TEXTS[0]}]
    pair = [(user("Question?"), TEXTS)]
    tokenizer = make_tokenizer(pad="<|end|>")
    with_pad = make_model(tmp_path / "pad", tokenizer=tokenizer)
    without = str(shutil.copytree(with_pad, tmp_path / "none"))
    config = json.loads((tmp_path / "none" / "config.json").read_text())
    (tmp_path / "none" / "config.json").write_text(json.dumps({**config, "pad_token_id": None}))
    last = by_hand(without, messages)
    assert scores(load(without), pair)[0] == pytest.approx(last, abs=1e-5)
    assert "are read at '<|end|>' (pad token of the config: None)" in caplog.text
    before = scores(load(with_pad), pair)
    assert before[0] != pytest.approx(last, abs=1e-3)
    assert scores(load(without, pad_rule="reference"), pair) == pytest.approx(before, abs=1e-6)
    loaded = transformers.AutoModelForSequenceClassification.from_pretrained(without)
    for _ in range(2):  # wrapped again, as in a training loop, the model must be as it was
        assert scores(HFReward(pretrained=loaded, tokenizer=tokenizer, batch_size=4), pair)[0] == pytest.approx(
            last, abs=1e-5
        )
        assert loaded.config.pad_token_id is None
    assert scores(load(without, batch_size=1), pair) == pytest.approx(scores(load(without), pair), abs=1e-5)


def test_long_conversations_are_cut_on_the_left_and_counted(models, caplog):
    """The BOS and the end stay; the log and the results file count."""
    model = load(models["llama-3.1"], max_length=40)
    found = scores(model, [(user("q " * 100), TEXTS[:2])])
    whole = model.renderer.render([*user("q " * 100).messages, {"role": "assistant", "content": TEXTS[0]}])
    [ids] = model.renderer.encode([whole])
    cut = model.renderer.cut(ids)
    assert (cut[0], list(cut[1:]), len(cut)) == (model.tokenizer.bos_token_id, ids[-39:], 40)
    with torch.no_grad():
        assert found[0] == pytest.approx(model.model(torch.tensor([cut])).logits.item(), abs=1e-5)
    assert "2 of 2 conversations are longer than 40 tokens and were cut from the left" in caplog.text
    info = model.get_model_info()["reward"]
    lost = sum(len(model.renderer.encode([whole.replace(TEXTS[0], text)])[0]) - 40 for text in TEXTS[:2])
    assert (info["conversations_truncated"], info["tokens_truncated"]) == (2, lost)


def test_model_info_says_what_decided_the_scores(models):
    """What the results file must hold for a score to be believed, as JSON."""
    model = load(models["gemma-2"])
    scores(model, PAIRS)
    info = json.loads(json.dumps(model.get_model_info(), default=str))
    assert info["model_dtype"] == "torch.float32"
    assert info["reward"]["checkpoint"].startswith("files ")
    reward = info["reward"]
    assert (reward["attention"], reward["max_length"], reward["conversations_scored"]) == ("prefix_tree", 512, 6)
    assert reward["head"].startswith("Gemma2ForSequenceClassification")
    assert (reward["conversations_truncated"], reward["pad_rule"], reward["chat_template_date"]) == (0, "config", None)
    assert len(reward["chat_template_sha256"]) == 64


def test_dtype_is_the_checkpoints(models, tmp_path):
    """bfloat16 weights run in bfloat16 and give float32 numbers; dtype= overrides."""
    folder = tmp_path / "bf16"
    model = transformers.AutoModelForSequenceClassification.from_pretrained(models["qwen-3"])
    model.to(torch.bfloat16).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    assert load(folder).model.dtype == torch.bfloat16
    assert load(folder, dtype="float32").model.dtype == torch.float32
    assert scores(load(folder), PAIRS) == pytest.approx(scores(load(models["qwen-3"]), PAIRS), abs=0.2)


@pytest.mark.parametrize("bits", ["load_in_8bit", "load_in_4bit"])
def test_quantised_loading_leaves_the_head_alone(tmp_path, bits):
    """Only when asked for: the layers are quantised, the head is not."""
    bitsandbytes = pytest.importorskip("bitsandbytes")
    folder = make_model(tmp_path / "m", hidden_size=64, intermediate_size=128, head_dim=32)  # blocks of 64
    model = load(folder, **{bits: True})
    assert type(model.model.score) is torch.nn.Linear
    linear = bitsandbytes.nn.Linear8bitLt if bits == "load_in_8bit" else bitsandbytes.nn.Linear4bit
    assert isinstance(model.model.model.layers[0].mlp.up_proj, linear)
    found = scores(model, PAIRS)
    assert all(math.isfinite(score) for score in found)
    assert found != scores(load(folder), PAIRS)


def test_soft_capped_model_never_runs_under_sdpa(models):
    """sdpa drops the soft-capping silently in some releases of transformers."""
    assert load(models["gemma-2"]).model.config._attn_implementation == "eager"
    with pytest.raises(UserError, match="found attn_implementation=sdpa for a model with soft-capped attention"):
        load(models["gemma-2"], attn_implementation="sdpa")


def test_loaded_model_and_parallelize(models):
    """A model object, or one that accelerate places, scores as the folder does."""
    expected = scores(load(models["qwen-3"]), PAIRS)
    loaded = transformers.AutoModelForSequenceClassification.from_pretrained(models["qwen-3"])
    tokenizer = transformers.AutoTokenizer.from_pretrained(models["qwen-3"])
    given = HFReward(pretrained=loaded, tokenizer=tokenizer, batch_size=4)
    assert scores(given, PAIRS) == pytest.approx(expected, abs=1e-6)
    assert scores(load(models["qwen-3"], parallelize=True, max_cpu_memory="8GiB"), PAIRS) == pytest.approx(
        expected, abs=1e-6
    )


def test_language_model_is_no_reward_model(tmp_path):
    """transformers would fill the head with random numbers and go on."""
    folder = make_model(tmp_path / "lm", classifier=False)
    with pytest.raises(UserError, match=r"lacks score.weight \(LlamaForCausalLM\).* expected a reward model"):
        load(folder)


def test_several_labels_are_refused(tmp_path):
    """Which of them would be the reward?"""
    folder = make_model(tmp_path / "labels", num_labels=3)
    with pytest.raises(
        UserError, match=r"has 3 labels \(LABEL_0, LABEL_1, LABEL_2\), expected a reward model with one"
    ):
        load(folder)


def test_adapter_must_bring_the_head(tmp_path):
    """A PEFT adapter of a language model with a trained head scores; one without a head is refused."""
    import peft

    base = make_model(tmp_path / "base", classifier=False, vocab_size=len(make_tokenizer()))
    torch.manual_seed(1)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(base, num_labels=1)
    for task, name in (("SEQ_CLS", "with"), (None, "without")):
        config = peft.LoraConfig(r=2, target_modules=["q_proj"], task_type=task, init_lora_weights=False)
        peft.get_peft_model(model, config).save_pretrained(tmp_path / name)
        model = transformers.AutoModelForSequenceClassification.from_pretrained(base, num_labels=1)
    first = scores(load(base, peft=str(tmp_path / "with")), PAIRS)
    assert first == scores(load(base, peft=str(tmp_path / "with")), PAIRS)
    with pytest.raises(UserError, match=r"lacks score.weight"):
        load(base, peft=str(tmp_path / "without"))


def test_missing_chat_template_can_be_supplied_in_three_ways(models, tmp_path):
    """The error names the ways, and each of them works."""
    folder = tmp_path / "bare"
    make_model(folder, tokenizer=make_tokenizer(template=None))
    with pytest.raises(UserError) as error:
        load(folder)
    for way in (
        "chat_template=FILE.jinja",
        "tokenizer=MODEL_THAT_HAS_ONE",
        "chat_template.jinja in the model's folder",
    ):
        assert way in str(error.value)
    file = tmp_path / "mine.jinja"
    file.write_text(TEMPLATE)
    by_file = scores(load(folder, chat_template=str(file)), PAIRS)
    by_tokenizer = scores(load(folder, tokenizer=models["llama-3.1"]), PAIRS)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    assert by_file == by_tokenizer == scores(load(folder), PAIRS) == scores(load(models["llama-3.1"]), PAIRS)


def test_system_message_that_the_template_refuses_is_an_error(tmp_path):
    """Gemma-2's template refuses; dropping the message would change the question."""
    refusing = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    model = load(make_model(tmp_path / "m", tokenizer=make_tokenizer(template=refusing + TEMPLATE)))
    system = Conversation([{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}])
    with pytest.raises(
        UserError, match=r"refuses a conversation with the roles system, user, assistant: System role not"
    ):
        scores(model, [(system, TEXTS[:2])])


def test_template_that_reads_the_clock_is_said_and_recorded(tmp_path, caplog):
    """Llama-3.2's template puts today's date into the prompt unless it is given one."""
    template = "{% if date_string is not defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}"
    folder = make_model(tmp_path / "m", tokenizer=make_tokenizer(template=template + "{{ date_string }}" + TEMPLATE))
    model = load(folder)
    assert "puts today's date" in caplog.text
    assert model.get_model_info()["reward"]["chat_template_date"] == datetime.date.today().isoformat()
    newline = "\n" + TEMPLATE.replace("{{ bos_token }}", "{{ bos_token }}\n")
    steady = load(make_model(tmp_path / "newline", tokenizer=make_tokenizer(template=newline)))
    assert steady.get_model_info()["reward"]["chat_template_date"] is None
    caplog.clear()
    fixed = load(folder, chat_template_args={"date_string": "26 Jul 2024"})
    assert "puts today's date" not in caplog.text
    assert fixed.get_model_info()["reward"]["chat_template_date"] is None
    assert scores(fixed, PAIRS) != scores(model, PAIRS)


def test_not_finite_score_names_the_conversation_after_the_good_ones_are_kept(tmp_path):
    """The answers before it are in the cache."""
    folder = make_model(tmp_path / "m")
    model = load(folder, batch_size=4)
    with torch.no_grad():
        poisoned = model.tokenizer("Z", add_special_tokens=False).input_ids
        model.model.get_input_embeddings().weight[poisoned] = math.nan
    kept = {}
    model.cache_hook.add_partial = lambda kind, args, answer: kept.update({args: answer})
    with pytest.raises(UserError, match=r"task t, document 1, response .: found score nan for 'User: Question Z"):
        scores(model, [(user("Question?"), TEXTS[1:3]), (user("Question Z"), ["yes", "no"])])
    assert {args[1] for args in kept} == set(TEXTS[1:3])


def test_identical_conversations_are_scored_once(models):
    """And every request gets its answer."""
    model = load(models["llama-3.1"])
    twice = scores(model, [*PAIRS, *PAIRS])
    assert twice[:6] == twice[6:]
    assert model.get_model_info()["reward"]["conversations_scored"] == 6


def test_batch_size_auto_gives_the_same_scores(models):
    """The host's own detection, on our batches."""
    model = load(models["llama-3.1"], scoring="padded", batch_size="auto", max_batch_size=8)
    assert scores(model, PAIRS) == pytest.approx(scores(load(models["llama-3.1"]), PAIRS), abs=1e-5)
    assert model.batch_sizes == {0: 8}
    few = load(models["llama-3.1"], scoring="padded", batch_size="auto:4", max_batch_size=8)
    assert scores(few, PAIRS[1:]) == pytest.approx(scores(model, PAIRS[1:]), abs=1e-5)


def test_running_out_of_memory_is_one_line(models, monkeypatch):
    """auto halves the batch; a fixed size says what to change."""

    def too_large(batch):
        if len(batch) > 2:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return [0.0] * len(batch)

    fixed = load(models["llama-3.1"], scoring="padded")
    auto = load(models["llama-3.1"], scoring="padded", batch_size="auto", max_batch_size=8)
    monkeypatch.setattr(fixed.scorer, "score", too_large)
    monkeypatch.setattr(auto.scorer, "score", too_large)
    with pytest.raises(UserError, match=r"out of memory with 4 conversations of up to \d+ tokens; expected a smaller"):
        scores(fixed, PAIRS)
    assert len(scores(auto, PAIRS)) == 6
    assert auto.batch_sizes == {0: 2}


def test_mixed_precision_runs_under_autocast(models):
    """The host's mixed_precision_dtype changes the arithmetic, not the weights."""
    mixed = load(models["qwen-3"], mixed_precision_dtype="bfloat16")
    assert mixed.model.dtype == torch.float32
    found, exact = scores(mixed, PAIRS), scores(load(models["qwen-3"]), PAIRS)
    assert found != pytest.approx(exact, abs=1e-4)
    assert found == pytest.approx(exact, abs=0.2)


def test_pad_token_that_no_text_contains(tmp_path, models):
    """-1 in a config skips nothing and must not be looked up in the embeddings."""
    folder = shutil.copytree(models["llama-3.1"], tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "pad_token_id": -1}))
    assert scores(load(folder), PAIRS) == pytest.approx(scores(load(models["llama-3.1"]), PAIRS), abs=1e-5)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"maxlength": 9}, r"could not load .*maxlength"),
        ({"pretrained": "no/such-model"}, r"found no model 'no/such-model', expected a folder or a hub name"),
        ({"tokenizer": "no/such-tokenizer"}, r"could not load .*no/such-tokenizer"),
        ({"chat_template": "absent.jinja"}, r"found no file 'absent.jinja' for chat_template"),
        ({"chat_template": "{% for %}" + "x" * 300}, r"chat template of .* refuses a conversation with the roles user"),
        ({"pretrained": None}, r"found no pretrained=… in --model_args"),
        ({"pretrained": "/no/such/folder"}, r"found no folder /no/such/folder, expected"),
        ({"dtype": "bf16"}, r"could not load .* with .*dtype=bf16"),
        ({"pad_rule": "left"}, r"found pad_rule=left, expected config or reference"),
    ],
)
def test_bad_model_arguments_get_one_line(models, options, line):
    """Whatever transformers raises, the last line says what to look at."""
    with pytest.raises(UserError, match=line) as error:
        HFReward(**{"pretrained": models["llama-3.1"], "device": "cpu", **options})
    assert "\n" not in str(error.value)


def test_contexts_of_the_hosts_own_tasks(models):
    """Plain text is one user message; one space before the continuation is the host's delimiter, not the response's."""
    model = load(models["llama-3.1"])
    plain = scores(model, [("Question?", [" yes", " no"])])
    assert plain == pytest.approx(scores(model, [(user("Question?"), ["yes", "no"])]), abs=1e-6)
    history = model.apply_chat_template([{"role": "user", "content": "Question?"}])
    assert scores(model, [(history, ["yes", "no"])]) == pytest.approx(plain, abs=1e-6)
    begun = Conversation([{"role": "user", "content": "Question?"}, {"role": "assistant", "content": "My answer: "}])
    expected = scores(model, [(user("Question?"), ["My answer: yes", "My answer: no"])])
    assert scores(model, [(begun, ["yes", "no"])]) == pytest.approx(expected, abs=1e-6)


def test_apply_chat_template_changes_nothing(models, tmp_path, task_manager):
    """The model renders conversations itself; with the host's flag the messages arrive all the same."""
    from lm_eval import simple_evaluate

    task = preference_task([{"prompt": "One?", "chosen": "long answer", "rejected": "short"}], tmp_path)
    logged = [
        simple_evaluate(
            model=load(models["qwen-3"]), tasks=[task], task_manager=task_manager, apply_chat_template=flag
        )["samples"]["mine"][0]
        for flag in (False, True)
    ]
    assert logged[0]["filtered_resps"] == logged[1]["filtered_resps"]
    assert logged[0]["arguments"] == logged[1]["arguments"]


def test_what_a_reward_model_cannot_do_is_refused(models):
    """One line that names the task and says what survives."""
    model = load(models["llama-3.1"])
    with pytest.raises(UserError, match=r"task lambada, document 0: found one continuation, expected several"):
        model.loglikelihood(requests([("The sky is", [" blue"])], task="lambada"))
    for ask, what in ((model.generate_until, "generated text"), (model.loglikelihood_rolling, "likelihoods of whole")):
        with pytest.raises(UserError, match=rf"task wiki asks for {what}.*survive only under --use_cache"):
            ask(requests([("x", ["y"])], task="wiki"))


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


def test_retrained_weights_in_the_same_folder_are_another_model(tmp_path):
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


@pytest.mark.parametrize("template", [False, True])
def test_plain_language_model_ranks_by_log_likelihood(models, tmp_path, task_manager, template):
    """`--model hf` on a preference task: the sum of the response's token log-probabilities, computed here by hand."""
    from lm_eval import simple_evaluate

    folder = make_model(tmp_path / "lm", classifier=False)
    task = preference_task([{"prompt": "One?", "chosen": "long answer", "rejected": "short"}], tmp_path)
    model = HFLM(pretrained=folder, device="cpu")
    results = simple_evaluate(model=model, tasks=[task], task_manager=task_manager, apply_chat_template=template)
    [sample] = results["samples"]["mine"]
    context = "<|bos|><|user|>One?<|end|><|assistant|>" if template else "User: One?\n\nAssistant: "
    assert sample["arguments"][0] == (context, "long answer")
    ids = model.tok_encode(context + "long answer")
    split = len(model.tok_encode(context.rstrip(" ")))
    with torch.no_grad():
        logits = model.model(torch.tensor([ids])).logits[0].log_softmax(-1)
    expected = sum(logits[i - 1, ids[i]].item() for i in range(split, len(ids)))
    assert sample["filtered_resps"][0][0] == pytest.approx(expected, abs=1e-4)

"""hf-reward on tiny real models: what a score is, what is refused, what is recorded."""

import inspect
import json
import math
import shutil

import pytest
import torch
import transformers
from conftest import FAMILIES, make_model, make_tokenizer, preference_task
from lm_eval.models.huggingface import HFLM
from rewards import PAIRS, TEXTS, load, requests, scores, user

from skywork_rb_plugin import HFReward, UserError
from skywork_rb_plugin.models.options import check_names


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
    assert (reward["device"], reward["processes"]) == ("cpu", 1)


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


def test_options_of_the_models_own_loading_are_handed_on(models):
    """Names that only look like ours: transformers' own, and keys of the config."""
    names = {"max_memory", "torch_dtype", "token", "device_map", *transformers.LlamaConfig().to_dict()}
    check_names(names, {*inspect.signature(HFLM).parameters, *inspect.signature(HFReward).parameters})
    assert load(models["llama-3.1"], rms_norm_eps=0.5).model.config.rms_norm_eps == 0.5


def test_model_args_go_before_flags(models):
    """The host's command line passes `--device cuda:0` where the user gave none."""
    arguments = {"pretrained": models["llama-3.1"], "device": "cpu", "batch_size": 3, "scoring": "padded"}
    model = HFReward.create_from_arg_obj(arguments, {"device": "cuda:99", "batch_size": 1, "max_batch_size": None})
    assert (str(model.device), model.scorer.batch_size) == ("cpu", 3)


def test_adapter_must_bring_the_head(tmp_path):
    """A PEFT adapter of a language model with a trained head scores; one without a head is refused."""
    import peft

    base = make_model(tmp_path / "base", classifier=False)
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
        ({"maxlength": 9}, r"found maxlength in --model_args, did you mean max_length\?"),
        ({"scorring": "tree"}, r"found scorring in --model_args, did you mean scoring\?"),
        ({"no_such_option": 9}, r"could not load .* with no_such_option=9 on cpu: TypeError: .*no_such_option"),
        ({"max_length": 0}, r"found max_length=0, expected a whole number of tokens above 0"),
        ({"max_length": -1}, r"found max_length=-1, expected a whole number of tokens above 0"),
        (
            {"max_position_embeddings": "2k"},
            r"found max_position_embeddings='2k', expected a whole number of tokens above",
        ),
        ({"max_length": "2k"}, r"found max_length='2k', expected a whole number of tokens above 0"),
        ({"chat_template": 5}, r"found chat_template=5, expected a Jinja file or the name of a template"),
        ({"chat_template_args": "foo"}, r"found chat_template_args='foo', expected names and values"),
        ({"pretrained": 5}, r"found pretrained=5, expected a hub name, a folder, or a loaded model"),
        ({"device": "gpu"}, r"found device=gpu, expected cpu, cuda, cuda:N or mps"),
        ({"device": "cuda:99"}, r"found device=cuda:99, expected (cpu: there is no CUDA|cuda:0 to)"),
        ({"pretrained": "no/such-model"}, r"found no model 'no/such-model', expected a folder or a hub name"),
        ({"tokenizer": "no/such-tokenizer"}, r"could not load .*no/such-tokenizer"),
        ({"chat_template": "absent.jinja"}, r"found no file 'absent.jinja' for chat_template"),
        ({"chat_template": "{% for %}" + "x" * 300}, r"chat template of .* refuses a conversation with the roles user"),
        ({"pretrained": None}, r"found no pretrained=… in --model_args"),
        ({"pretrained": "/no/such/folder"}, r"found no folder /no/such/folder, expected"),
        ({"dtype": "bf16"}, "found dtype=bf16, expected auto, bfloat16, float16 or float32"),
        ({"pad_rule": "left"}, r"found pad_rule=left, expected config or reference"),
        *(
            ({"batch_size": size}, rf"found --batch_size {size}, expected a whole number above 0, auto, or auto:N")
            for size in ("auto:0", "auto:-1", "auto:x", "auto:", "auto:inf", "automatic", "0", -3, 1.5, "1.5")
        ),
        ({"max_batch_size": 0}, r"found --max_batch_size 0, expected a whole number above 0"),
    ],
)
def test_bad_model_arguments_get_one_line(models, options, line):
    """Whatever transformers raises, the last line says what to look at."""
    with pytest.raises(UserError, match=line) as error:
        HFReward(**{"pretrained": models["llama-3.1"], "device": "cpu", **options})
    assert "\n" not in str(error.value)


def test_what_a_reward_model_cannot_do_is_refused(models):
    """One line that names the task and says what survives."""
    model = load(models["llama-3.1"])
    with pytest.raises(UserError, match=r"task lambada, document 0: found one continuation, expected several"):
        model.loglikelihood(requests([("The sky is", [" blue"])], task="lambada"))
    for ask, what in ((model.generate_until, "generated text"), (model.loglikelihood_rolling, "likelihoods of whole")):
        with pytest.raises(UserError, match=rf"task wiki asks for {what}.*survive only under --use_cache"):
            ask(requests([("x", ["y"])], task="wiki"))


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

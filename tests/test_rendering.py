"""How a conversation becomes the tokens that a model is given: template, BOS, cuts, contexts of the host."""

import datetime
import shutil

import pytest
import torch
import transformers
from conftest import TEMPLATE, make_model, make_tokenizer, preference_task
from rewards import PAIRS, TEXTS, load, scores, user

from skywork_rb_plugin import Conversation, HFReward, UserError


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
    assert "2 of 2 conversations do not fit into 40 tokens and were cut from the left" in caplog.text
    info = model.get_model_info()["reward"]
    lost = sum(len(model.renderer.encode([whole.replace(TEXTS[0], text)])[0]) - 40 for text in TEXTS[:2])
    assert (info["conversations_truncated"], info["tokens_truncated"]) == (2, lost)


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


def test_a_length_beyond_the_model_s_positions_is_refused(models, tmp_path):
    """Before the weights are loaded, as the config states them; unless the user says that there are more."""
    for options, own in (({}, 512), ({"max_position_embeddings": 600}, 600)):
        with pytest.raises(UserError, match=rf"found max_length=1000000000, expected at most {own}, the length that /"):
            load(models["llama-3.1"], max_length=10**9, **options)
    assert load(models["llama-3.1"], max_length=600, max_position_embeddings=600).renderer.max_length == 600
    loaded = transformers.AutoModelForSequenceClassification.from_pretrained(models["llama-3.1"])
    with pytest.raises(UserError, match="expected at most 512, the length that LlamaForSequenceClassification states"):
        HFReward(pretrained=loaded, tokenizer=make_tokenizer(), max_length=513)
    given = HFReward(pretrained=loaded, tokenizer=make_tokenizer(), max_length=513, max_position_embeddings=513)
    assert (given.renderer.max_length, loaded.config.max_position_embeddings) == (513, 512)
    folder = shutil.copytree(models["llama-3.1"], tmp_path / "m")
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match="found max_length=513, expected at most 512"):
        load(folder, max_length=513)


def test_another_length_is_no_advice_without_a_word_on_positions_that_go_by_it(models, tmp_path):
    """Rotary positions of some kinds are scaled by the length that the config states: other scores for everything."""
    for kind in ("yarn", "dynamic"):
        rope = {"rope_type": kind, "factor": 2.0, "rope_theta": 10000.0, "original_max_position_embeddings": 256}
        folder = make_model(tmp_path / kind, rope_parameters=rope)
        with pytest.raises(
            UserError, match=rf"in --model_args \(which changes its rotary positions, of the kind {kind}, and so all"
        ):
            load(folder, max_length=10**9)
    with pytest.raises(UserError, match=r"beside it in --model_args$"):
        load(models["llama-3.1"], max_length=513)


def test_a_model_that_would_see_the_same_of_two_responses_is_refused(models, tmp_path, caplog):
    """A template without the response, a length of one token, a head of zeros: every pair would tie in silence."""
    blind = TEMPLATE.replace("message['content'] }}<|end|>", "'' }}<|end|>")
    with pytest.raises(
        UserError, match=r"differ in their response the same text .*expected one that shows the response"
    ):
        load(make_model(tmp_path / "blind", tokenizer=make_tokenizer(template=blind)))
    with pytest.raises(UserError, match="found max_length=1, which cuts two different responses to the same tokens"):
        load(models["llama-3.1"], max_length=1)
    assert "every pair ties" not in caplog.text
    zeros = transformers.AutoModelForSequenceClassification.from_pretrained(models["llama-3.1"])
    with torch.no_grad():
        zeros.score.weight.zero_()
    HFReward(pretrained=zeros, tokenizer=make_tokenizer())
    assert "3 different short conversations all have the reward 0: is the head trained?" in caplog.text


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

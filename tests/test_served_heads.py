"""api-reward: what is known of the served checkpoint decides what is sent, and what is refused."""

import json

import pytest
import transformers
from conftest import TEMPLATE, make_model, make_tokenizer, preference_task
from lm_eval import simple_evaluate
from servers.faults import later
from servers.stand_in import RewardServer, running
from test_api_reward import LENGTH, PAIRS, computed, load, number
from tiny_checkpoints import decoder, numbers, write

import skywork_rb_plugin as rb
from skywork_rb_plugin import UserError, commands

ROWS = [{"prompt": f"Question {i}?", "chosen": f"answer {i}", "rejected": f"no {i}"} for i in range(12)]


def checkpoint(folder, architecture, shapes, template=TEMPLATE):
    """A tiny Qwen-2 with a head of some tensors."""
    config, tensors = decoder("qwen2", architectures=[architecture], num_labels=shapes["score.weight"][0])
    tensors |= {name: numbers(name, shape) for name, shape in shapes.items()}
    return str(write(folder, config, tensors, make_tokenizer(template=template)))


def sent_by(served, model):
    """The token ids that score PAIRS."""
    served.sent = []
    model.score(PAIRS)
    return sorted(tuple(one) for sent in served.sent for one in sent)


def test_a_checkpoint_of_openrlhf_ends_as_in_its_training(tmp_path):
    """Without the template's last newline and with EOS, as hf-reward has it; by the folder that the server names."""
    folder = checkpoint(tmp_path / "m", "RewardModel", {"score.weight": (1, 32)}, TEMPLATE + "{{ '\n' }}")
    hf = rb.load(folder, device="cpu", max_length=LENGTH)
    texts = list(hf.renderer.render_all(map(_messages, PAIRS)))
    expected = sorted(tuple(hf.renderer.cut(ids)) for ids in hf.renderer.encode(texts))
    assert all(text.endswith(hf.tokenizer.eos_token) for text in texts)
    with running(RewardServer(number, root=folder, length=LENGTH)) as served:
        assert sent_by(served, load(served)) == expected
    with running(RewardServer(number, "openrlhf", make_tokenizer())) as served:
        for options in ({"pretrained": folder}, {"tokenizer": folder}):
            model = load(served, max_length=LENGTH, **options)
            assert list(model.renderer.render_all(map(_messages, PAIRS))) == texts


def test_a_conversation_that_ends_in_pad_tokens_is_read_before_them(tmp_path):
    """As in hf-reward: what follows the token that is read is not sent."""
    pad = make_tokenizer().convert_tokens_to_ids("<|end|>")
    folder = make_model(tmp_path / "m", "qwen-3", pad_token_id=pad)
    hf = rb.load(folder, device="cpu", max_length=LENGTH)
    with running(RewardServer(computed(folder), root=folder, length=LENGTH)) as served:
        model = load(served)
        assert model.score(PAIRS) == pytest.approx(hf.score(PAIRS), abs=1e-5)
        assert not any(one[-1] == pad for one in sent_by(served, model))


def test_a_head_that_no_server_reads_is_refused(tmp_path):
    """One line that names the backend which does."""
    folder = checkpoint(tmp_path / "m", "Qwen2ForTokenClassification", {"score.weight": (2, 32), "score.bias": (2,)})
    with (
        running(RewardServer(number, root=folder, length=LENGTH)) as served,
        pytest.raises(UserError, match=r"read by the head token-classifier, .*; --model hf-reward reads it"),
    ):
        load(served)


def test_a_server_of_which_nothing_is_known_is_said(models, caplog):
    """Its checkpoint may want another format."""
    with running(RewardServer(number)) as served:
        load(served, tokenizer=models["llama-3.1"])
        assert "can't be looked at from here (org/tiny)" in caplog.text
        caplog.clear()
        load(served, pretrained=models["llama-3.1"])
    assert "can't be looked at" not in caplog.text


def test_a_model_that_another_takes_the_place_of(models, task_manager, tmp_path):
    """OpenRLHF's server names none: known by its answers; the run's cache is refused from then on."""
    folder, cache = models["llama-3.1"], str(tmp_path / "cache")

    def run(model):
        task = preference_task(ROWS, tmp_path)
        return simple_evaluate(model=model, tasks=[task], task_manager=task_manager, use_cache=cache, bootstrap_iters=0)

    with running(RewardServer(number, "openrlhf", transformers.AutoTokenizer.from_pretrained(folder))) as served:
        model, asked = load(served, pretrained=folder, num_concurrent=1, max_length=LENGTH), []

        def changing(ids):
            asked.append(1)
            return [score + 5 * (len(asked) > 3) for score in number(ids)]

        served.score = changing
        with pytest.raises(UserError, match=r"found the score .* when this run began: .* is refused from now on"):
            run(model)
        served.score = number
        with pytest.raises(UserError, match="was made with model of two models, since the server changed it"):
            run(load(served, pretrained=folder, max_length=LENGTH))


def test_the_score_command(models, tmp_path, monkeypatch, capsys):
    """Begun again with other time-outs after the server failed, it asks for the rest."""
    monkeypatch.chdir(tmp_path)
    rows = [{"prompt": f"Question {i}?", "response": f"answer {i}"} for i in range(20)]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = {"pretrained": models["llama-3.1"], "num_concurrent": 1, "max_length": LENGTH}
    with running(RewardServer(number)) as served:

        def score(**more):
            given = json.dumps({**options, "base_url": served.url, **more})
            commands.run(
                "score", ["--model", "api-reward", "--model_args", given, "--data", "data.jsonl", "-o", "o.jsonl"]
            )

        served.fault = later(8, lambda handler, content: handler.answer(400, "full"))
        with pytest.raises(UserError, match="found status 400 with 'full'"):
            score(max_retries=0)
        served.fault, served.sent = None, []
        score(max_retries=3, batch_size=2, timeout=20)
        assert len([one for sent in served.sent for one in sent]) < 20 + 2 * 6 + 1
    model_rows = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert len(model_rows) == 20


def _messages(pair):
    prompt, response = pair
    before = prompt if isinstance(prompt, list) else [{"role": "user", "content": prompt}]
    return [*before, {"role": "assistant", "content": response}]

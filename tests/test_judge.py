"""Judges: a scripted one with known opinions, a real language model, and a server of the OpenAI API."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from conftest import make_model, make_tokenizer, preference_task
from scripted import evaluate

from skywork_rb_plugin import JudgeTask, UserError
from skywork_rb_plugin.metrics.sections import SECTIONS
from skywork_rb_plugin.tasks.judge import verdict

ROWS = [
    {"id": i, "prompt": [{"role": "user", "content": f"Question {i}?"}], "chosen": f"good {i}", "rejected": f"bad {i}"}
    for i in range(4)
]


def judge_task(folder, rows=ROWS, **settings):
    """A judge task on a local file."""
    return {**preference_task(rows, folder), "class": JudgeTask, "output_type": "generate_until", **settings}


def answers(prompt):
    """The two answers in a prompt, in its order."""
    return re.search(r"<answer_a>\n(.*?)\n</answer_a>\n\n<answer_b>\n(.*?)\n</answer_b>", prompt, re.DOTALL).groups()


def opinions(prompt):
    """Row 0: right both times; 1: always the first; 2: wrong both times; 3: right once, else no verdict."""
    first, _ = answers(prompt)
    right = "A" if first.startswith("good") else "B"
    row = first[-1]
    if row == "3" and right == "B":
        return "I like both."
    return f"Because.\n[[{ {'0': right, '1': 'A', '2': 'AB'.replace(right, ''), '3': right}[row] }]]"


def test_both_orders_are_asked_and_counted(task_manager, tmp_path, caplog):
    """Every kind of row counts as documented, and the first reply without a verdict is shown."""
    metrics = ["acc", "acc_both_orders", "inconsistent", "unparsable"]
    results, model = evaluate(opinions, [judge_task(tmp_path, metric_list=metrics)], task_manager)
    row = results["results"]["mine"]
    assert row["acc,none"] == pytest.approx((1 + 0.5 + 0 + 0.5) / 4)
    assert row["acc_both_orders,none"] == row["inconsistent,none"] == 0.25
    assert row["unparsable,none"] == 0.5 / 4
    assert len(model.requests) == 8
    asked = [answers(prompt) for prompt, _ in model.requests]
    assert asked[:2] == [("good 0", "bad 0"), ("bad 0", "good 0")]
    assert all(kwargs["until"] == [] and kwargs["max_gen_toks"] == 1024 for _, kwargs in model.requests)
    assert "row 3 (id 3): found no verdict [[A]] or [[B]] in a reply of 12 characters" in caplog.text
    assert caplog.text.count("found no verdict") == 1
    assert results["higher_is_better"]["mine"] == dict(zip(metrics, (True, True, False, False), strict=True))


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("Reasons.\n[[A]]", 0),
        ("[[B]] since B is right. So [[B]]", 1),
        ("[[A]]\nNo, [[B]]", None),
        ("[[C]]", None),
        ("A is better", None),
        ("the list [[1, 2], [3]] is right: [[A]]", 0),
        ("[[a]]", None),
        ("", None),
    ],
)
def test_verdicts_are_read_strictly(reply, expected):
    """One letter in double brackets, A or B, and no other."""
    assert verdict(reply) == expected


def test_labels_conversations_and_a_prompt_of_ones_own(task_manager, tmp_path):
    """The preferred response may be the second one; turns are shown with their roles; the prompt can be replaced."""
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    rows = [{"talk": turns, "x": "bad 0", "y": "good 0", "label": "y"}]
    task = judge_task(
        tmp_path, rows, doc_to_text="talk", doc_to_choice=["x", "y"], doc_to_target={"label": {"x": 0, "y": 1}},
        judge_prompt="{{prompt}}|<answer_a>\n{{answer_a}}\n</answer_a>\n\n<answer_b>\n{{answer_b}}\n</answer_b>",
    )  # fmt: skip
    results, model = evaluate(opinions, [task], task_manager, system_instruction="Judge.")
    assert results["results"]["mine"]["acc,none"] == 1.0
    assert model.requests[0][0].startswith("Judge.\n\nSystem: Be brief.\n\nUser: Hi|<answer_a>\nbad 0")
    assert results["configs"]["mine"]["judge_prompt"].startswith("{{prompt}}|")


def test_a_reply_of_null_is_unparsable(task_manager, tmp_path, caplog):
    """Servers send it for what they refuse; the other replies count."""
    metrics = ["acc", "unparsable"]
    results, _ = evaluate(
        lambda prompt: None if "1" in answers(prompt)[0] else opinions(prompt),
        [judge_task(tmp_path, metric_list=metrics)],
        task_manager,
    )
    row = results["results"]["mine"]
    assert (row["acc,none"], row["unparsable,none"]) == (pytest.approx((1 + 0 + 0 + 0.5) / 4), pytest.approx(1.5 / 4))
    assert "row 1 (id 1): found no verdict [[A]] or [[B]] in a reply of 0 characters" in caplog.text


@pytest.mark.parametrize(
    ("prompt", "missing"),
    [
        ("Which is better?", "{{answer_a}} and {{answer_b}}"),
        ("", "{{answer_a}} and {{answer_b}}"),
        ("{{prompt}} {{answer_a}}", "{{answer_b}}"),
        ("{{prompt}} answer_a {{answer_b}}", "{{answer_a}}"),
    ],
)
def test_a_judge_must_see_both_answers(task_manager, tmp_path, prompt, missing):
    """A prompt that shows one or none is no question."""
    with pytest.raises(UserError) as error:
        task_manager.load([judge_task(tmp_path, judge_prompt=prompt)])
    assert f"task mine: found `judge_prompt` without {missing}, expected Jinja that shows both" in str(error.value)


def test_a_judge_who_sees_no_prompt_is_pointed_out(task_manager, tmp_path, caplog):
    """It may be meant; an empty key is our own question."""
    both = "{% if answer_a %}{{answer_a|trim}}{% endif %} or {{answer_b}}?"
    task_manager.load([judge_task(tmp_path, judge_prompt=both)])
    assert "mine: `judge_prompt` has no {{prompt}}: the judge sees the answers alone" in caplog.text
    caplog.clear()
    task = task_manager.load([judge_task(tmp_path, judge_prompt=None)])["tasks"]["mine"]
    assert task.fewshot_context(task.eval_docs[0])[0].startswith("Below are a conversation")
    assert "judge_prompt" not in caplog.text


def test_three_responses_are_refused(task_manager, tmp_path):
    """A judge compares two."""
    rows = [{"prompt": "p", "chosen": "a", "rejected": ["b", "c"]}]
    with pytest.raises(UserError, match="task mine, row 0: found 3 responses, expected two: a judge compares pairs"):
        evaluate(opinions, [judge_task(tmp_path, rows)], task_manager)


def test_cached_requests_know_the_question(task_manager, tmp_path, monkeypatch):
    """--cache_requests must not bring back an old question, or the old length of a reply."""
    monkeypatch.setattr("lm_eval.caching.cache.PATH", str(tmp_path / "requests"))

    def asked(**settings):
        task = judge_task(tmp_path, **settings)
        text, kwargs = evaluate(lambda _: "[[A]]", [task], task_manager, cache_requests=True)[1].requests[0]
        return text, kwargs["max_gen_toks"], kwargs["until"]

    question, length, until = asked()
    assert (length, until) == (1024, [])
    assert asked(generation_kwargs={"max_gen_toks": 16})[1:] == (16, [])
    assert asked(judge_prompt="{{answer_a}} or {{answer_b}}?")[0] == "good 0 or bad 0?\n"
    assert asked()[0] == question


def test_own_process_results_and_contexts_that_differ(task_manager, tmp_path):
    """A YAML's own `process_results` is honoured; two responses after different messages are no question."""

    def mean_length(doc, replies):
        return {"mine_only": sum(map(len, replies)) / 2}

    metrics = [{"metric": "mine_only", "aggregation": "mean", "higher_is_better": True}]
    task = judge_task(tmp_path, process_results=mean_length, metric_list=metrics)
    assert evaluate(lambda _: "[[A]]", [task], task_manager)[0]["results"]["mine"]["mine_only,none"] == 5
    turn = {"role": "user", "content": "one"}
    rows = [{"chosen": [turn, {"role": "assistant", "content": "a"}],
             "rejected": [{**turn, "content": "two"}, {"role": "assistant", "content": "b"}]}]  # fmt: skip
    with pytest.raises(UserError, match="row 0: found two responses after different messages, expected one prompt"):
        evaluate(opinions, [judge_task(tmp_path, rows)], task_manager)
    with pytest.raises(
        UserError, match=r"row 0 .id 0.: found .anser. is undefined in `judge_prompt`, expected Jinja of prompt, ans"
    ):
        evaluate(opinions, [judge_task(tmp_path, judge_prompt="{{anser}}")], task_manager)
    with pytest.raises(
        UserError, match=r"found judge_promt .did you mean judge_prompt.., expected lm-eval's task keys or doc_to_text"
    ):
        evaluate(opinions, [judge_task(tmp_path, judge_promt="x")], task_manager)


def test_judge_rewardbench(data_root, monkeypatch, task_manager):
    """The 23 subsets with the official weights; names that do not match rewardbench_*."""
    monkeypatch.setenv("SKYWORK_RB_DATA_ROOT", str(data_root))

    def likes_code(prompt):
        first, _ = answers(prompt)
        right = "A" if first.startswith("good") else "B"
        return f"[[{right if ' of hep-' in prompt else 'A'}]]"

    results, _ = evaluate(likes_code, ["judge-rewardbench"], task_manager, limit=2, log_samples=False)
    groups = results["groups"]
    assert groups["judge-rewardbench::reasoning"]["acc,none"] == pytest.approx((984 * 0.5 + 984) / 1968)
    assert groups["judge-rewardbench"]["acc,none"] == pytest.approx((0.5 * 3 + 0.75) / 4)
    assert groups["judge-rewardbench"]["inconsistent,none"] == pytest.approx((3 + 0.5) / 4)
    assert groups["judge-rewardbench"]["unparsable,none"] == 0
    subsets = [name for name in task_manager.match_tasks(["judge-rewardbench-*"]) if name in results["results"]]
    assert len(subsets) == 23
    assert len(task_manager.load(task_manager.match_tasks(["judge-rewardbench-*"]))["tasks"]) == 23
    # the same weights in three places: the two groups' YAMLs, and the score of a task with all subsets
    weights = {s: w / sum(ws.values()) / 4 for ws in SECTIONS.values() for s, w in ws.items()}
    for group, prefix, sign in (("judge-rewardbench", "judge-rewardbench-", "-"), ("rewardbench", "rewardbench_", "_")):
        shares = task_manager.load([group])["groups"][group].shares()
        assert shares == pytest.approx({prefix + s.lower().replace("-", sign): w for s, w in weights.items()})


def test_real_language_model(task_manager, tmp_path):
    """`--model hf` with random weights: its babble has no verdict, and that is what the table says."""
    from lm_eval import simple_evaluate

    folder = make_model(tmp_path / "lm", classifier=False, tokenizer=make_tokenizer())
    results = simple_evaluate(
        model="hf", model_args={"pretrained": str(folder), "device": "cpu"}, tasks=[judge_task(tmp_path, metric_list=["acc", "unparsable"])],
        task_manager=task_manager, apply_chat_template=True, limit=1, gen_kwargs={"max_gen_toks": 4}, bootstrap_iters=0,
    )  # fmt: skip
    row = results["results"]["mine"]
    assert (row["acc,none"], row["unparsable,none"]) == (0, 1)
    sample = results["samples"]["mine"][0]
    assert sample["arguments"][0][0].startswith("<|bos|><|user|>Below are a conversation")
    assert sample["arguments"][0][0].endswith("<|assistant|>")


def test_server_of_the_openai_api(task_manager, tmp_path):
    """`--model local-chat-completions`: the judge's questions arrive as chat messages."""
    from lm_eval import simple_evaluate

    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(body)
            reply = {"choices": [{"index": 0, "message": {"content": opinions(body["messages"][-1]["content"])}}]}
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(reply).encode())

        def log_message(self, *args):
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        results = simple_evaluate(
            model="local-chat-completions",
            model_args={"model": "judge", "base_url": f"http://127.0.0.1:{server.server_port}/v1/chat/completions"},
            tasks=[judge_task(tmp_path)], task_manager=task_manager, apply_chat_template=True, bootstrap_iters=0,
            system_instruction="Be fair.",
        )  # fmt: skip
    finally:
        server.shutdown()
    assert results["results"]["mine"]["acc,none"] == pytest.approx(0.5)
    assert [message["role"] for message in asked[0]["messages"]] == ["system", "user"]
    assert asked[0]["max_tokens"] == 1024
    assert len(asked) == 8

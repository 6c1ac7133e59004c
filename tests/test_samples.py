"""Sample logs: what a row's document tells of rewards and verdicts, and what it must not change."""

import json

import datasets
from conftest import preference_task
from scripted import ScriptedLM, evaluate
from test_docs import fields_of_samples

from skywork_rb_plugin import JudgeTask

ROWS = [
    {"id": 0, "prompt": "p", "chosen": "says 2", "rejected": ["says 1", "says -1.5"]},
    {"id": 1, "prompt": "p", "chosen": "says 1", "rejected": ["says 1"]},
]


class Counted(float):
    """A score that tells how it was made."""

    tokens, cut = 7, False


class CountingLM(ScriptedLM):
    """A model whose scores are `Counted`."""

    def loglikelihood(self, requests, disable_tqdm=False):
        """Score each request."""
        return [(Counted(score), greedy) for score, greedy in super().loglikelihood(requests)]


def number(context, response):
    """The scorer: the number that a response ends with."""
    return float(response.split()[-1])


def samples_of(model, task, task_manager):
    """The task's sample logs from a run of a model of our own."""
    from lm_eval import simple_evaluate

    return simple_evaluate(model=model, tasks=[task], task_manager=task_manager, bootstrap_iters=0)["samples"]["mine"]


def test_rewards_as_numbers(task_manager, tmp_path):
    """Every field, as JSON has it; what the model does not tell is null."""
    task = preference_task(ROWS, tmp_path, metric_list=["margin"])
    samples = samples_of(CountingLM(number), task, task_manager)
    written = [json.loads(json.dumps(sample["doc"]["skywork_rb"])) for sample in samples]
    assert written == [
        {"rewards": [2.0, 1.0, -1.5], "preferred": [0], "margin": 1.0, "right": True, "tokens": [7, 7, 7], "cut": [False] * 3},
        {"rewards": [1.0, 1.0], "preferred": [0], "margin": 0.0, "right": False, "tokens": [7, 7], "cut": [False] * 2},
    ]  # fmt: skip
    assert list(written[0]) == fields_of_samples()[0]
    assert [list(sample["metrics"]) for sample in samples] == [["margin"]] * 2
    plain = samples_of(ScriptedLM(number), task, task_manager)
    assert plain[0]["doc"]["skywork_rb"] == {**written[0], "tokens": [None] * 3, "cut": [None] * 3}


def test_rows_are_the_same_for_every_model(task_manager, tmp_path):
    """doc_hash and the requests know nothing of the rewards, also where the data hands out the same dicts each time."""

    class Kept(datasets.Dataset):
        """A dataset that keeps the dicts it has given out."""

        def __iter__(self):
            return iter(kept)

    kept = [{"prompt": "p", "chosen": f"says {i}", "rejected": "says 1"} for i in range(3)]
    unchanged = json.dumps(kept)

    def dataset(**kwargs):
        return datasets.DatasetDict(train=Kept(datasets.Dataset.from_list(kept).data))

    task = preference_task([], tmp_path, dataset_path="custom", dataset_kwargs={}, custom_dataset=dataset)
    for mine in (task, preference_task(kept, tmp_path)):
        runs = [samples_of(ScriptedLM(score), mine, task_manager) for score in (number, lambda *_: 0.5)]
        assert [[sample["doc"]["skywork_rb"]["right"] for sample in run] for run in runs] == [
            [False, False, True],
            [False, False, False],
        ]
        assert [sample["doc_hash"] for sample in runs[0]] == [sample["doc_hash"] for sample in runs[1]]
        assert len({sample["doc_hash"] for sample in runs[0]}) == 3
    assert json.dumps(kept) == unchanged


def test_requests_keep_the_row_as_it_is(task_manager, tmp_path):
    """Whatever reads the requests after the run, the host's caches among them."""
    [task] = task_manager.load([preference_task(ROWS, tmp_path)])["tasks"].values()
    task.build_all_requests()
    for _, doc in task.doc_iterator():
        task.process_results(doc, [(1.0, False)] * len(task.doc_to_choice(doc)))
        assert "skywork_rb" in doc
    assert not any("skywork_rb" in doc for doc in [*task.eval_docs, *(request.doc for request in task.instances)])


def test_verdicts(task_manager, tmp_path):
    """What each of both replies named, and whether it was right."""
    rows = [{"prompt": "p", "chosen": "good", "rejected": "bad"}]
    task = {**preference_task(rows, tmp_path), "class": JudgeTask, "output_type": "generate_until"}
    for reply, told in (
        ("[[A]]", {"verdicts": ["A", "A"], "preferred": [0], "right": [True, False]}),
        ("none", {"verdicts": [None, None], "preferred": [0], "right": [False, False]}),
    ):
        results, _ = evaluate(lambda _, reply=reply: reply, [task], task_manager)
        [sample] = results["samples"]["mine"]
        assert sample["doc"]["skywork_rb"] == told
        assert list(told) == fields_of_samples()[1]


def test_rows_without_metrics(task_manager, tmp_path):
    """--predict_only computes no metric and still tells the rewards."""
    results, _ = evaluate(number, [preference_task(ROWS, tmp_path)], task_manager, predict_only=True)
    assert [sample["doc"]["skywork_rb"]["margin"] for sample in results["samples"]["mine"]] == [1.0, 0.0]
    assert not any(key.startswith("acc") for key in results["results"]["mine"])

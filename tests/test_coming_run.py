"""What is wrong with a run's tasks is told before its model is loaded: a model folder that is not there shows the order."""

import logging

import pytest
from conftest import preference_task, write_rows
from lm_eval import simple_evaluate
from lm_eval.api.registry import get_model, register_model
from lm_eval.api.task import ConfigurableTask
from scripted import ScriptedLM
from test_judge import judge_task

from skywork_rb_plugin import HFReward, JudgeTask, UserError, WeightedGroup, host
from skywork_rb_plugin.host import TaskManager, coming_evaluation
from skywork_rb_plugin.models.coming_run import check_tasks

ABSENT = {"pretrained": "/no/such/folder", "device": "cpu"}
NO_MODEL = "found no folder /no/such/folder"
ROWS = [{"prompt": "One?", "chosen": "long answer", "rejected": "short"}]


def evaluate(tasks, manager, **options):
    """A run that makes its model itself."""
    return simple_evaluate(
        **{"model": "hf-reward", "model_args": ABSENT, "tasks": tasks, "task_manager": manager, **options}
    )


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"dataset_kwarg": {}}, r"task mine: found dataset_kwarg \(did you mean dataset_kwargs"),
        ({"metric_list": [{"metric": "acuracy"}]}, "task mine: .*acuracy"),
        ({"dataset_kwargs": {"data_files": "absent.jsonl"}}, "task mine: could not load the json files .*absent.jsonl"),
        ({"doc_to_text": "{{ promt }}"}, r"task mine, row 0"),
        ({"class": JudgeTask, "output_type": "generate_until"}, "task mine asks for generated text, which a reward"),
        ({"class": JudgeTask}, "task mine asks for generated text, which a reward model can't give"),
    ],
)
def test_a_task_of_ours_is_loaded_before_the_model(tmp_path, task_manager, settings, line):
    """Keys, metrics, data, the first row, and what no reward model can do; in a stock group's list and a group of ours too."""
    task = preference_task(ROWS, tmp_path, **settings)
    member = {**task, "weight": 1}
    for tasks in ([task], [{"task": "ours", "class": WeightedGroup, "members": [member]}]):
        with pytest.raises(UserError, match=line):
            evaluate(tasks, task_manager)


def test_tasks_are_found_by_path_tag_and_stock_group(tmp_path, monkeypatch):
    """However `--tasks` names them; by the class that a YAML's function gives, also one derived from ours."""
    (tmp_path / "derived.py").write_text(
        "import skywork_rb_plugin\nclass Mine(skywork_rb_plugin.PreferenceTask): ...\n"
    )
    (tmp_path / "mine.yaml").write_text(
        "task: mine\ntag: some\nclass: !function derived.Mine\ndataset_path: json\n"
        "dataset_kwargs: {data_files: absent.jsonl}\ntest_split: train\n"
    )
    (tmp_path / "stock.yaml").write_text(
        "group: stock\ntask:\n  - {group: inner, task: [{task: mine, num_fewshot: 0}]}\n"
    )
    manager = TaskManager(include_path=str(tmp_path), include_defaults=False)
    for name in ("mine", "some", "stock", str(tmp_path / "mine.yaml")):
        with pytest.raises(UserError, match=r"task mine: could not load the json files .*absent\.jsonl"):
            evaluate([name], manager)
    with pytest.raises(KeyError, match="'absent' is not a registered task"):
        evaluate(["absent"], manager)


def test_groups_that_contain_each_other_are_one_line(tmp_path):
    """The harness follows them until Python stops it."""
    for name, member in (("outer", "one"), ("one", "two"), ("two", "one")):
        (tmp_path / f"{name}.yaml").write_text(f"group: {name}\ntask: [{member}]\n")
    manager = TaskManager(include_path=str(tmp_path), include_defaults=False)
    with pytest.raises(UserError, match=r"found a group that contains itself \(one -> two -> one\), expected an end"):
        evaluate(["outer"], manager)


def test_other_tasks_are_only_asked_what_they_want_of_a_model(task_manager):
    """By the index alone: text and single continuations are refused, data that is not there is not looked for."""
    for name, kind in (
        ("gsm8k", "generated text"),
        ("wikitext", "likelihoods of whole texts"),
        ("lambada_openai", "the likelihood of a single continuation"),
        ("judge-rewardbench-mt-bench-hard", "generated text"),
    ):
        with pytest.raises(UserError, match=rf"task {name} asks for {kind}.*; leave it out of --tasks, or run it with"):
            evaluate([name], task_manager)
    with pytest.raises(UserError, match=NO_MODEL):
        evaluate(
            ["hellaswag", {"task": "mine", "output_type": "multiple_choice", "dataset_path": "no/such"}], task_manager
        )


def test_a_loaded_task_is_not_loaded_again(tmp_path, task_manager):
    """Objects among `tasks`, as Python's callers have them."""
    file = write_rows(tmp_path / "rows.jsonl", [{"q": "Q", "a": "A"}])
    settings = {
        "doc_to_text": "q",
        "doc_to_target": "a",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": file},
        "test_split": "train",
    }
    text = ConfigurableTask(config={"task": "text", "output_type": "generate_until", **settings})
    with pytest.raises(UserError, match="task text asks for generated text"):
        evaluate([text], task_manager)
    loaded = task_manager.load([preference_task(ROWS, tmp_path)])["tasks"]["mine"]
    (tmp_path / "rows.jsonl").unlink()
    with pytest.raises(UserError, match=NO_MODEL):
        evaluate([loaded], task_manager)


def test_a_caller_without_a_task_manager_has_tasks_of_ours_checked(tmp_path):
    """Making a manager of all tasks twice would take seconds; the run's own metadata count."""
    folder = tmp_path / "allenai" / "reward-bench"
    folder.mkdir(parents=True)
    (folder / "filtered.jsonl").write_text("{")
    with pytest.raises(UserError, match=r"could not load the local copy .*/allenai/reward-bench"):
        evaluate(["rewardbench"], None, metadata={"data_root": str(tmp_path)})
    with pytest.raises(UserError, match=r"could not load the local copy .*/allenai/reward-bench"):
        evaluate(["rewardbench"], None, model_args=f"pretrained=/no/such/folder,data_root={tmp_path}")


def test_options_come_before_tasks(tmp_path, task_manager):
    """What needs no file at all is told first."""
    task = preference_task(ROWS, tmp_path, metric_list=[{"metric": "acuracy"}])
    for options, line in (
        ({"model_args": {**ABSENT, "scorring": "tree"}}, "found scorring in --model_args, did you mean scoring"),
        (
            {"model_args": "pretrained=/no/such/folder,scoring=trees"},
            "found scoring=trees, expected auto, tree or padded",
        ),
        ({"batch_size": "auto:0"}, "found --batch_size auto:0"),
        ({"device": "gpu", "model_args": "pretrained=/no/such/folder"}, "found device=gpu, expected cpu"),
    ):
        with pytest.raises(UserError, match=line):
            evaluate([task], task_manager, **options)


@pytest.mark.parametrize(
    ("options", "count"), [({"limit": 2}, 2), ({"limit": 0.4}, 2), ({"samples": {"mine": [1, 4]}}, 2), ({}, 5)]
)
def test_fewer_documents_than_processes_is_one_line(tmp_path, task_manager, monkeypatch, options, count):
    """In every process, before they wait for each other; a model shared by all is one."""
    task = preference_task([{**ROWS[0], "prompt": str(i)} for i in range(5)], tmp_path)
    monkeypatch.setenv("WORLD_SIZE", str(count + 1))
    monkeypatch.setenv("LOCAL_RANK", "0")
    with pytest.raises(UserError, match=f"task mine: found {count} documents for {count + 1} processes, expected at"):
        evaluate([task], task_manager, **options)
    with pytest.raises(UserError, match=NO_MODEL):
        evaluate([task], task_manager, **options, model_args={**ABSENT, "tp_plan": "auto"})
    check_tasks({"tasks": [task], "task_manager": task_manager, **options}, processes=count)


def test_what_loading_a_task_logs_is_logged_once(tmp_path, task_manager, caplog):
    """By the second loading, the harness's own, also what is said once in a process."""
    caplog.set_level("INFO", logger="lm_eval")
    task = preference_task(ROWS, tmp_path, official_rows=5)
    results = evaluate([task], task_manager, model_args={"pretrained": "demo", "device": "cpu"}, bootstrap_iters=0)
    assert results["n-samples"]["mine"] == {"original": 1, "effective": 1}
    assert caplog.text.count("mine has 1 rows where the published benchmark has 5") == 1
    assert caplog.text.count(f"Preference rows come from the json files {tmp_path}") == 1


def test_what_was_logged_once_before_is_not_logged_again(tmp_path, task_manager, caplog):
    """In another run of the same process, whose tasks say nothing new."""
    caplog.set_level("WARNING", logger="lm_eval")
    host.warning_once(logging.getLogger("lm_eval"), "said before")
    check_tasks({"tasks": [preference_task(ROWS, tmp_path)], "task_manager": task_manager})
    host.warning_once(logging.getLogger("lm_eval"), "said before")
    assert caplog.text.count("said before") == 1


def test_a_model_made_elsewhere_checks_no_tasks():
    """By a harness of another kind, or by hand: nothing is known of a run."""
    assert coming_evaluation(HFReward) is None
    model = HFReward.create_from_arg_string("pretrained=demo,device=cpu", {"device": "cuda:99", "batch_size": None})
    assert str(model.device) == "cpu"


class BestOfTwo(ScriptedLM):
    """Writes text, and has a reward model to choose by."""

    def __init__(self, **options):
        super().__init__(lambda _: "[[A]]")
        self.reward = get_model("hf-reward").create_from_arg_obj({"pretrained": "demo", "device": "cpu"})


def test_a_reward_model_inside_another_model_checks_no_tasks(tmp_path, task_manager):
    """The run's tasks are the other's, which writes the text that they ask for."""
    register_model("best-of-two")(BestOfTwo)
    for model in ("best-of-two", BestOfTwo()):
        results = evaluate([judge_task(tmp_path)], task_manager, model=model, bootstrap_iters=0)
        assert results["results"]["mine"]["acc,none"] == 0.5

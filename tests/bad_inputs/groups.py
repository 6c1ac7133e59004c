"""Groups: members, weights, what is averaged; and the metrics and filters of tasks."""

import math

from conftest import preference_task
from scripted import ROWS

from bad_inputs.case import Area, Place, host, line, scored
from bad_inputs.tasks import evaluated
from skywork_rb_plugin import WeightedGroup

CHAT, SAFETY = "preference_demo_chat", "preference_demo_safety"


def attempt(settings, place: Place):
    """Evaluate a group; `...` leaves a key out, and the member "mine" is a task on three rows."""
    mine = preference_task(ROWS, place.folder)
    config = {"task": "ours", "class": WeightedGroup, "members": [CHAT], **settings}
    config = {key: value for key, value in config.items() if value is not ...}
    if isinstance(config.get("members"), list):
        config["members"] = [
            {**mine, **m} if isinstance(m, dict) and m.get("task") == "mine" else m for m in config["members"]
        ]
    return evaluated(config, place)


def _weights():
    """A weight of every wrong kind."""
    for weight in (0, -1, "2", math.nan, math.inf, True, [1], {}, "", 1j):
        yield (
            f"weight {weight!r}",
            line({"members": [{"task": CHAT, "weight": weight}]}, f"found weight {weight!r} of "),
        )


_MEMBERS = {
    "no members": line({"members": ...}, "group ours: found no `members`, expected a list"),
    "members of null": line({"members": None}, "found no `members`"),
    "no member": line({"members": []}, "found no `members`"),
    "members as text": line({"members": CHAT}, "found no `members`"),
    "members as a mapping": line({"members": {"task": CHAT}}, "found no `members`"),
    "a member that is a number": line({"members": [5]}, "found member 5, expected a name"),
    "a member of null": line({"members": [None]}, "found member None"),
    "an empty member": line({"members": [{}]}, "found member {}"),
    "a member without name": line({"members": [{"weight": 2}]}, "found no task, tag or group None"),
    "an empty name": line({"members": [""]}, "found no task, tag or group None"),
    "a member's name is a number": line({"members": [{"task": 5}]}, "found member {'task': 5}"),
    "a member's name is null": line({"members": [{"task": None}]}, "found member {'task': None}"),
    "an unknown member": line({"members": ["no_such_task"]}, "found no task, tag or group 'no_such_task'"),
    "a glob": line({"members": ["preference_demo_*"]}, "found no task, tag or group 'preference_demo_*'"),
    "a member twice": line({"members": [CHAT, CHAT]}, f"found {CHAT} twice among its members"),
    "a group and its member": scored({"members": ["preference_demo", {"task": CHAT, "weight": 1}]}),
    "a group and its member, changed": line({"members": ["preference_demo", {"task": CHAT, "where": {"id": 1}}]}, CHAT),
    "a misspelt weight": line({"members": [{"task": CHAT, "wieght": 2}]}, "found wieght (did you mean weight?)"),
    "a misspelt key of a member": line({"members": [{"task": CHAT, "wher": {}}]}, f"member {CHAT}: "),
    "a member's file is absent": line(
        {"members": [{"task": "mine", "dataset_kwargs": {"data_files": "a.jsonl"}}]}, "a.jsonl"
    ),
    "a member that is a dict without class": line({"members": [{"task": "new", "dataset_path": "json"}]}, "new"),
    "a sub-group without name": line({"members": [{"members": [CHAT]}]}, "found a sub-group without a name"),
    "a sub-group without members": line({"members": [{"group": "inner"}]}, "found no task, tag or group 'inner'"),
    "a sub-group with no member": line(
        {"members": [{"group": "inner", "members": []}]}, "group ours::inner: found no `mem"
    ),
    "a sub-group's name is a number": line({"members": [{"group": 5, "members": [CHAT]}]}, "found member {'group': 5"),
    "a sub-group with an unknown key": line(
        {"members": [{"group": "i", "members": [CHAT], "x": 1}]}, "found x, expected only"
    ),
    "a bad member of a sub-group": line(
        {"members": [{"group": "i", "members": ["x"]}]}, "found no task, tag or group 'x'"
    ),
    "two sub-groups of one name": line(
        {"members": [{"group": "i", "members": [CHAT]}, {"group": "i", "members": [SAFETY]}]}, "ours::i twice"
    ),
    "a stock group": scored({"members": ["preference_demo"]}),
    "tasks and a group without weights": scored(
        {"members": ["preference_demo", {"task": "mine"}]}, "mixes tasks, which weigh"
    ),
    "two hundred sub-groups in one another": line({"members": [{"group": "x", "members": []}]}, "ours::x"),
    **dict(_weights()),
}

_KEYS = {
    "no name": host({"task": ...}, "lm_eval: ValueError: Invalid config dict: must contain 'task'"),
    "a name of null": host({"task": None}, "lm_eval: TypeError"),
    "a name that is a number": host({"task": 5}, "lm_eval: TypeError"),
    "an unknown key": line({"weights": [1]}, "group ours: found weights, expected only"),
    "a key that is a number": line({5: 1, "x": 2}, "5"),
    "group_alias is a number": scored({"group_alias": 5}),
    "metadata is text": line({"metadata": "x"}, "found metadata: x, expected a mapping"),
    "metrics of the command line are unknown": line(
        {"metadata": {"metrics": "bleu"}}, "--metadata metrics: found 'bleu'"
    ),
    "metrics of the command line are a number": line({"metadata": {"metrics": 5}}, "--metadata metrics: found 5"),
    "metrics of the command line are a mapping": line({"metadata": {"metrics": {"acc": 1}}}, "found {'acc': 1}"),
    "metrics of the command line have an empty name": line({"metadata": {"metrics": "acc,,ties"}}, "found ''"),
    "aggregate_metric_list is a number": line({"aggregate_metric_list": 5}, "5"),
    "aggregate_metric_list is a name": scored({"aggregate_metric_list": "acc"}),
    "aggregate_metric_list names what no member has": scored({"aggregate_metric_list": "bleu"}, "has no bleu"),
    "aggregate_metric_list is empty": scored({"aggregate_metric_list": []}),
    "aggregate_metric_list has an empty mapping": line(
        {"aggregate_metric_list": [{}]}, "found {} in aggregate_metric_list"
    ),
    "aggregate_metric_list has null": line({"aggregate_metric_list": [None]}, "found {'metric': None} in aggregate"),
    "aggregate_metric_list weighs by size": line(
        {"aggregate_metric_list": [{"metric": "acc", "weight_by_size": True}]}, "found ['weight_by_size'] in aggregate"
    ),
    "aggregate_metric_list has a list": line({"aggregate_metric_list": [["acc"]]}, "found {'metric': ['acc']}"),
    "filter_list names none": scored(
        {"aggregate_metric_list": [{"metric": "acc", "filter_list": ["x"]}]}, "has no acc"
    ),
    "filter_list is a number": line({"aggregate_metric_list": [{"metric": "acc", "filter_list": 5}]}, "5"),
}

AREA = Area("groups", {**_MEMBERS, **_KEYS}, attempt)


def metrics_attempt(settings, place: Place):
    """Evaluate a task with these metrics or filters."""
    return evaluated(preference_task(ROWS, place.folder, **settings), place)


def _filters(*steps: dict) -> dict:
    return {"filter_list": [{"name": "n", "filter": list(steps)}]}


_METRICS = {
    "a name": scored({"metric_list": "acc"}),
    "a list of names": scored({"metric_list": ["acc", "margin"]}),
    "names with commas": line({"metric_list": "acc,margin"}, "found metric 'acc,margin', expected one of acc"),
    "a number": line({"metric_list": 5}, "found metric 5"),
    "no metric": line({"metric_list": []}, "found nothing in metric_list"),
    "a list in a list": line({"metric_list": [["acc"]]}, "found metric ['acc']"),
    "null in a list": line({"metric_list": [None]}, "found metric None"),
    "an empty mapping": line({"metric_list": [{}]}, "found metric None"),
    "a mapping without metric": line({"metric_list": [{"aggregation": "mean"}]}, "found metric None"),
    "a metric of null": line({"metric_list": [{"metric": None}]}, "found metric None"),
    "a metric that is a number": line({"metric_list": [{"metric": 5}]}, "found metric 5"),
    "a metric that is a function": line({"metric_list": [{"metric": len}]}, "found metric <built-in function len>"),
    "an unknown metric": line({"metric_list": [{"metric": "bleu"}]}, "found metric 'bleu', expected one of acc"),
    "a metric in capitals": line({"metric_list": ["Acc"]}, "found metric 'Acc'"),
    "a metric of another kind of task": line({"metric_list": ["unparsable"]}, "found metric 'unparsable'"),
    "a metric of a rule": line({"metric_list": ["score"]}, "found metric 'score', expected `score: NAME` beside it"),
    "a metric twice": scored({"metric_list": ["acc", "acc"]}),
    "an unknown aggregation": line(
        {"metric_list": [{"metric": "acc", "aggregation": "middle"}]},
        "middle",
    ),
    "an aggregation that is a number": line(
        {"metric_list": [{"metric": "acc", "aggregation": 5}]}, "found aggregation 5 of acc"
    ),
    "higher_is_better is a word": line(
        {"metric_list": [{"metric": "acc", "higher_is_better": "x"}]}, "found higher_is_better 'x' of acc"
    ),
    "a further key": line({"metric_list": [{"metric": "acc", "x": 1}]}, "found x of acc in metric_list"),
    "from the command line, unknown": line({"metadata": {"metrics": "bleu"}}, "--metadata metrics: found 'bleu'"),
    "from the command line, a number": line({"metadata": {"metrics": 5}}, "--metadata metrics: found 5"),
    "from the command line, with blanks": scored({"metadata": {"metrics": " margin , ties "}}),
    "from the command line, of a rule": scored({"metadata": {"metrics": "score"}}),
}

_FILTERS = {
    "filter_list is a number": line({"filter_list": 5}, "filter_list"),
    "filter_list is text": line({"filter_list": "take_first"}, "filter_list"),
    "filter_list is a mapping": line({"filter_list": {"name": "n"}}, "filter_list"),
    "filter_list is empty": line({"filter_list": []}, "found filter_list: []"),
    "an empty filter": line({"filter_list": [{}]}, "filter_list"),
    "a filter without name": line({"filter_list": [{"filter": [{"function": "take_first"}]}]}, "filter_list"),
    "a filter without steps": line({"filter_list": [{"name": "n"}]}, "filter_list"),
    "an unknown step": line(_filters({"function": "xyzzy"}), "xyzzy"),
    "a step without function": line(_filters({}), "function"),
    "take_first": scored(_filters({"function": "take_first"})),
    "a pattern that does not compile": line(
        _filters({"function": "regex", "regex_pattern": "("}), "filter_list, which takes no answers"
    ),
    "a step for text": line(_filters({"function": "regex", "regex_pattern": "a"}), "regex"),
    "take_first_k without k": line(_filters({"function": "take_first_k"}), "KeyError: 'k'"),
    "an unknown argument of a step": line(_filters({"function": "take_first", "x": 1}), "TypeError: TakeFirstFilter"),
    "lowercase of numbers": line(_filters({"function": "lowercase"}), "no attribute 'lower'"),
    "majority_vote": scored(_filters({"function": "majority_vote"}, {"function": "take_first"})),
}

METRICS = Area("metric lists", _METRICS, metrics_attempt)
FILTERS = Area("filters", _FILTERS, metrics_attempt)

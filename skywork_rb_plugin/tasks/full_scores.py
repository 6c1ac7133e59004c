"""A full run's scores on a benchmark go to the model that made them: a known one puts them beside the published ones."""

from collections.abc import Mapping
from typing import Any

from skywork_rb_plugin.host import Group, Task, evaluated_model
from skywork_rb_plugin.tasks.dataset_task import DatasetTask
from skywork_rb_plugin.tasks.shapes import is_number


def tell_model(group: Group, row: Mapping[str, Any], task_metrics: Mapping[str, Mapping]) -> None:
    """Hand a group's score and its members' to the model, if it is a known one and all official rows were evaluated.

    Args:
        group: the group, by whose first metric it is known.
        row: its row of the results.
        task_metrics: all rows, as the host hands them to `Group.aggregate`.
    """
    known = getattr(evaluated_model(), "known", None)
    key = f"{group.aggregate_metric_list[0].metric},none"
    if (
        known is None
        or not is_number(row.get(key))
        or not all(_in_full(t, task_metrics) for t in group.get_all_tasks())
    ):
        return
    sections = {}
    for name, child in group._children.items():
        title = (child.task_name if isinstance(child, Task) else child.alias) or name
        if is_number(value := task_metrics.get(name, {}).get(key)):
            sections[section_name(group.name, name)] = (title, value)
    known.say_scores(group.name, (group.alias or group.name, row[key]), sections)


def section_name(group: str, member: str) -> str:
    """A member's name without its group's: what the authors call the part, and what published scores go by."""
    return member.removeprefix(f"{group}::").removeprefix(f"{group.partition('-')[0]}_")


def _in_full(task: Task, task_metrics: Mapping[str, Mapping]) -> bool:
    used = task_metrics.get(task.task_name, {}).get("sample_len")
    return isinstance(task, DatasetTask) and task.has_official_rows and used == len(task.eval_docs)

"""A run's last line for models that are not ours: the last of our groups to be measured says it, or else our last task."""

import os
from collections.abc import Mapping

from skywork_rb_plugin.host import Group, Task, evaluation, whole_run
from skywork_rb_plugin.summary import never_in_the_way, sum_up


def sum_up_after(part: Task | Group, rows: Mapping[str, Mapping]) -> None:
    """Log the scores of our groups and tasks, if `part` is the last of them.

    Args:
        part: what was just measured.
        rows: what was measured so far, by name.
    """
    with never_in_the_way():
        run = evaluation()
        # with tensor parallelism all processes measure, and the first saves
        if run is None or getattr(run["lm"], "sums_up", False) or int(os.environ.get("LOCAL_RANK", "0")):
            return
        members = {group.name: group.child_names for group in run["groups"].values()}
        inside = {name for names in members.values() for name in names}
        groups = {name: group for name, group in run["groups"].items() if _is_ours(group)}
        tasks = {name: task for name, task in run["eval_tasks"].items() if _is_ours(task)}
        heads = [group for name, group in groups.items() if name not in inside] or list(tasks.values())
        if heads and part is heads[-1]:
            sum_up({name: row for name, row in rows.items() if name in {*groups, *tasks}}, members, whole_run())


def _is_ours(part: object) -> bool:
    package = f"{__name__.partition('.')[0]}."
    return any(base.__module__.startswith(package) for base in type(part).__mro__)

"""What a run comes to once its model is loaded, looked at before: with a large model a typo should cost seconds.

The harness makes the model first and loads the tasks afterwards, and tells the model nothing of them.
"""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from skywork_rb_plugin import discovery, host
from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.models.cache_file import check_file
from skywork_rb_plugin.models.requests import UNANSWERABLE, cannot_answer


def check_tasks(run: Mapping | None, processes: int = 1) -> None:
    """Load the run's tasks that are ours, so that what is wrong with them is told before the model is loaded.

    The harness loads them again, from the caches of `datasets`: RewardBench's 23 subsets in half a second. Of other tasks
    only the kind of their requests is looked at.

    Args:
        run: the arguments of `simple_evaluate` (`host.coming_evaluation`), or None where nothing is known of a run.
        processes: how many will share the documents.

    Raises:
        UserError: a task can't be used, asks for what a reward model can't give, or has too few documents.
        Exception: what the harness itself would raise of a task.
    """
    if run is None or not run.get("tasks"):
        return
    tasks, manager = run["tasks"] if isinstance(run["tasks"], list) else [run["tasks"]], run.get("task_manager")
    if manager is None:
        # the harness will make one of all tasks, which takes seconds; ours are few
        manager = _manager_of_ours(run)
        tasks = [task for task in tasks if isinstance(task, str) and task in host.index_of(manager)]
    with _quiet():
        to_load = []
        for task in tasks:
            leaves = list(_leaves(task, host.index_of(manager)))
            for name, _, kind in leaves:
                _refuse(name, kind)
            if not leaves or any(_is_ours(made_by) for _, made_by, _ in leaves):
                to_load.append(task)
        for name, loaded in manager.load(to_load)["tasks"].items():
            _refuse(name, loaded.OUTPUT_TYPE)
            if (count := _documents(name, loaded, run)) < processes:
                # the harness fails in the processes that get none, and the others in waiting for them
                raise UserError(
                    f"task {name}: found {count} documents for {processes} processes, expected at least one for each; "
                    "start fewer processes, or raise --limit"
                )


def check_cache(run: Mapping | None, processes: int = 1) -> None:
    """Look at this process's file of the score cache before the model is loaded.

    Args:
        run: as of `check_tasks`.
        processes: likewise.

    Raises:
        UserError: it can't be used.
    """
    if run is not None and run.get("use_cache"):
        # as the harness does it: those that share one model have one rank, and are told apart by another number
        rank = int(os.environ.get("RANK", "0")) if processes > 1 else 0
        check_file(f"{run['use_cache']}_rank{rank or int(os.environ.get('LOCAL_RANK', '0'))}.db")


def _documents(name: str, task: object, run: Mapping) -> int:
    """How many documents of a loaded task the run takes."""
    if samples := (run.get("samples") or {}).get(name):
        return len(set(samples))
    total = len(task.eval_docs)
    return min(total, host.sample_size(task, run.get("limit")) or total)


def _manager_of_ours(run: Mapping):
    arguments = run.get("model_args") or {}
    arguments = host.simple_parse_args_string(arguments) if isinstance(arguments, str) else arguments
    # as the harness does it
    metadata = {**arguments, **(run.get("metadata") or {})}
    return host.TaskManager(include_path=discovery.task_folder(), include_defaults=False, metadata=metadata)


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave it to the second loading to log, also what is logged once in a process."""
    logger = logging.getLogger("lm_eval")
    level, once = logger.level, (host.info_once, host.warning_once)
    said_before = [log.cache_info().currsize for log in once]
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
        for log, count in zip(once, said_before, strict=True):
            if log.cache_info().currsize > count:  # what was said before is said again then
                log.cache_clear()


def _leaves(
    task: object, index: Mapping, kind: str | None = None, above: tuple[str, ...] = ()
) -> Iterator[tuple[str, object, str | None]]:
    """The name, the class where it is yet to be made, and the kind of requests of each task that `task` stands for.

    Args:
        task: an item of the run's tasks, or of a stock group's list.
        index: the TaskManager's.
        kind: the `output_type` that a group gives to its tasks.
        above: the names of the groups that it is in.

    Raises:
        UserError: a group contains itself, which the harness would follow without end.
    """
    if isinstance(task, str):
        if task in above:
            path = " -> ".join([*above[above.index(task) :], task])
            raise UserError(
                f"found a group that contains itself ({path}), expected an end; take one out of a `task:` list"
            )
        above = (*above, task)
    if isinstance(task, host.Task):
        yield task.task_name, None, task.OUTPUT_TYPE
        return
    children, config = [], task
    if isinstance(task, host.Group):
        children = task.get_all_tasks()
    elif isinstance(task, str) and task in index:
        entry = index[task]
        config = entry.cfg or {}
        if entry.kind is host.Kind.TAG:
            children = sorted(entry.tags & index.keys())
        elif isinstance(config.get("class"), str):  # the index has a function's name only
            config = host.load_yaml(entry.yaml_path)
    elif isinstance(task, str) and Path(task).is_file():
        config = host.load_yaml(task)
    elif isinstance(task, Mapping) and not {"class", "dataset_path"} & task.keys():
        # a group's list names tasks in this way too, to change settings of theirs
        children = [name for name in (task.get("task"), task.get("group")) if isinstance(name, str) and name in index]
    if isinstance(config, Mapping):
        kind = kind or config.get("output_type")
        listed = config.get("task")
        children = children or (listed if isinstance(listed, list) else [])
        if not children and listed:
            yield listed, config.get("class"), kind
    for child in children:
        yield from _leaves(child, index, kind, above)


def _is_ours(made_by: object) -> bool:
    """Whether a class is this package's, or derived from one; `models` may not import `tasks`."""
    package = f"{__name__.partition('.')[0]}."
    return isinstance(made_by, type) and any(base.__module__.startswith(package) for base in made_by.__mro__)


def _refuse(task: str, kind: str | None) -> None:
    if kind in UNANSWERABLE:
        raise cannot_answer(task, kind)

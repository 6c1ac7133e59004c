"""WeightedGroup: a group whose score is a weighted mean of its members, with the benchmark's official weights."""

import logging
import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from skywork_rb_plugin import discovery
from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.host import AggMetricConfig, Group, GroupConfig, Kind, Task, TaskFactory, TaskIndex, info_once
from skywork_rb_plugin.metrics.metric_list import extra_metrics
from skywork_rb_plugin.metrics.table import says_something_as_a_mean
from skywork_rb_plugin.tasks.dataset_task import one_line
from skywork_rb_plugin.tasks.ending import sum_up_after
from skywork_rb_plugin.tasks.full_scores import tell_model
from skywork_rb_plugin.tasks.in_place import InPlace
from skywork_rb_plugin.tasks.shapes import is_number, is_text, list_of, misfit, without_null_metadata

logger = logging.getLogger(f"lm_eval.{__name__}")

MISSING = "N/A"
# weights whose sums and squares are still finite numbers
_HEAVIEST = 1e100
_KEYS = {"task", "class", "group_alias", "members", "aggregate_metric_list", "metadata"}


class WeightedGroup(Group):
    """A group from a YAML: `class: !function skywork_rb_plugin.WeightedGroup`, `task: NAME`, `members: [...]`.

    A member is the name of a task, tag or group, or a mapping: `{task: NAME, weight: W, …overrides}`,
    `{task: NAME, weight: W, dataset_path: …}` (a task defined here), or `{group: NAME, weight: W, members: [...]}`
    (a sub-group defined here, called `PARENT::NAME`). A task's default weight is its full number of documents, a
    group's is 1, whatever part of the documents is evaluated: under `--limit` the score is an estimate of the full
    one. Score: sum(w * score) / sum(w). Standard error: sqrt(sum((w * se)^2)) / sum(w), as for independent strata
    (Cochran, Sampling Techniques, 3rd ed., theorem 5.3).

    Raises:
        UserError: an unknown key or member, a weight that is no positive number, or one task under two configurations.
    """

    _building: ClassVar[list[str]] = []

    def __init__(self, config: Mapping[str, Any]) -> None:
        config = without_null_metadata(config)
        name = config["task"]
        if line := misfit(config, ("metadata", "metadata.data_root")):
            raise UserError(f"group {name}: {line}")
        metadata = dict(config.get("metadata") or {})
        if unknown := sorted(map(str, set(config) - _KEYS)):
            raise UserError(f"group {name}: found {', '.join(unknown)}, expected only {', '.join(sorted(_KEYS))}")
        if not isinstance(config.get("members"), list) or not config["members"]:
            raise UserError(f"group {name}: found no `members`, expected a list of tasks and groups")
        if name in self._building:
            raise UserError(f"group {name}: found itself among its members ({' > '.join([*self._building, name])})")
        group = GroupConfig(
            group=name,
            group_alias=config.get("group_alias"),
            aggregate_metric_list=_metrics(name, config.get("aggregate_metric_list"), metadata.get("metrics")),
            metadata=metadata,
        )
        super().__init__(
            name=name,
            alias=group.group_alias,
            aggregate_metric_list=group.aggregate_metric_list,
            metadata=metadata,
            _config=group,
        )
        self.weights: dict[str, float] = {}
        self._overridden: set[str] = set()
        self._building.append(name)
        try:
            members = _Members(metadata, config.get("aggregate_metric_list"))
            for member in config["members"]:
                self._add_member(member, members)
        finally:
            self._building.pop()
        self._refuse_two_configurations()
        self._warn_of_mixed_weights()
        self._note_shares()

    @property
    def child_names(self) -> list[str]:
        """The members' names; the host's table sorts them, and so has them in the YAML's order."""
        return [InPlace(name, place) for place, name in enumerate(self._children)]

    def _add_member(self, member: str | Mapping, members: "_Members") -> None:
        item = {"task": member} if isinstance(member, str) else dict(member) if isinstance(member, Mapping) else {}
        if not all(isinstance(item.get(key, ""), str) for key in ("task", "group")) or not item:
            raise UserError(
                f"group {self.name}: found member {member!r}, expected a name, or a mapping with `task: NAME`"
            )
        if line := misfit(item, ("metadata",)):
            raise UserError(f"group {self.name}: {line}, for member {member}")
        weight = item.pop("weight", None)
        if weight is not None and not (is_number(weight) and 1 / _HEAVIEST <= weight <= _HEAVIEST):
            raise UserError(
                f"group {self.name}: found weight {weight!r} of {member}, expected a positive number between "
                f"{1 / _HEAVIEST:g} and {_HEAVIEST:g}"
            )
        overrides = set(item) - {"task", "group"}
        name = item.get("task") or item.get("group") or "a sub-group"
        try:
            children = members.build(item, parent=self.name)
        except UserError as error:
            raise UserError(f"group {self.name}, member {name}: {error}") if overrides else error from None
        for child in children:
            child_name = _name_of(child)
            if child_name in self:
                raise UserError(f"group {self.name}: found {child_name} twice among its members")
            self.add(child)
            if isinstance(child, Task) and overrides:
                self._overridden.add(child_name)
            elif isinstance(child, WeightedGroup):
                self._overridden |= child._overridden
            if weight is not None:
                self.weights[child_name] = weight

    def _refuse_two_configurations(self) -> None:
        """The host evaluates one task per name: a second configuration would count for both."""
        names = Counter(task.task_name for task in self.get_all_tasks())
        if twice := sorted(name for name, count in names.items() if count > 1 and name in self._overridden):
            raise UserError(
                f"group {self.name}: found {', '.join(twice)} more than once, with different settings; expected each task "
                "name once: give the changed one a name and a YAML of its own"
            )

    def weight_of(self, child: Task | Group) -> float:
        """The weight given in the YAML, else a task's full number of documents, else 1."""
        if isinstance(child, Task):
            return self.weights.get(child.task_name) or len(child.eval_docs)
        return self.weights.get(child.name, 1)

    def shares(self) -> dict[str, float]:
        """What each task counts in the group's score, as a fraction of 1."""
        total = sum(self.weight_of(child) for child in self)
        shares: dict[str, float] = Counter()
        for child in self:
            part = self.weight_of(child) / total
            if isinstance(child, Task):
                shares[child.task_name] += part
            elif isinstance(child, WeightedGroup):
                for name, share in child.shares().items():
                    shares[name] += part * share
        return dict(shares)

    def _note_shares(self) -> None:
        """Have the results file say it: the host writes tasks' configurations there, but no group's."""
        shares = self.shares()
        for task in self.get_all_tasks():
            if task.task_name in shares:
                metadata = task.config.metadata or {}
                noted = {**metadata.get("shares", {}), self.name: shares[task.task_name]}
                task.set_config("metadata", {**metadata, "shares": noted})

    def _warn_of_mixed_weights(self) -> None:
        unweighted = [child for child in self if _name_of(child) not in self.weights]
        tasks = [_name_of(child) for child in unweighted if isinstance(child, Task)]
        groups = [_name_of(child) for child in unweighted if isinstance(child, Group)]
        if tasks and groups:
            logger.warning(
                "Group %s mixes tasks, which weigh their numbers of rows (%s), with groups, which weigh 1 (%s): give "
                "them weights if that is not what you mean.",
                self.name, ", ".join(tasks[:3]), ", ".join(groups[:3]),
            )  # fmt: skip

    def aggregate(self, task_metrics: Mapping[str, Mapping]) -> dict[str, Any]:
        """The group's row of the results: the host calls it after those of its sub-groups.

        Args:
            task_metrics: {task or group name: {"metric,filter": value, "metric_stderr,filter": value, …}}.

        Returns:
            The same for this group. "N/A" where a member lacks the metric; a metric that all lack is left out.
        """
        leaves = [task for task in self.get_all_tasks() if task.task_name in task_metrics]
        row: dict[str, Any] = {
            "alias": self.alias or self.name,
            "name": self.name,
            "sample_len": sum(task_metrics[task.task_name].get("sample_len", 0) for task in leaves),
        }
        for metric in self.aggregate_metric_list:
            filters = metric.filter_list or self._discover_filters_for_metric(metric.metric, task_metrics)
            for filter_name in filters:
                row.update(self._mean(metric.metric, filter_name, task_metrics))
            if not filters and any("," in key for task in leaves for key in task_metrics[task.task_name]):
                logger.warning("Group %s has no %s: none of its members has it.", self.name, metric.metric)
        self._say_if_estimate(leaves, task_metrics)
        tell_model(self, row, task_metrics)
        sum_up_after(self, {**task_metrics, self.name: row})
        return row

    def _mean(self, metric: str, filter_name: str, task_metrics: Mapping[str, Mapping]) -> dict[str, Any]:
        key, error_key = f"{metric},{filter_name}", f"{metric}_stderr,{filter_name}"
        members = [(name, self.weight_of(child), task_metrics.get(name, {})) for name, child in self._children.items()]
        total = sum(weight for _, weight, _ in members)
        missing = [name for name, _, row in members if not _is_finite(row.get(key))]
        if missing:
            absent = any(key not in row for _, _, row in members)
            advice = f"; --metadata metrics={metric} adds it, `aggregate_metric_list` names another" if absent else ""
            logger.warning("Group %s has no %s: it is missing in %s%s.", self.name, metric, ", ".join(missing), advice)
            return {key: MISSING, error_key: MISSING}
        score = math.fsum(weight * row[key] for _, weight, row in members) / total
        if not all(_is_finite(row.get(error_key)) for _, _, row in members):
            return {key: score, error_key: MISSING}
        variance = math.fsum((weight * row[error_key]) ** 2 for _, weight, row in members)
        return {key: score, error_key: math.sqrt(variance) / total}

    def _say_if_estimate(self, leaves: list[Task], task_metrics: Mapping[str, Mapping]) -> None:
        used = sum(task_metrics[task.task_name].get("sample_len", 0) for task in leaves)
        full = sum(len(task.eval_docs) for task in leaves)
        if 0 < used < full:
            logger.warning(
                "Group %s is an estimate: %d of %d documents were evaluated, weighted as if all had been.",
                self.name, used, full,
            )  # fmt: skip


class _Members:
    """Builds members with the host's own factory, from the index the user's TaskManager built."""

    def __init__(self, metadata: Mapping[str, Any], aggregate_metric_list: object) -> None:
        self._aggregate_metric_list = aggregate_metric_list
        file = metadata.get("config_source", "inline")
        self._own_metadata = metadata
        self._index = discovery.task_index(None if file == "inline" else Path(file))
        # the user's --metadata reaches the members; what describes the group's own YAML does not
        handed_on = {key: value for key, value in metadata.items() if key not in ("version", "config_source")}
        self._factory = TaskFactory(meta=handed_on)

    def build(self, item: dict, parent: str) -> list[Task | Group]:
        """The task, the group or (for a tag) the tasks that one entry of `members` stands for."""
        if "members" in item:
            if "group" not in item:
                raise UserError(
                    f"group {parent}: found a sub-group without a name, expected `group: NAME` beside `members`"
                )
            name = f"{parent}::{item.pop('group')}"
            metadata = {**self._own_metadata, **(item.get("metadata") or {})}
            metrics = {"aggregate_metric_list": self._aggregate_metric_list}
            return [WeightedGroup({**metrics, **item, "task": name, "metadata": metadata})]
        name = item.pop("task", None) or item.pop("group", None)
        # with a class it is defined here, whatever another TaskManager of this process calls so
        entry = None if "class" in item else self._index.get(name)
        if entry is None:
            if not {"class", "dataset_path", "custom_dataset"} & set(item):
                raise UserError(f"group {parent}: found no task, tag or group {name!r} (see `lm_eval ls tasks`)")
            entry = TaskIndex.entry_from_config({"task": name, **item})
        # a tag's and a stock group's overrides go to each of their tasks, which keep their names
        named = entry.kind not in (Kind.TAG, Kind.GROUP)
        overrides = {"task": name, **item} if item and named else item or None
        try:
            built = self._factory.build(entry, overrides=overrides, registry=self._index)
        except Exception as error:
            if isinstance(error, UserError) or not {"dataset_path", "custom_dataset"} & set(item):
                raise
            # the host's own task, which its YAML's author thought to be ours
            raise UserError(
                f"group {parent}: found {name} defined here, of which lm-eval makes no task ({one_line(error)}); expected "
                "`class: !function skywork_rb_plugin.PreferenceTask` beside its keys, or all that lm-eval's own tasks need"
            ) from error
        return built if isinstance(built, list) else [built]


def _metrics(group: str, listed: object, extra: object) -> list[AggMetricConfig]:
    """The metrics to average; the host's options that official weights leave no room for are refused."""
    listed = listed or [{"metric": "acc"}]
    metrics = [metric if isinstance(metric, Mapping) else {"metric": metric} for metric in _as_list(listed)]
    for metric in metrics:
        unknown = sorted(map(str, set(metric) - {"metric", "filter_list"}))
        if unknown or not isinstance(metric.get("metric"), str):
            raise UserError(
                f"group {group}: found {unknown or metric} in aggregate_metric_list, expected only `metric` and "
                "`filter_list`: members have the weights given in `members`"
            )
        filters = metric.get("filter_list")
        if not (filters is None or is_text(filters) or list_of(is_text)(filters)):
            raise UserError(
                f"group {group}: found filter_list: {filters} of {metric['metric']} in aggregate_metric_list, expected a "
                "name or a list of names of the members' filters"
            )
    names = {metric["metric"] for metric in metrics}
    extra = extra_metrics(extra)
    means = [name for name in extra if says_something_as_a_mean(name)]
    if others := [name for name in extra if name not in means]:
        info_once(logger, f"Groups have no {' and no '.join(others)}: a mean of their members' would say nothing.")
    return [AggMetricConfig(**metric) for metric in [*metrics, *({"metric": m} for m in means if m not in names)]]


def _as_list(value: object) -> list:
    return value if isinstance(value, list) else [value]


def _name_of(child: Task | Group) -> str:
    return child.task_name if isinstance(child, Task) else child.name


def _is_finite(value: object) -> bool:
    return is_number(value) and math.isfinite(value)

"""The shipped benchmarks as their YAMLs say: groups, sections, tasks, rows, licences."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from skywork_rb_plugin import discovery
from skywork_rb_plugin.commands.info.data_state import STATES, find_state


@dataclass(frozen=True)
class Task:
    """A task: the rows the published benchmark has, where its YAML says; one of STATES and the source in words."""

    name: str
    title: str
    rows: int | None
    licence: str
    state: str
    source: str

    def tasks(self) -> dict[str, "Task"]:
        """The task itself, by its name."""
        return {self.name: self}


@dataclass(frozen=True)
class Group:
    """A group, a section of one, or a tag: its members, and the weights that its YAML gives them."""

    name: str
    title: str
    members: list["Task | Group"]
    weights: dict[str, float] = field(default_factory=dict)

    def tasks(self) -> dict[str, Task]:
        """All tasks below, each once, by name."""
        return {name: task for member in self.members for name, task in member.tasks().items()}

    @property
    def rows(self) -> int | None:
        """The rows of all tasks; None where one does not say."""
        rows = [task.rows for task in self.tasks().values()]
        return None if None in rows else sum(rows)

    @property
    def licence(self) -> str:
        """The tasks' licences."""
        return ", ".join(dict.fromkeys(task.licence for task in self.tasks().values()))

    @property
    def state(self) -> str:
        """The state of the task whose data is farthest away."""
        return max((task.state for task in self.tasks().values()), key=list(STATES).index)


@dataclass(frozen=True)
class Catalogue:
    """What is shipped: the benchmarks, which are the groups and the tasks of no group; the tags; both by name.

    `named` has every name that `--tasks` takes, and the sections, which are called GROUP::SECTION.
    """

    benchmarks: list[Task | Group]
    tags: list[Group]
    named: dict[str, Task | Group]


def read_benchmarks() -> Catalogue:
    """Read the YAMLs; no data is loaded."""
    from skywork_rb_plugin.host import Kind, TaskIndex

    index = TaskIndex.build([discovery.task_folder()])
    configs = {name: entry.cfg for name, entry in index.items() if entry.kind is not Kind.TAG}
    tasks = {name: _task(index[name]) for name, config in configs.items() if "members" not in config}
    tags = [
        Group(name, name, [tasks[task] for task in sorted(entry.tags)])
        for name, entry in sorted(index.items())
        if entry.kind is Kind.TAG
    ]
    named: dict[str, Task | Group] = {**tasks, **{tag.name: tag for tag in tags}}
    groups = [_group(name, config, index, named) for name, config in sorted(configs.items()) if name not in tasks]
    inside = {name for group in groups for name in group.tasks()}
    return Catalogue([*groups, *(task for name, task in tasks.items() if name not in inside)], tags, named)


def _task(entry) -> Task:
    config = entry.cfg
    state, source = find_state(config, entry.yaml_path.parent)
    title = config.get("task_alias", entry.name)
    return Task(entry.name, title, config.get("official_rows"), config["metadata"]["licence"], state, source)


def _group(name: str, config: Mapping, index: Mapping, named: dict[str, Task | Group]) -> Group:
    """A group with its members, which WeightedGroup would build; those it defines itself are called NAME::SECTION."""
    members, weights = [], {}
    for member in config["members"]:
        item = {"task": member} if isinstance(member, str) else member
        if "members" in item:
            child = _group(f"{name}::{item['group']}", item, index, named)
        else:
            key = item.get("task") or item["group"]
            child = named.get(key) or _group(key, index[key].cfg, index, named)
        members.append(child)
        if "weight" in item:
            weights[child.name] = item["weight"]
    named[name] = Group(name, config.get("group_alias", name), members, weights)
    return named[name]

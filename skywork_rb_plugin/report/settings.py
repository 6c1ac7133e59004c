"""How runs were made, from their results files, and in what they differ."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skywork_rb_plugin.report.results import Run

# what a setting is called here -> where the results file has it
_PLACES = {
    "checkpoint": ("config", "reward", "checkpoint"),
    "revision": ("config", "model_revision"),
    "commit": ("config", "model_sha"),
    "head": ("config", "reward", "head"),
    "dtype": ("config", "model_dtype"),
    "attention": ("config", "reward", "attention"),
    "scoring": ("config", "reward", "scoring"),
    "max_length": ("config", "reward", "max_length"),
    "pad rule": ("config", "reward", "pad_rule"),
    "chat template (sha256)": ("config", "reward", "chat_template_sha256"),
    "date in the chat template": ("config", "reward", "chat_template_date"),
    "system prompt": ("system_instruction",),
    "--apply_chat_template (sha256)": ("chat_template_sha",),
    "--limit": ("config", "limit"),
    "device": ("config", "reward", "device"),
    "plugin": ("config", "reward", "plugin_version"),
    "lm-eval": ("lm_eval_version",),
    "transformers": ("transformers_version",),
}
# what is another in another model, without anybody having chosen it
_ITS_OWN = {"checkpoint", "revision", "commit", "head"}
# what a task's settings hold beside its own: where its YAML lies, and what each member counts in its groups
_NOT_THE_TASKS = {"config_source", "shares"}


@dataclass(frozen=True)
class Differing:
    """A setting that is not the same in all runs.

    Attributes:
        name: of the setting.
        values: of each run, in words.
        tasks: the tasks it is a setting of; none: of the run.
    """

    name: str
    values: tuple[str, ...]
    tasks: tuple[str, ...] = ()

    def __str__(self) -> str:
        """In one line, without the runs' names."""
        of = f" of {', '.join(self.tasks[:3])}" if self.tasks else ""
        more = f" and {len(self.tasks) - 3} more" if len(self.tasks) > 3 else ""
        return f"{self.name}{of}{more}: {' | '.join(self.values)}"


def settings(run: Run) -> dict[str, str]:
    """How a run was made: name of a setting -> its value in words; what the results file does not have is left out."""
    given = _at(run.data, ("config", "model_args"))
    arguments = given if isinstance(given, Mapping) else {"model_args": given} if given else {}
    found = {"--model": str(_at(run.data, ("config", "model"))), "model": run.model}
    found |= {
        f"--model_args {key}": _words(value)
        for key, value in arguments.items()
        if key not in ("pretrained", "max_length", "dtype")
    }
    for name, place in _PLACES.items():
        value = _at(run.data, place)
        if value not in (None, "", {}, []):
            found[name] = _words(value)[:12] if name.endswith("(sha256)") else _words(value)
    # padding decides last digits, so the batches do; trees give the same in all
    if found.get("scoring") == "padded":
        found["--batch_size"] = _words(_at(run.data, ("config", "batch_size")))
    if cut := _cut(run):
        found["cut"] = cut
    return found


def differing(runs: Sequence[Run]) -> list[Differing]:
    """What is not the same in all runs, of what somebody chose or what decides scores: settings of runs, then of tasks."""
    made = [settings(run) for run in runs]
    names = dict.fromkeys(name for one in made for name in one if name != "model")
    found = [Differing(name, tuple(one.get(name, "not given") for one in made)) for name in names]
    models = [run.model for run in runs]
    found = [one for one in found if _matters(one, models)]
    of_tasks: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for task in runs[0].tasks:
        if all(task in run.tasks for run in runs):
            for name, values in _of_task(runs, task):
                of_tasks[name, values].append(task)
    return found + [Differing(name, values, tuple(tasks)) for (name, values), tasks in of_tasks.items()]


def _matters(one: Differing, models: Sequence[str]) -> bool:
    """Whether runs differ in it: of what is a model's own, two of the same model."""
    if one.name in _ITS_OWN:
        return len(set(zip(models, one.values, strict=True))) > len(set(models))
    return len(set(one.values)) > 1


def _cut(run: Run) -> str | None:
    reward = _at(run.data, ("config", "reward"))
    if not isinstance(reward, Mapping) or "conversations_truncated" not in reward:
        return None
    if not reward["conversations_truncated"]:
        return "nothing"
    return (
        f"{reward['conversations_truncated']} of {reward['conversations_scored']} conversations, "
        f"{reward['tokens_truncated']} tokens in all"
    )


def _of_task(runs: Sequence[Run], task: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    tables = [_task_settings(run, task) for run in runs]
    for name in dict.fromkeys(name for table in tables for name in table):
        values = tuple(table.get(name, "not given") for table in tables)
        if len(set(values)) > 1:
            yield name, values


def _task_settings(run: Run, task: str) -> dict[str, str]:
    """A task's settings and its metadata; the host puts the model's arguments among the latter."""
    config = dict(run.data["configs"][task])
    metadata = dict(config.pop("metadata", None) or {})
    arguments = _at(run.data, ("config", "model_args"))
    strange = _NOT_THE_TASKS | set(arguments if isinstance(arguments, Mapping) else ())
    return {
        name.replace("_", " "): _words(value)
        for name, value in {**config, **metadata}.items()
        if name not in strange and value not in (None, "", {}, [])
    }


def _at(data: Any, place: Sequence[str]) -> Any:
    for key in place:
        data = data.get(key) if isinstance(data, Mapping) else None
    return data


def _words(value: object) -> str:
    if isinstance(value, str):
        return value.removeprefix("torch.")
    return json.dumps(value, ensure_ascii=False, sort_keys=True)

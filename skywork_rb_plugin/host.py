"""The names of the host (lm-evaluation-harness) that are not public or that move between releases, in one place.

`from skywork_rb_plugin.host import NAME` imports the host's module when the name is asked for, and not before.
The functions here do on each release what changed between 0.4.13 and 0.5.0.dev1.
"""

import importlib
import importlib.metadata
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance
    from lm_eval.api.task import ConfigurableTask, Task
    from lm_eval.tasks import TaskManager
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

# name -> the modules that have had it, newest release first
_PLACES = {
    "AggMetricConfig": ("lm_eval.config.group",),
    "Collator": ("lm_eval.models.utils",),
    "ConfigurableTask": ("lm_eval.api.task",),
    "EvaluatorConfig": ("lm_eval.config.evaluate_config",),
    "Group": ("lm_eval.api.group",),
    "GroupConfig": ("lm_eval.config.group",),
    "HFLM": ("lm_eval.models.huggingface",),
    "Instance": ("lm_eval.api.instance",),
    "MergeDictAction": ("lm_eval._cli.utils",),
    "Kind": ("lm_eval.tasks._index",),
    "Run": ("lm_eval._cli.run",),
    "Task": ("lm_eval.api.task",),
    "TaskConfig": ("lm_eval.config.task",),
    "TaskFactory": ("lm_eval.tasks._factory",),
    "TaskIndex": ("lm_eval.tasks._index",),
    "TaskManager": ("lm_eval.tasks",),
    "aggregation_registry": ("lm_eval.api.registry",),
    "apply_template": ("lm_eval.config.templates", "lm_eval.utils"),
    "cli_evaluate": ("lm_eval.__main__",),
    "filter_registry": ("lm_eval.filters",),
    "get_model": ("lm_eval.api.registry",),
    "info_once": ("lm_eval.utils",),
    "key_val_to_dict": ("lm_eval._cli.utils",),
    "load_yaml": ("lm_eval.tasks._yaml_loader",),
    "metric_agg_registry": ("lm_eval.api.registry",),
    "metric_registry": ("lm_eval.api.registry",),
    "model_registry": ("lm_eval.api.registry",),
    "register_aggregation": ("lm_eval.api.registry",),
    "register_metric": ("lm_eval.api.registry",),
    "sanitize_model_name": ("lm_eval.utils",),
    "simple_parse_args_string": ("lm_eval.utils",),
    "warning_once": ("lm_eval.utils",),
}


def discovered_models() -> set[str]:
    """The names of models that the host itself finds through entry points; it does from the release after 0.4.13 on."""
    registry = importlib.import_module("lm_eval.api.registry")
    if not hasattr(registry, "load_plugins"):
        return set()
    return set(importlib.metadata.entry_points(group="lm_eval.models").names)


def coming_evaluation(made: type) -> dict[str, object] | None:
    """What `simple_evaluate` was asked, by the names of its arguments, where it is just making a model of a class.

    It makes the model first and tells it nothing of the run. None where no `simple_evaluate` is among the callers, or
    one whose model is another: that may have a model of this class as a part.
    """
    run = _caller("simple_evaluate")
    is_made = run is not None and isinstance(run["model"], str) and __getattr__("get_model")(run["model"]) is made
    return run if is_made else None


def evaluated_model() -> object | None:
    """The model whose answers `evaluate` is just measuring: it tells no task and no group; None elsewhere."""
    return (evaluation() or {}).get("lm")


def evaluation() -> dict[str, object] | None:
    """What `evaluate` has at hand, `lm`, `groups` and `eval_tasks` among it, where it is among the callers; else None."""
    return _caller("evaluate")


def whole_run() -> dict[str, object] | None:
    """What `simple_evaluate` was asked, by the names of its arguments, and its `results` once it has them; else None."""
    return _caller("simple_evaluate")


def task_rows() -> Mapping[str, Mapping]:
    """The rows of the tasks that the host has measured, while it measures them; it shows groups all, and tasks none."""
    result = (_caller("_collect_results", "lm_eval.evaluator_utils") or {}).get("result")
    return getattr(result, "metrics", {})


def _caller(function: str, module: str = "lm_eval.evaluator") -> dict[str, object] | None:
    """The arguments, and other names, of a function of the host where it is among the callers."""
    evaluator = sys.modules.get(module)
    frame = inspect.currentframe()
    try:
        while frame is not None and evaluator is not None:
            if frame.f_code.co_name == function and frame.f_globals is vars(evaluator):
                return dict(frame.f_locals)
            frame = frame.f_back
        return None
    finally:
        del frame


def make_request(task: "Task", **fields) -> "Instance":
    """One request of a task.

    Args:
        task: the task that asks.
        fields: Instance's fields, those that the host gave to `construct_requests` among them: `metadata`, or
            from 0.5 on `doc_id`, with which Instance wants the task's name too.
    """
    named = {"task_name": task.task_name} if "doc_id" in fields else {}
    return __getattr__("Instance")(**named, **fields)


def metric_names(task: "ConfigurableTask") -> list[str]:
    """The names of a task's metrics, as listed: from 0.5 on a task has scorers, and they have the metrics."""
    if hasattr(task, "scorers"):
        return list(dict.fromkeys(metric.name for scorer in task.scorers for metric in scorer.metrics or ()))
    return list(task._metric_fn_list)


def host_aggregation(name: str | None) -> Callable[[Sequence], float] | None:
    """The aggregation of that name; None where the host has none."""
    importlib.import_module("lm_eval.api.metrics")  # registers the host's own
    # without a default the host's registry raises for names that it does not have
    return __getattr__("aggregation_registry").get(name, None)


def default_aggregation(metric: str) -> str | None:
    """The name of what makes a task's score where its `metric_list` names no aggregation, or there is no list."""
    importlib.import_module("lm_eval.api.metrics")
    function = __getattr__("metric_agg_registry").get(metric, None)
    return next((name for name, one in __getattr__("aggregation_registry").items() if one is function), None)


def pipelines_of(task: "ConfigurableTask") -> list:
    """What a task's `filter_list` became; from 0.5 on its scorers have it and take the answers apart, so there is none."""
    return getattr(task, "_filters", [])


def resolve_field(doc: Mapping, field: str | None) -> str | None:
    """A field of a task's configuration for one row: a column's content, or a Jinja template filled in."""
    task = __getattr__("ConfigurableTask")
    return (task._resolve_field if hasattr(task, "_resolve_field") else task.resolve_field)(doc, field)


def index_of(manager: "TaskManager") -> dict:
    """A TaskManager's tasks by name; private in 0.5.0.dev1."""
    return manager.task_index if hasattr(manager, "task_index") else manager._task_index


def sample_size(task: "Task", limit: float | None) -> int | None:
    """How many rows `--limit` leaves of a task; None where there is no limit. 0.5 calls it private."""
    utils = importlib.import_module("lm_eval.evaluator_utils")
    return (utils.get_sample_size if hasattr(utils, "get_sample_size") else utils._get_sample_size)(task, limit)


def stated_length(config: "PretrainedConfig", tokenizer: "PreTrainedTokenizerBase | None" = None) -> int:
    """The tokens that a model says it can read, by its config or else its tokenizer; 0: neither says.

    0.5.0.dev1 has this only within HFLM.max_length.
    """
    utils = importlib.import_module("lm_eval.models.utils")
    if hasattr(utils, "resolve_max_length"):
        return utils.resolve_max_length(config, tokenizer, default=0)
    text = config.get_text_config()
    stated = (getattr(text, name, None) for name in ("n_positions", "max_position_embeddings", "n_ctx"))
    length = next(filter(None, stated), None) or getattr(tokenizer, "model_max_length", 0)
    return length if length < 10**9 else 0


def __getattr__(name: str):
    for place in _PLACES.get(name, ()):
        module = _module(place)
        if hasattr(module, name):
            return getattr(module, name)
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    version = importlib.metadata.version("lm_eval")
    raise ImportError(
        f"skywork-rb-plugin does not know lm-eval {version}: found no {name} in {' or '.join(_PLACES[name])}"
    )


def _module(name: str) -> ModuleType | None:
    """A module of the host, None if this release has none of that name; what goes wrong inside it is raised."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and f"{name}.".startswith(f"{error.name}."):
            return None
        raise

"""The names of the host (lm-evaluation-harness) that are not public or that move between releases, in one place.

`from skywork_rb_plugin.host import NAME` imports the host's module when the name is asked for, and not before.
"""

import importlib
import importlib.metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lm_eval.__main__ import cli_evaluate
    from lm_eval.api.group import Group
    from lm_eval.api.instance import Instance
    from lm_eval.api.registry import (
        aggregation_registry,
        metric_registry,
        model_registry,
        register_aggregation,
        register_metric,
    )
    from lm_eval.api.task import ConfigurableTask, Task
    from lm_eval.config.group import AggMetricConfig, GroupConfig
    from lm_eval.config.task import TaskConfig
    from lm_eval.models.huggingface import HFLM
    from lm_eval.models.utils import Collator
    from lm_eval.tasks import TaskManager
    from lm_eval.tasks._factory import TaskFactory
    from lm_eval.tasks._index import Kind, TaskIndex
    from lm_eval.utils import apply_template, info_once, warning_once

__all__ = [
    "HFLM", "AggMetricConfig", "Collator", "ConfigurableTask", "Group", "GroupConfig", "Instance", "Kind", "Task",
    "TaskConfig", "TaskFactory", "TaskIndex", "TaskManager", "aggregation_registry", "apply_template", "cli_evaluate",
    "discovered_models", "info_once", "metric_registry", "model_registry", "register_aggregation", "register_metric", "warning_once",
]  # fmt: skip

# name -> the modules that have had it, newest release first
_PLACES = {
    "AggMetricConfig": ("lm_eval.config.group",),
    "Collator": ("lm_eval.models.utils",),
    "ConfigurableTask": ("lm_eval.api.task",),
    "Group": ("lm_eval.api.group",),
    "GroupConfig": ("lm_eval.config.group",),
    "HFLM": ("lm_eval.models.huggingface",),
    "Instance": ("lm_eval.api.instance",),
    "Kind": ("lm_eval.tasks._index",),
    "Task": ("lm_eval.api.task",),
    "TaskConfig": ("lm_eval.config.task",),
    "TaskFactory": ("lm_eval.tasks._factory",),
    "TaskIndex": ("lm_eval.tasks._index",),
    "TaskManager": ("lm_eval.tasks",),
    "aggregation_registry": ("lm_eval.api.registry",),
    "apply_template": ("lm_eval.config.templates", "lm_eval.utils"),
    "cli_evaluate": ("lm_eval.__main__",),
    "info_once": ("lm_eval.utils",),
    "metric_registry": ("lm_eval.api.registry",),
    "model_registry": ("lm_eval.api.registry",),
    "register_aggregation": ("lm_eval.api.registry",),
    "register_metric": ("lm_eval.api.registry",),
    "warning_once": ("lm_eval.utils",),
}


def discovered_models() -> set[str]:
    """The names of models that the host itself finds through entry points; it does from the release after 0.4.13 on."""
    registry = importlib.import_module("lm_eval.api.registry")
    if not hasattr(registry, "load_plugins"):
        return set()
    return set(importlib.metadata.entry_points(group="lm_eval.models").names)


def __getattr__(name: str):
    for module in _PLACES.get(name, ()):
        try:
            return getattr(importlib.import_module(module), name)
        except (ModuleNotFoundError, AttributeError) as error:
            if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("lm_eval"):
                raise
    if name in _PLACES:
        import lm_eval

        version = getattr(lm_eval, "__version__", "unknown")
        raise ImportError(
            f"skywork-rb-plugin does not know lm-eval {version}: found no {name} in {' or '.join(_PLACES[name])}"
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

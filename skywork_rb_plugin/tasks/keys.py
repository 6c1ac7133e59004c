"""The keys of a preference task's YAML: which are ours, which of the host's mean nothing here, and what they may hold."""

import difflib
import logging
from collections.abc import Callable, Mapping
from dataclasses import fields

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.host import TaskConfig, warning_once
from skywork_rb_plugin.metrics.table import rules_of
from skywork_rb_plugin.tasks.shapes import misfit

logger = logging.getLogger(f"lm_eval.{__name__}")

# keys of the YAML that are ours: the host's checks of row 0 would choke on message lists
OWN_KEYS = (
    "doc_to_text", "doc_to_choice", "doc_to_target", "doc_to_scores", "where", "group_by", "official_rows", "score",
)  # fmt: skip
# of `metadata`, which may hold anything
METADATA_KEYS = ("metrics", "data_root")
# keys of the host that would be ignored in silence
UNUSED_KEYS = frozenset({
    "doc_to_audio", "doc_to_image", "fewshot_config", "fewshot_split", "gen_prefix", "generation_kwargs", "repeats",
    "target_delimiter", "use_prompt",
})  # fmt: skip


def check_keys(kind: type, own: Mapping, config: Mapping) -> None:
    """Check what a YAML says before the host does.

    Args:
        kind: the task's class, with its `yaml_type`, `row_type`, `own_keys` and `unused_keys`.
        own: the keys that are ours.
        config: the others, the host's.

    Raises:
        UserError: a key is unknown or means nothing, or a value is not what it should be.
    """

    def refuse(found: str, expected: str) -> None:
        raise UserError(f"task {config.get('task')}: found {found}, {expected}")

    if (found := config.get("output_type", kind.yaml_type)) != kind.yaml_type:
        refuse(f"output_type {found!r}", f"expected {kind.yaml_type!r}")
    if unknown := sorted(map(str, set(config) - {field.name for field in fields(TaskConfig)})):
        # `weight` is of a group's members, and so is a misspelt one
        known = [*kind.own_keys, *(field.name for field in fields(TaskConfig)), "weight"]
        meant = [name for key in unknown for name in difflib.get_close_matches(key, known, 1)]
        hint = f" (did you mean {' and '.join(meant)}?)" if meant else ""
        refuse(", ".join(unknown) + hint, f"expected lm-eval's task keys or {', '.join(kind.own_keys)}")
    if useless := sorted(set(config) & set(kind.unused_keys)):
        refuse(", ".join(useless), f"which {kind.__name__} does not use; leave it out")
    path = config.get("dataset_path")
    if not (isinstance(path, str) and path) and "custom_dataset" not in config:
        refuse("no dataset_path", "expected a hub name, a folder or a format such as json")
    if line := misfit({**own, **config}):
        raise UserError(f"task {config.get('task')}: {line}")
    if {"doc_to_scores", "doc_to_target"} <= set(own):
        refuse("doc_to_target beside doc_to_scores", "expected one of them")
    if config.get("num_fewshot"):
        refuse(f"num_fewshot {config['num_fewshot']}", "expected 0: preferences have none")
    rules = rules_of(kind.row_type)
    if own.get("score") not in [None, *rules]:
        refuse(f"score: {own['score']}", f"expected one of {', '.join(rules)}")


def say_misspelt(metadata: Mapping) -> None:
    """Warn of a key that is likely a misspelt one of those that mean something: any other is the user's own note."""
    for key in metadata:
        if key not in METADATA_KEYS and (near := difflib.get_close_matches(str(key), METADATA_KEYS, 1, cutoff=0.8)):
            warning_once(logger, f"Found {key} in the metadata (the YAML's or --metadata), did you mean {near[0]}?")


def with_names(value: object, name_of: Callable[[Callable], str]):
    """The value with a name in place of every function in it."""
    if callable(value):
        return name_of(value)
    if isinstance(value, Mapping):
        return {key: with_names(content, name_of) for key, content in value.items()}
    return [with_names(item, name_of) for item in value] if isinstance(value, (list, tuple)) else value


def name_of(function: Callable) -> str:
    """The function's module and name; of an object that can be called, its class's."""
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"

"""What the values of a YAML's keys may be: a table of tests, each with the words for what was expected."""

import os
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral
from typing import NamedTuple

from skywork_rb_plugin.conversations import is_messages
from skywork_rb_plugin.host import filter_registry


class Shape(NamedTuple):
    """A test of a value, and what it wants in words."""

    fits: Callable[[object], bool]
    expected: str


def is_text(value: object) -> bool:
    """Whether it is text."""
    return isinstance(value, str)


def is_number(value: object) -> bool:
    """Whether it is a number; true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_index(value: object) -> bool:
    """Whether it is a whole number, Python's or numpy's; true and false are none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def list_of(fits: Callable[[object], bool]) -> Callable[[object], bool]:
    """A test for lists of what `fits`, of at least one."""
    return lambda value: isinstance(value, list) and bool(value) and all(map(fits, value))


def mapping_of(fits: Callable[[object], bool]) -> Callable[[object], bool]:
    """A test for mappings from text to what `fits`."""
    return lambda value: isinstance(value, Mapping) and all(map(is_text, value)) and all(map(fits, value.values()))


def any_of(*tests: Callable[[object], bool]) -> Callable[[object], bool]:
    """A test for what one of the tests lets through."""
    return lambda value: any(fits(value) for fits in tests)


def _is_scalar(value: object) -> bool:
    return not isinstance(value, (Mapping, list, tuple, set))


def _is_filter(value: object) -> bool:
    """A pipeline of the host's: its name, and functions of its registry."""
    return isinstance(value, Mapping) and is_text(value.get("name")) and list_of(_is_step)(value.get("filter"))


def _is_step(value: object) -> bool:
    function = value.get("function") if isinstance(value, Mapping) else None
    return callable(function) or (is_text(function) and function in list(filter_registry))


def _is_labels(value: object) -> bool:
    """What labels mean: a null, which would be no `doc_to_target`, does not say it."""
    return isinstance(value, Mapping) and None not in value.values()


def without_null_metadata(config: Mapping) -> dict:
    """A YAML's keys, without what the host makes of an empty `metadata:`."""
    metadata = config.get("metadata")
    if not isinstance(metadata, Mapping):
        return dict(config)
    return {
        **config,
        "metadata": {key: value for key, value in metadata.items() if (key, value) != ("_metadata", None)},
    }


def misfit(config: Mapping, keys: Iterable[str] = ()) -> str | None:
    """What is wrong with the first value that is not what its key wants, in words; None if all fit.

    Args:
        config: a YAML's keys and values; None as a value is as if the key were absent, but not inside a mapping.
        keys: those of SHAPES to look at; none given: all.
    """
    for key in keys or SHAPES:
        outer, _, inner = key.partition(".")
        value = config.get(outer)
        absent = value is None
        if inner:
            absent = not isinstance(value, Mapping) or inner not in value
            value = None if absent else value[inner]
        if not absent and not SHAPES[key].fits(value):
            return f"found {key.replace('.', ' ')}: {_short(value)}, expected {SHAPES[key].expected}"
    return None


def _short(value: object) -> str:
    # what the host makes of metadata that is no mapping
    value = value.get("_metadata", value) if isinstance(value, Mapping) else value
    text = str(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


_IN_QUOTES = Shape(is_text, "text (a number in quotes)")
_FUNCTION = Shape(callable, "a function: !function MODULE.NAME")
_FILES = any_of(is_text, list_of(is_text))
_FIELD = any_of(is_text, callable)

# key of a YAML -> what it may be; a key with a dot is one of a mapping's
SHAPES = {
    "metadata": Shape(lambda value: isinstance(value, Mapping) and "_metadata" not in value, "a mapping"),
    "metadata.data_root": Shape(lambda value: value is None or isinstance(value, (str, os.PathLike)), "a folder"),
    "dataset_name": _IN_QUOTES,
    "test_split": _IN_QUOTES,
    "validation_split": _IN_QUOTES,
    "description": _IN_QUOTES,
    "dataset_kwargs": Shape(mapping_of(lambda value: True), "a mapping, such as {data_files: FILE}"),
    "dataset_kwargs.data_files": Shape(
        any_of(_FILES, mapping_of(_FILES)), "a file, a list of files, or {split: file or files}"
    ),
    "process_docs": _FUNCTION,
    "process_results": _FUNCTION,
    "custom_dataset": _FUNCTION,
    "filter_list": Shape(
        list_of(_is_filter),
        "[{name: NAME, filter: [{function: FUNCTION}]}] with one of lm-eval's filters: "
        + ", ".join(sorted(filter_registry)),
    ),
    "judge_prompt": Shape(is_text, "Jinja of prompt, answer_a and answer_b"),
    "generation_kwargs": Shape(mapping_of(lambda value: True), "a mapping, such as {max_gen_toks: 1024}"),
    "doc_to_text": Shape(any_of(_FIELD, is_messages), "a column, Jinja, a list of messages or a !function"),
    "doc_to_choice": Shape(
        any_of(_FIELD, list_of(any_of(_FIELD, is_messages))),
        "a list of columns or Jinja (one for each response), a column with a list, or a !function",
    ),
    "doc_to_target": Shape(
        any_of(_FIELD, is_index, list_of(is_index), mapping_of(_is_labels)),
        "a column, Jinja, an index, a list of them, {column: {label: index}} or a !function",
    ),
    "doc_to_scores": Shape(
        any_of(_FIELD, list_of(any_of(_FIELD, is_number))),
        "a column with a list, a list of columns or Jinja, or a !function",
    ),
    "where": Shape(
        mapping_of(any_of(_is_scalar, list_of(_is_scalar))),
        "{column: value} or {column: [values]}, `name*` for all such",
    ),
    "group_by": Shape(is_text, "the name of a column"),
    "threshold": Shape(is_number, "a number"),
    "official_rows": Shape(is_index, "a number of rows"),
}

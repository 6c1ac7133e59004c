"""Finds the families of reward models, ours and other packages', and the one that reads a checkpoint."""

import difflib
import functools
import importlib.metadata
import inspect
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import EntryPoint
from typing import NamedTuple

import pluggy

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.heads import hookspecs
from skywork_rb_plugin.heads.checkpoint import Checkpoint
from skywork_rb_plugin.heads.family import Family

logger = logging.getLogger(f"lm_eval.{__name__}")

BUILT_IN = "built in"
# our own entry point: pyproject.toml has it too
OURS = ("built-in", "skywork_rb_plugin.heads.families")


class Registered(NamedTuple):
    """A family, and the package that it comes from: its name and version, or `built in`."""

    family: Family
    origin: str


@functools.cache
def registered() -> tuple[Registered, ...]:
    """All families, other packages' before ours; a package that fails is left out with a warning that names it."""
    manager = pluggy.PluginManager(hookspecs.GROUP)
    manager.add_hookspecs(hookspecs)
    # ours is there in a checkout without metadata too; pluggy calls first what came last
    origins = {}
    others = importlib.metadata.entry_points(group=hookspecs.GROUP)
    for point in [EntryPoint(*OURS, hookspecs.GROUP), *(point for point in others if point.value != OURS[1])]:
        origin = BUILT_IN if point.value == OURS[1] else _origin(point)
        with _named_where_it_fails(origin, f"is left out ({point.value})"):
            module = point.load()
            if module not in origins:
                manager.register(module, point.value)
                origins[module] = origin
    found: list[Registered] = []
    for hook in reversed(manager.hook.reward_families.get_hookimpls()):
        origin = origins.pop(hook.plugin)
        with _named_where_it_fails(origin, "is left out"):
            found += [Registered(_checked(family), origin) for family in hook.function()]
    for origin in origins.values():
        logger.warning("The plugin %s is left out: it has no hook reward_families.", origin)
    return tuple(found)


def find(checkpoint: Checkpoint, wanted: str | None = None) -> Registered:
    """The family that reads a checkpoint: the one that is wanted, or the first that answers.

    Raises:
        UserError: there is none.
    """
    if wanted is not None:
        return _named(wanted)
    answers = [one for one in registered() if _answers(one, checkpoint)]
    if not answers:
        raise UserError(
            f"found no head that reads {checkpoint.name} ({checkpoint.architecture}; tensors beside the layers: {checkpoint.in_words}), "
            "expected a reward model; `python -m skywork_rb_plugin info` lists the heads and head=NAME in --model_args takes "
            "one (a policy, as of DPO, is scored with --model hf-dpo, another language model with --model hf)"
        )
    if len(answers) > 1:
        first, *others = (f"{one.family.name} ({one.origin})" for one in answers)
        logger.warning(
            "%s is read by the head %s; %s would too: head=NAME in --model_args takes another.",
            checkpoint.name, first, ", ".join(others),
        )  # fmt: skip
    return answers[0]


def _named(wanted: object) -> Registered:
    names = [one.family.name for one in registered()]
    if wanted not in names:
        near = difflib.get_close_matches(str(wanted), names, 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise UserError(f"found head={wanted}{hint} in --model_args, expected one of {', '.join(names)}")
    return registered()[names.index(wanted)]


def _answers(one: Registered, checkpoint: Checkpoint) -> bool:
    with _named_where_it_fails(
        one.origin, f"fails on {checkpoint.name} with its head {one.family.name}, which is left out"
    ):
        return bool(one.family.answers(checkpoint))
    return False


@contextmanager
def _named_where_it_fails(origin: str, how: str) -> Iterator[None]:
    """A stranger's code may raise anything; ours had better not."""
    try:
        yield
    except Exception as error:
        if origin == BUILT_IN:
            raise
        line = " ".join(str(error).split())[:300]
        logger.warning("The plugin %s %s: %s: %s", origin, how, type(error).__name__, line)


def _checked(family: object) -> Family:
    family = family() if inspect.isclass(family) else family
    if not isinstance(family, Family):
        raise TypeError(f"reward_families gave {family!r}, expected instances or subclasses of Family")
    for attribute in ("name", "models", "source"):
        if not isinstance(getattr(family, attribute, None), str):
            raise TypeError(f"{type(family).__name__} has no text `{attribute}`")
    return family


def _origin(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value

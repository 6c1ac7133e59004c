"""How a checkpoint is come to be read: its config, the family that answers to it, a renderer that was tried out."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from skywork_rb_plugin.conversations import Message
from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.heads import plugins
from skywork_rb_plugin.heads.checkpoint import Checkpoint
from skywork_rb_plugin.rendering.rendered import Rendered
from skywork_rb_plugin.rendering.renderer import Renderer

logger = logging.getLogger(f"lm_eval.{__name__}")


DEMO = "demo"


def place_of(pretrained: object) -> object:
    """A hub name or folder as a string, `demo` as the folder of the packaged model; a model that came loaded as it is."""
    if pretrained == DEMO:
        pretrained = files("skywork_rb_plugin") / "demo" / "model"
    return os.fspath(pretrained) if isinstance(pretrained, os.PathLike) else pretrained


@contextmanager
def finding_config(pretrained: str, subfolder: str | None = None) -> Iterator[None]:
    """In force while a checkpoint's config is loaded: what goes wrong is told in one line.

    Raises:
        UserError: there is no such folder or model, or its config can't be used.
    """
    if pretrained.startswith(("/", ".", "~")) and not Path(pretrained).is_dir():
        raise UserError(f"found no folder {pretrained}, expected the folder of a checkpoint or a hub name")
    folder = Path(pretrained, subfolder or "")
    try:
        yield
    except Exception as error:
        line = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        if Path(pretrained).is_dir():
            raise UserError(f"found no usable {folder / 'config.json'}, expected a checkpoint there: {line}") from error
        raise UserError(
            f"found no model {pretrained!r}, expected a folder or a hub name (gated ones need `hf auth login`; without "
            f"internet give a folder): {line}"
        ) from error


def family_of(checkpoint: Checkpoint, wanted: str | None, compares: bool = False) -> plugins.Registered:
    """The family that answers.

    Args:
        checkpoint: what it is to read.
        wanted: `head=` of --model_args.
        compares: whether it must compare two responses, or must not.

    Raises:
        UserError: there is none, or it is another kind of model.
    """
    found = plugins.find(checkpoint, wanted)
    if found.family.compares != compares:
        does, other = (
            ("compares two responses", "hf-pairwise") if found.family.compares else ("scores one response", "hf-reward")
        )
        raise UserError(
            f"found {checkpoint.name} ({checkpoint.architecture}), whose head {found.family.name} {does}, "
            f"expected --model {other} for it"
        )
    return found


def refuse_unused(checkpoint: Checkpoint, family: str) -> None:
    """Once the head is made: refuse options that it has no use for.

    Raises:
        UserError: names the option.
    """
    if unused := checkpoint.unused_options():
        raise UserError(
            f"found {', '.join(unused)} in --model_args, which the head {family} of {checkpoint.name} has no use for; "
            "expected it left out"
        )


def tried(renderer: Renderer, probes: Sequence[Sequence[Message]], chat_template: str | None) -> Rendered:
    """Some short conversations as the model sees them.

    Args:
        renderer: makes them.
        probes: the conversations; the first two differ in their response.
        chat_template: as of --model_args.

    Raises:
        UserError: it shows the model the same of two responses, so that every pair would tie; the chat template or the
            length is to blame.
    """
    probe = Rendered(renderer, renderer.render_all(probes))
    one, other, *_ = probe.texts
    if one == other:
        raise UserError(
            f"the chat template of {renderer.name} gives two conversations that differ in their response the same text "
            f"{one[:80]!r}, expected one that shows the response; check chat_template={chat_template} in --model_args"
        )
    if len({tuple(ids) for ids in probe.encode([0, 1])}) == 1:
        raise UserError(
            f"found max_length={renderer.max_length}, which cuts two different responses to the same tokens; expected more"
        )
    if date := renderer.template_date:
        logger.warning(
            "The chat template of %s puts today's date (%s) into every prompt, so scores depend on the day; fix it "
            'with --model_args \'{"chat_template_args": {"date_string": "…"}}\' if the template takes one.',
            renderer.name, date,
        )  # fmt: skip
    return probe

"""How a checkpoint is come to be read: a renderer that was tried out."""

import logging
from collections.abc import Sequence

from skywork_rb_plugin.conversations import Message
from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.rendering.rendered import Rendered
from skywork_rb_plugin.rendering.renderer import Renderer

logger = logging.getLogger(f"lm_eval.{__name__}")


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

"""How a run of a known model stands to what is known of it: lines for the log, on its settings and on its scores."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from skywork_rb_plugin.conversations import Message
from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.heads import plugins
from skywork_rb_plugin.host import coming_evaluation
from skywork_rb_plugin.models.known_models import KnownModel, Settings, find
from skywork_rb_plugin.rendering.renderer import Renderer

logger = logging.getLogger(f"lm_eval.{__name__}")


@dataclass(frozen=True)
class Used:
    """What a model runs with.

    Attributes:
        head: name of the head that reads it.
        heads: names of all that there are.
        max_length: tokens.
        dtype: a name of torch's.
        attention: the `attn_implementation` within its layers.
        plain: a conversation without a system prompt, as the model sees it.
        emptied: the same with an empty system turn; None: the template knows no such turn.
        system_prompt: what goes before every prompt, empty for nothing; None: not known when the model is loaded.
    """

    head: str
    heads: frozenset[str]
    max_length: int
    dtype: str
    attention: str
    plain: str
    system_prompt: str | None = None
    emptied: str | None = None


# a score's title in the results table, and its value between 0 and 1
Score = tuple[str, float]


@dataclass(frozen=True)
class KnownRun:
    """A known model as it was loaded."""

    model: KnownModel
    used: Used

    def say_settings(self) -> None:
        """Warn of settings that are not the recommended ones, and tell what else is known."""
        if self.model.notes:
            logger.info("%s: %s", self.model.name, " ".join(self.model.notes.split()))
        for line in compare_settings(self.model, self.used):
            logger.warning("%s: %s.", self.model.name, line)

    def say_scores(self, benchmark: str, whole: Score, sections: Mapping[str, Score]) -> None:
        """Log a full run's scores beside the published ones, as of `compare_scores`."""
        if line := compare_scores(self.model, self.used, benchmark, whole, sections):
            logger.info("%s", line)


def known_run(
    names: Iterable[str], revision: str | None, made: type, renderer: Renderer, probe: Sequence[Message], **used
) -> KnownRun | None:
    """What is known of a model that has just been loaded, once its settings were told; None where nothing is.

    Args:
        names: what it is called.
        revision: as given.
        made: its class, by which the run that is to come is found.
        renderer: what makes text of its conversations.
        probe: a conversation.
        used: `head`, `dtype` and `attention` of `Used`.
    """
    if (found := find(names, revision)) is None:
        return None
    run = coming_evaluation(made)
    try:
        emptied = renderer.render([{"role": "system", "content": ""}, *probe])
    except UserError:
        emptied = None
    known = KnownRun(
        found,
        Used(
            heads=frozenset(one.family.name for one in plugins.registered()),
            max_length=renderer.max_length,
            plain=renderer.render(probe),
            emptied=emptied,
            system_prompt=None if run is None else str(run.get("system_instruction") or ""),
            **used,
        ),
    )
    known.say_settings()
    return known


def compare_settings(known: KnownModel, used: Used) -> Iterator[str]:
    """One line for each setting that is not the recommended one.

    Args:
        known: the model's record.
        used: what it runs with.
    """
    if known.family in used.heads and used.head != known.family:
        yield f"it is read by the head {used.head}, its own is {known.family}: head={known.family} in --model_args takes it"
    if not (own := known.settings):
        return
    if own.max_length and used.max_length != own.max_length:
        more = "more" if used.max_length > own.max_length else "less"
        yield (
            f"it reads up to {used.max_length} tokens, {more} than the {own.max_length} that its authors recommend: "
            f"max_length={own.max_length} in --model_args sets them ({own.source})"
        )
    if own.dtype and used.dtype != own.dtype:
        yield f"it runs in {used.dtype}, its authors' example in {own.dtype}: dtype={own.dtype} in --model_args ({own.source})"
    if own.not_attention and used.attention == own.not_attention:
        yield f"its authors warn of {own.not_attention}: attn_implementation in --model_args takes another ({own.source})"
    yield from _system_prompt(own, used)


def _system_prompt(own: Settings, used: Used) -> Iterator[str]:
    wanted, found = own.system_prompt, used.system_prompt
    if wanted is None or found is None:
        return
    if wanted in ("", "none"):
        if found:
            how = "an empty one" if wanted == "" else "none"
            yield f"found a system prompt, its authors use {how}: leave out --system_instruction ({own.source})"
        elif wanted == "" and used.plain != used.emptied:
            yield (
                "its authors put an empty system turn before each prompt, the chat template does not: chat_template=FILE takes "
                f"one that does ({own.source})"
            )
    elif found != wanted and (found or wanted not in used.plain):
        what = "another system prompt" if found else "no system prompt"
        yield f"found {what}, its authors use {wanted!r}: --system_instruction gives it ({own.source})"


def compare_scores(
    known: KnownModel, used: Used, benchmark: str, whole: Score, sections: Mapping[str, Score]
) -> str | None:
    """One line with the scores of a full run beside the published ones; None where there are none.

    Args:
        known: the model's record.
        used: what it ran with.
        benchmark: name of the group.
        whole: the group's score, with its title.
        sections: its members', by their names without the group's.
    """
    if (published := known.published.get(benchmark)) is None:
        return None
    parts = [_beside("score", whole[1], published.score)]
    parts += [
        _beside(title, value, published.sections[name])
        for name, (title, value) in sections.items()
        if name in published.sections
    ]
    others = [
        f"{key} {value}" for key, value in published.settings.items() if str(getattr(used, key, value)) != str(value)
    ]
    with_others = f"; published with {', '.join(others)}" if others else ""
    return f"{whole[0]} of {known.name}: {', '.join(parts)}; {published.source}{with_others}"


def _beside(title: str, value: float, published: float | None) -> str:
    percent = 100 * value
    if published is None:
        return f"{title} {percent:.2f}"
    return f"{title} {percent:.2f} (published {published:g}, {percent - published:+.1f})"

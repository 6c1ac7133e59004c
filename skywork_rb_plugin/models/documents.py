"""Prompts with their responses, scored together outside a run of the harness: errors name them."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from skywork_rb_plugin.conversations import Message
from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.models.distinct import Answers
from skywork_rb_plugin.models.requests import not_finite


@dataclass(frozen=True)
class Document:
    """Responses that belong together.

    Attributes:
        name: for errors.
        conversations: each response with the messages before it.
    """

    name: str
    conversations: Sequence[Sequence[Message]]


def rewards_of(
    documents: Sequence[Document], run: Callable[[Iterable[Sequence[Message]], Callable[[Answers], None]], None]
) -> list[list[float]]:
    """The rewards of documents' responses.

    Args:
        documents: prompts with their responses.
        run: scores conversations, and hands on rewards with their numbers.

    Raises:
        UserError: a conversation can't be rendered, a reward is not finite, or memory runs out.
    """
    places = [(f"{one.name}, response {j}", each) for one in documents for j, each in enumerate(one.conversations)]
    rewards, rendering = [math.nan] * len(places), ""

    def conversations() -> Iterator[Sequence[Message]]:
        nonlocal rendering
        for where, messages in places:
            rendering = where
            yield messages
        rendering = ""

    def note(answers: Answers) -> None:
        for indices, reward in answers:
            if not math.isfinite(reward):
                where, messages = places[indices[0]]
                raise not_finite(where, messages[0]["content"], reward)
            for i in indices:
                rewards[i] = float(reward)

    try:
        run(conversations(), note)
    except UserError as error:
        if not rendering:
            raise
        raise UserError(f"{rendering}: {error}") from error
    rest = iter(rewards)
    return [list(itertools.islice(rest, len(document.conversations))) for document in documents]

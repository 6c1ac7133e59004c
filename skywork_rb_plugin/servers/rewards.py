"""One reward for each conversation out of what a server answered, or a line that says what was found instead."""

import math
import reprlib
from collections.abc import Sequence

from skywork_rb_plugin.servers.access import AnotherModel, ServerError
from skywork_rb_plugin.servers.connection import Reply
from skywork_rb_plugin.servers.protocols import Protocol, Served


def rewards(
    where: str,
    reply: Reply,
    protocol: Protocol,
    lengths: Sequence[int],
    served: Served,
    label: int | None,
    labels: int | None = None,
) -> list[float]:
    """The rewards of the conversations of a request, in its order.

    A number that is null is NaN: that is how JSON writers put it.

    Args:
        where: address of the request.
        reply: of status 200.
        protocol: that it is in.
        lengths: of each conversation, in tokens as sent.
        served: what was asked.
        label: of several labels, the number of the one that counts.
        labels: how many the model has, where that is known.

    Raises:
        ServerError: it holds no such thing, or another model gave it, or the server read other tokens than were sent.
    """
    try:
        answer = protocol.read(reply.content)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise ServerError(
            f"{where}: found {str(reply.content)[:200]!r} ({type(error).__name__}: {error}), expected an answer as of "
            f"{protocol.path} of a reward server; give another protocol=… in --model_args?"
        ) from error
    if answer.model is not None and served.model is not None and answer.model not in {served.model, *served.names}:
        raise AnotherModel(
            f"{where}: found an answer by the model {answer.model}, expected {served.model}, which was asked: is another server "
            "behind that address now?"
        )
    if len(answer.rows) != len(lengths):
        raise ServerError(
            f"{where}: found {len(answer.rows)} scores, expected {len(lengths)}, one for each conversation sent"
        )
    if answer.tokens is not None and answer.tokens != sum(lengths):
        raise ServerError(
            f"{where}: the server read {answer.tokens} tokens, expected the {sum(lengths)} that it was sent; is it started so "
            "that it cuts or adds tokens? max_length=… in --model_args must be what it takes"
        )
    return [_reward(where, row, length, label, labels) for row, length in zip(answer.rows, lengths, strict=True)]


def _reward(where: str, row: object, tokens: int, label: int | None, labels: int | None) -> float:
    """One number of a row: of its only label or the one that counts, at the last token where there is one for each."""
    if isinstance(row, list) and row and isinstance(row[0], list):
        if len(row) != tokens:
            raise ServerError(
                f"{where}: found {len(row)} scores for a conversation of {tokens} tokens, expected one, or one for each"
            )
        row = row[-1]
        if isinstance(row, list) and len(row) > 1:
            raise ServerError(
                f"{where}: found {len(row)} numbers for each token, as a process reward model gives, expected one of the last "
                "token; --model hf-reward reads such models at the ends of steps"
            )
    if not isinstance(row, list) or not row:
        raise ServerError(f"{where}: found {str(row)[:80]!r} as a conversation's score, expected a list of numbers")
    if len(row) > 1 and label is None:
        raise ServerError(
            f"{where}: found {len(row)} numbers for each conversation, expected a reward model, which gives one; label=… in "
            "--model_args says which one counts, from 0"
        )
    if labels is not None and len(row) > labels:
        raise ServerError(
            f"{where}: found {len(row)} numbers for each conversation, expected at most the {labels} labels of the model's config: "
            "is it served as an embedding model?"
        )
    if label is not None and label >= len(row):
        raise ServerError(
            f"{where}: found {len(row)} numbers for each conversation, expected more than label={label} in --model_args"
        )
    value = row[label or 0]
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ServerError(f"{where}: found {reprlib.repr(value)} as a score, expected a number")
    return float(value)

"""Which columns of a dataset hold the prompt and the responses, as keys of a task's YAML.

Only what can hardly mean anything else is guessed; the rest is asked for, since a wrong guess is a wrong number.
"""

from skywork_rb_plugin.commands.columns import Columns, is_about
from skywork_rb_plugin.conversations import is_messages
from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.tasks.transcripts import chosen_and_rejected

PROMPTS = ("prompt", "question", "instruction", "query", "input", "messages", "conversation")
RESPONSES = {
    "response", "completion", "answer", "output", "candidate", "generation", "reply", "choice", "chosen", "rejected",
}  # fmt: skip
# words of columns that may belong to the prompt
_CONTEXT = {
    *PROMPTS, "system", "context", "history", "initial", "previous", "title", "post", "document", "passage",
}  # fmt: skip


def prompt_keys(columns: Columns, prompt: str | None, responses: list[str], otherwise: str) -> dict:
    """`doc_to_text`, or nothing where the column is `prompt` or the responses hold it; of transcripts `doc_to_choice`.

    Args:
        columns: the dataset's.
        prompt: the column that the user named, if any.
        responses: the columns of the responses.
        otherwise: what else the user can do where the prompt can't be told, for columns {prompt} and {other}.

    Raises:
        UserError: there is none, or something else may belong to it.
    """
    if prompt:
        return {} if prompt == "prompt" else {"doc_to_text": columns.field(prompt)}
    if columns.whole(responses):
        return {}
    others = [
        name
        for name in columns.about(_CONTEXT, "text", "messages", "structure list")
        if name not in responses and any(columns.value(row, name) for row in columns.rows)
    ]
    guess = [name for name in PROMPTS if name in others and columns.kinds[name] != "structure list"]
    implicit = not guess and {"chosen", "rejected"} == set(responses) and columns.texts_beside(responses) == []
    if implicit:
        return _transcripts(columns)
    if not guess:
        raise columns.error("found no prompt")
    if guess[0] in columns.top:
        others = [name for name in others if name in columns.top]
    if len(others) > 1:
        first, *rest = [guess[0], *(name for name in others if name != guess[0])]
        raise UserError(
            f"found {', '.join(rest)} beside {first} in {columns.origin}, expected to know what the prompt is: say --prompt "
            f"{first} to leave the rest out, or {otherwise.format(prompt=first, other=rest[0])}"
        )
    text = columns.example(guess[0])
    if (isinstance(text, str) and text.startswith("\n\nHuman:")) or (
        is_messages(text) and text[-1].get("role") == "assistant"
    ):
        raise UserError(
            f"found in column {guess[0]!r} of {columns.origin} turns of an assistant or marks of speakers, expected the "
            f"prompt alone: change the file, or {otherwise.format(prompt=guess[0], other='…')}"
        )
    return {} if guess[0] == "prompt" else {"doc_to_text": columns.field(guess[0])}


def may_be_context(name: str) -> bool:
    """Whether a column's name says that it may belong to the prompt."""
    return is_about(name, _CONTEXT)


def responses_of(columns: Columns) -> list[str]:
    """Columns that differ in their endings, one column with lists, or one column with a response per row.

    Raises:
        UserError: there are none, or several that may be.
    """
    plurals = RESPONSES | {f"{word}s" for word in RESPONSES}
    lists, single = columns.about(plurals, "text list"), columns.about(RESPONSES, "text")
    series = columns.series(RESPONSES, "text", "messages", "text list")
    if len(series) == 1:
        return series[0]
    if not series and len(lists or single) == 1:
        return lists or single
    raise columns.error("found no responses" if not lists and not single else "found several that may be the responses")


def _transcripts(columns: Columns) -> dict:
    """Anthropic's transcripts hold the prompt too, as turns of a Human and an Assistant."""
    text = columns.example("chosen")
    return {"doc_to_choice": chosen_and_rejected} if isinstance(text, str) and text.startswith("\n\nHuman:") else {}

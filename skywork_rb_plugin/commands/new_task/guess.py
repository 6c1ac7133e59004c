"""What the columns of a preference dataset mean: a reading from their names and values, as keys of a task's YAML.

Only what can hardly mean anything else is guessed; the rest is asked for, since a wrong guess is a wrong number.
"""

import itertools
from collections.abc import Sequence

from skywork_rb_plugin.commands.columns import Columns, ending_of, words_in
from skywork_rb_plugin.commands.new_task.yaml_file import Function
from skywork_rb_plugin.commands.texts import RESPONSES, prompt_keys, responses_of
from skywork_rb_plugin.errors import UserError

LABELS = {"label", "labels", "preference", "preferred", "winner", "better"}
SCORES = {"score", "rating", "reward", "helpfulness", "quality"}
# words that may stand beside one of a score; any other could turn it round, such as toxicity or rank
_BESIDE = {"overall", "average", "avg", "mean", "human", "final", "total"}
# what comes before the ending in a label such as model_a
_SIDES = {"model", "response", "answer", "output", "assistant", "candidate", "option", "completion"}
_PAIRS = (("A>B", "B>A"), ("first", "second"))
_BY_HAND = (
    "write the YAML by hand, such as `doc_to_text: [{{role: system, content: {other}}}, {{role: user, content: {prompt}}}]` or "
    "`doc_to_text: !function`"
)
_TIES = {"tie", "a=b", "b=a", "tie (bothbad)", "both", "equal", "same", "neither"}


def keys_for(
    columns: Columns,
    prompt: str | None,
    responses: Sequence[str],
    target: str | None,
    first: str | None,
    scores: Sequence[str],
) -> dict:
    """The keys of a task's YAML that say how a row is read; what the user named goes before any guess.

    Args:
        columns: the dataset's columns.
        prompt: the column of the prompt, if the user named it; the others likewise.
        responses: the columns of the responses.
        target: the column of a label.
        first: the label that means the first response.
        scores: the columns of the responses' scores.

    Raises:
        UserError: the columns can't be told apart.
    """
    columns.known([prompt] if prompt else [], "--prompt")
    found = columns.known(responses, "--responses")
    label, numbers = columns.known([target] if target else [], "--target"), columns.known(scores, "--scores")
    if label and numbers:
        raise UserError("found --target and --scores, expected one of them")
    pair = not found and not label and not numbers and {"chosen", "rejected"} <= set(columns.top)
    found = ["chosen", "rejected"] if pair else found or responses_of(columns)
    keys = prompt_keys(columns, prompt, found, _BY_HAND)
    # a YAML has functions by their names
    keys = {
        key: Function(f"{value.__module__}.{value.__name__}") if callable(value) else value
        for key, value in keys.items()
    }
    if not pair:
        keys |= _preferred(columns, found, label, first, numbers, bool(responses))
    elif others := [name for name in columns.about(RESPONSES, "text", "messages") if name not in found]:
        raise columns.error(f"found chosen and rejected beside other responses ({', '.join(others)})")
    if first is not None and "doc_to_target" not in keys:
        raise UserError(f"--first: found {first} without a label, expected it with --target COLUMN")
    # one response per row: those to the same prompt belong together
    if "doc_to_scores" in keys and len(found) == 1 and columns.kinds[found[0]] == "text":
        keys = {"group_by": _group(columns, keys.get("doc_to_text", "prompt")), **keys}
    return keys


def _preferred(
    columns: Columns, found: list[str], label: list[str], first: str | None, numbers: list[str], named: bool
) -> dict:
    """`doc_to_choice` and what says which response is preferred.

    Raises:
        UserError: nothing does, or more than one thing may.
    """
    several = len(found) > 1
    keys: dict = {"doc_to_choice": [columns.field(name) for name in found] if several else columns.field(found[0])}
    if not label and not numbers:
        numbers = _scores(columns, found)
        labels = columns.about(LABELS, "text", "number", "other") if several else []
        label = [name for name in labels if name not in found]
        if len(label) + bool(numbers) > 1 or len(numbers) > (len(found) if several else 1):
            raise columns.error(f"found several that may say which is preferred ({', '.join([*label, *numbers])})")
    if label and several:
        return keys | _labelled(columns, label[0], found, first)
    if label:
        return {**keys, "doc_to_target": columns.field(label[0])}
    if numbers:
        fields = [columns.field(name) for name in numbers]
        return {**keys, "doc_to_scores": fields if several else fields[0], "metric_list": ["acc", "pair_acc"]}
    # names that differ in a letter or a number alone do not say that the first is the better one
    stems, endings = zip(*map(ending_of, found), strict=True)
    alike = len(set(stems)) == 1 and all(endings)
    if len(found) == 2 and (endings[0] == "chosen" or (named and not alike)):
        return keys
    raise columns.error(f"found responses ({', '.join(found)}) but nothing that says which is preferred")


def _scores(columns: Columns, responses: list[str]) -> list[str]:
    """Numbers for the responses: with the same endings, a list, or one a row."""
    if len(responses) > 1:
        endings = [ending_of(name)[1] for name in responses]
        found = [names for names in columns.series(SCORES, "number") if _plain_scores(names)]
        same = [names for names in found if [ending_of(name)[1] for name in names] == endings]
        return same[0] if len(same) == 1 else list(itertools.chain(*same))
    plurals = SCORES | {f"{word}s" for word in SCORES}
    if columns.kinds[responses[0]] != "text list":
        return [name for name in columns.about(plurals, "number") if _plain_scores([name])]
    marks = columns.about(LABELS, "number list")
    marks = [name for name in marks if all(_one_mark(columns.value(row, name)) for row in columns.rows)]
    return [name for name in columns.about(plurals, "number list") if _plain_scores([name])] or marks


def _one_mark(value: object) -> bool:
    """Whether a list has a single 1, for the preferred response, and else zeros: a score too."""
    return isinstance(value, list) and set(value) == {0, 1} and value.count(1) == 1


def _plain_scores(names: list[str]) -> bool:
    """Whether nothing in the names could turn the scores round."""
    allowed = SCORES | {f"{word}s" for word in SCORES} | _BESIDE
    return all(words_in(ending_of(name)[0]) <= allowed for name in names)


def _group(columns: Columns, prompt: str) -> str:
    if prompt not in columns.top:
        raise UserError(
            f"found the prompt in a structure ({prompt}) of {columns.origin}, expected a column to group rows by"
        )
    return prompt


def _labelled(columns: Columns, label: str, responses: list[str], first: str | None) -> dict:
    """`doc_to_target` for a label column, and `where` to leave out ties.

    Raises:
        UserError: it is not plain which response a value means.
    """
    values = [columns.value(row, label) for row in columns.rows]
    plain = {value for value in values if isinstance(value, (str, int, float))}
    decided = {value for value in plain if str(value).lower() not in _TIES}
    if first is not None:
        meant = {value: int(str(value) != first) for value in decided}
    else:
        meant = {value: place for value in decided if (place := _meaning(value, responses)) is not None}
    certain = len(meant) == len(decided) and len(plain) == len(set(map(str, values)))
    # one number alone may count from 0 or from 1
    alone = first is None and any(isinstance(value, int) for value in decided) and len(decided) == 1
    if (
        not certain
        or alone
        or not decided
        or len(set(meant.values())) < len(meant)
        or (first is not None and (0 not in meant.values() or len(responses) != 2))
    ):
        shown = ", ".join(sorted({repr(value)[:40] for value in values})[:8])
        raise UserError(
            f"found the labels {shown} in column {label!r} of {columns.origin}, expected to know which of them means "
            f"{responses[0]}: say --target {label} --first VALUE, leave other labels' rows out, or write the YAML by hand with "
            f"`doc_to_target: {{{label}: {{VALUE: 0, …}}}}`"
        )
    if first is None:
        pair = next((pair for pair in _PAIRS if decided <= set(pair)), ())
        meant |= {value: place for place, value in enumerate(pair)}
    ordered = dict(sorted(meant.items(), key=lambda item: item[1]))
    kept = {"where": {label: list(ordered)}} if plain - decided else {}
    return {**kept, "doc_to_target": {columns.field(label): ordered}}


def _meaning(value: object, responses: list[str]) -> int | None:
    """The response that a label names: by the column, its ending or its beginning, as first or second, as A>B."""
    text, endings = str(value), [ending_of(name)[1] for name in responses]
    for pair in _PAIRS:
        # A and B, first and second, are those of the names only where the names are in order
        if text in pair and len(responses) == 2 and all(endings) and endings == sorted(endings):
            return pair.index(text)
    if isinstance(value, bool):
        return None
    stem, ending = ending_of(f"_{text}")
    side = ending if not stem.strip("_") or stem.strip("_") in _SIDES else None
    places = [
        place
        for place, name in enumerate(responses)
        if text == name or (side and side == endings[place]) or (len(text) > 1 and name.startswith(f"{text}_"))
    ]
    return places[0] if len(places) == 1 else None

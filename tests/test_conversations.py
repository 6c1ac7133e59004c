"""Conversations as strings, and rows as conversations."""

import copy
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skywork_rb_plugin.conversations import Conversation, split_prompt, with_system
from skywork_rb_plugin.tasks.rows import choices_of, preferred_of

ROLES = st.sampled_from(["system", "user", "assistant", "tool"])
PIECES = ["\n\n", "User: ", "Assistant: ", "System: ", "a", " ", '[{"role": "user", "content": "', '"}]', "\n"]
MESSAGE = st.builds(
    lambda role, pieces: {"role": role, "content": "".join(pieces)},
    ROLES,
    st.lists(st.sampled_from(PIECES), max_size=5),
)
CONVERSATION = st.lists(MESSAGE, max_size=4)
USER = {"role": "user", "content": "What colour is the sky?"}
BLUE = {"role": "assistant", "content": "It is blue."}
GREEN = {"role": "assistant", "content": "It is green."}


@given(CONVERSATION, CONVERSATION)
def test_texts_differ_exactly_when_messages_do(one, other):
    """The text is the whole cache key: equal texts for different conversations would mix up scores."""
    assert (str(Conversation(one)) == str(Conversation(other))) == (one == other)


@given(CONVERSATION)
def test_conversation_survives_pickle_copy_and_json(messages):
    """The host pickles requests, deep-copies them and hashes them as JSON."""
    conversation = Conversation(messages)
    for twin in (pickle.loads(pickle.dumps(conversation)), copy.deepcopy(conversation)):
        assert twin == conversation
        assert twin.messages == conversation.messages
    assert json.loads(json.dumps(conversation)) == str(conversation)


def test_text_reads_naturally():
    """A plain language model gets turns and a cue to answer."""
    assert Conversation([USER]) == "User: What colour is the sky?\n\nAssistant: "


def test_system_instruction_goes_before_the_rows_own():
    """Two system messages would break most templates."""
    assert choices_of({"m": [USER], "chosen": "a", "rejected": "b"}, "{{ m }}")[0].messages == (USER,)
    messages = [{"role": "system", "content": "Be brief."}, USER]
    assert with_system(messages, "Be kind.")[0] == {"role": "system", "content": "Be kind.\n\nBe brief."}
    assert with_system([USER], "Be kind.") == [{"role": "system", "content": "Be kind."}, USER]
    assert with_system(messages, None) == messages


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": USER["content"], "chosen": BLUE["content"], "rejected": GREEN["content"]},
        {"prompt": [USER], "chosen": [BLUE], "rejected": [GREEN]},
        {"chosen": [USER, BLUE], "rejected": [USER, GREEN]},
        {"prompt": USER["content"], "chosen": [USER, BLUE], "rejected": [USER, GREEN]},
        {"prompt": [USER], "chosen": BLUE["content"], "rejected": GREEN["content"]},
        {"prompt": None, "chosen": [USER, BLUE], "rejected": [USER, GREEN]},
    ],
    ids=["strings", "messages", "implicit messages", "prompt repeated", "mixed", "null prompt"],
)
def test_formats_of_a_row_mean_the_same(row):
    """TRL's explicit and implicit formats, and mixtures found in real data sets."""
    chosen, rejected = choices_of(row)
    assert chosen.messages == rejected.messages == (USER,)
    assert (chosen.response, rejected.response) == ("It is blue.", "It is green.")
    assert preferred_of(row) == [0]


def test_implicit_prompt_of_strings():
    """TRL's own example (huggingface/trl, docs/source/dataset_formats.md)."""
    row = {"chosen": "The sky is blue.", "rejected": "The sky is green."}
    chosen, rejected = choices_of(row)
    assert chosen.messages == ({"role": "user", "content": "The sky is"},)
    assert (chosen.response, rejected.response) == (" blue.", " green.")


@given(st.text(min_size=1), st.lists(st.text(), min_size=2, max_size=4))
def test_split_prompt_loses_nothing_and_divides_no_word(prompt, endings):
    """Prompt and rest put together give the response back."""
    responses = [prompt + ending for ending in endings]
    try:
        shared, rest = split_prompt(responses)
    except ValueError:
        return
    assert [shared + ending for ending in rest] == responses
    assert all(not ending or ending[0].isspace() for ending in rest)


def test_multi_turn_system_and_different_histories():
    """Every response keeps the messages that come before it, whatever they are."""
    other = {"role": "user", "content": "Why?"}
    system = {"role": "system", "content": "Be brief."}
    row = {"chosen": [system, USER, BLUE, other, BLUE], "rejected": [system, USER, GREEN, other, BLUE]}
    chosen, rejected = choices_of(row)
    assert chosen.messages == (system, USER, BLUE, other)
    assert rejected.messages == (system, USER, GREEN, other)


def test_several_responses():
    """Lists of chosen and rejected responses, as in RewardBench 2."""
    row = {"prompt": "p", "chosen": ["a", "b"], "rejected": ["c", "d", "e"]}
    assert [choice.response for choice in choices_of(row)] == ["a", "b", "c", "d", "e"]
    assert preferred_of(row) == [0, 1]


def test_hosts_vocabulary():
    """Columns, Jinja, lists, values and functions."""
    row = {"input": "p", "output_1": "a", "output_2": "b", "label": 2, "answers": ["x", "y", "z"]}
    choices = choices_of(row, "input", ["output_1", "{{output_2}}!"])
    assert [(choice.messages[0]["content"], choice.response) for choice in choices] == [("p", "a"), ("p", "b!")]
    assert preferred_of(row, ["output_1", "output_2"], "{{label - 1}}") == [1]
    assert [choice.response for choice in choices_of(row, "Q: {{input}}", "answers")] == ["x", "y", "z"]
    assert preferred_of(row, "answers", "[0, 2]") == [0, 2]
    assert preferred_of(row, "answers", lambda doc: doc["label"]) == [2]
    assert [c.response for c in choices_of(row, "input", "{{[output_1, output_2]}}")] == ["a", "b"]
    messages = [{"role": "system", "content": "Brief!"}, {"role": "user", "content": "{{input}}?"}]
    contents = [message["content"] for message in choices_of(row, messages, ["output_1", "output_2"])[0].messages]
    assert contents == ["Brief!", "p?"]


@pytest.mark.parametrize(
    ("row", "fields", "line"),
    [
        ({"prompt": "p", "good": "a"}, (), "found no column 'chosen' (columns: prompt, good)"),
        ({"prompt": "p", "chosen": "a", "rejected": "b"}, ("question",), "found no column 'question', expected one of"),
        ({"prompt": 5, "chosen": "a", "rejected": "b"}, (), "found 5, expected a string or a list of messages"),
        ({"prompt": "p", "chosen": [{"role": "user"}], "rejected": "b"}, (), "expected a message with `role` and"),
        ({"prompt": "p", "chosen": [USER], "rejected": [USER]}, (), "begins with a user message other than the prompt"),
        ({"chosen": [BLUE], "rejected": [GREEN]}, (), "found a response without a prompt"),
        ({"chosen": "Yes.", "rejected": "No."}, (), "found no prompt"),
        ({"chosen": "Q? Yes.", "rejected": ["Q? Yes."] * 2}, (), "found no prompt: the responses are one and the same"),
        ({"chosen": [USER], "rejected": [USER]}, (), "ends with a user message"),
        ({"prompt": None, "chosen": "It is 4", "rejected": "It is 5"}, (), "found no prompt (null)"),
        ({"prompt": "p", "a b": "x", "b": "y"}, (None, ["a b ", "b"]), "found no column 'a b '"),
    ],
)
def test_unreadable_rows_say_what_was_found(row, fields, line):
    """One line with what was found and what was expected."""
    with pytest.raises(ValueError) as error:  # noqa: PT011
        choices_of(row, *fields)
    assert line in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("role", "meant"),
    [
        ("USER", "user"), ("User ", "user"), ("usr", "user"), ("asistant", "assistant"), ("ASSISTANT", "assistant"),
        ("SYSTEM", "system"),
    ],
)  # fmt: skip
def test_misspelt_roles_are_refused(role, meant):
    """No chat template knows them, or it would render them as something else; another name is its own."""
    with pytest.raises(ValueError, match=f"found role {role!r}, did you mean {meant!r}"):
        Conversation([{"role": role, "content": "x"}])
    for other in ("critic", "human", "gpt", "model"):
        assert Conversation([{"role": other, "content": "x"}]).messages[0]["role"] == other


@pytest.mark.parametrize(
    ("target", "line"), [(3, "expected indices from 0 to 1"), ([0, 1], "found 2 preferred and 0 other")]
)
def test_preferred_index_must_make_sense(target, line):
    """An index out of range, or nothing to compare with."""
    with pytest.raises(ValueError, match=line):
        preferred_of({"chosen": "a", "rejected": "b"}, None, target)

"""Where a response begins: in templates of several kinds, where tokens merge, and where the beginning is cut off."""

import pytest
from conftest import TEMPLATE, make_tokenizer

from skywork_rb_plugin import UserError
from skywork_rb_plugin.heads.policy import _start
from skywork_rb_plugin.rendering.prompted import PromptedRenderer
from skywork_rb_plugin.rendering.rendered import Rendered

BARE = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
# as Phi-3's: an EOS where no generation prompt is asked for
ENDED = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% else %}{{ eos_token }}{% endif %}"
)


def renderer(template=TEMPLATE, length=512, **settings):
    """A renderer by a template."""
    return PromptedRenderer(make_tokenizer(template, **settings), None, {}, length, "tiny")


def conversation(prompt, response):
    """Two messages."""
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]


def texts(some, *pairs):
    """Of each pair the prompt's text, the response's, and where its tokens begin."""
    rendered = some.render_all([conversation(*pair) for pair in pairs])
    encoded = some.encode(rendered)
    decode = some.tokenizer.decode
    return [(decode(ids[: ids.marks[0]]), decode(ids[ids.marks[0] :])) for ids in encoded]


def test_the_response_has_its_header_and_two_ends():
    """As in the reference implementation, whose prompt has no generation prompt, and which adds BOS and EOS to any text."""
    [found] = texts(renderer(), ("One?", "Two."))
    assert found == ("<|bos|><|bos|><|user|>One?<|end|>", "<|assistant|>Two.<|end|><|end|>")


def test_a_prompt_that_ends_otherwise_alone():
    """Then the generation prompt tells; a template of which neither is a beginning is refused."""
    [found] = texts(renderer(ENDED), ("One?", "Two."))
    assert found == ("<|bos|><|user|>One?<|assistant|>", "Two.<|end|><|end|>")
    shifting = renderer("{{ messages | length }}" + BARE)
    with pytest.raises(
        UserError, match=r"renders a conversation '2One\?Two' that does not begin as its prompt alone.*'1One"
    ):
        texts(shifting, ("One?", "Two"))


def test_a_merged_token_is_the_response_s():
    """`quick` is one token, `qu` another."""
    some = renderer(BARE)
    [found] = texts(some, ("the qu", "ick fox"))
    assert found == ("<|bos|>the", " quick fox<|end|>")
    [found] = texts(some, ("the", " quick fox"))
    assert found == ("<|bos|>the", " quick fox<|end|>")


def test_one_text_with_two_beginnings_is_two_conversations():
    """A template without markers does not tell them apart."""
    some = renderer(BARE)
    rendered = some.render_all([conversation("a b", "c"), conversation("a ", "bc"), conversation("a b", "c")])
    assert len(set(rendered)) == 2
    assert rendered[0] == rendered[2] != rendered[1]
    assert len({ids.marks for ids in some.encode(rendered)}) == 2


@pytest.mark.parametrize(("adds_bos", "before"), [(True, "<|end|>"), (False, "")])
def test_without_a_bos_the_eos_begins(adds_bos, before):
    """As the reference implementation does with Qwen's tokenizer, unless there shall be none."""
    some = renderer(TEMPLATE.replace("{{ bos_token }}", ""))
    some.tokenizer.bos_token, some.adds_bos = None, adds_bos
    [(prompt, _)] = texts(some, ("One?", "Two."))
    assert prompt == f"{before}<|user|>One?<|end|>"


@pytest.mark.parametrize("length", [30, 12])
def test_a_cut_takes_the_prompt_first(length):
    """Then the response's beginning, so that what is left of it counts."""
    some = renderer(length=length)
    rendered = Rendered(
        some, some.render_all([conversation("a long question, is it not?", "an answer of some length")])
    )
    [whole], [ids] = some.encode(rendered.texts), rendered.encode([0])
    response = whole[whole.marks[0] :]
    assert len(ids) == length
    assert ids[:2] == whole[:2] == (some.tokenizer.bos_token_id,) * 2
    assert ids[_start(ids) :] == response[-(length - 2) :]


@pytest.mark.parametrize(("adds_bos", "bos", "kept"), [(True, None, 1), (True, "<|bos|>", 1), (False, "<|bos|>", 0)])
def test_what_was_put_before_the_text_stays(adds_bos, bos, kept):
    """A BOS, or the EOS in its place; nothing of the text, which has none."""
    some = renderer(TEMPLATE.replace("{{ bos_token }}", ""), length=8)
    some.tokenizer.bos_token, some.adds_bos = bos, adds_bos
    rendered = Rendered(some, some.render_all([conversation("a long question", "an answer of some length")]))
    [whole], [ids] = some.encode(rendered.texts), rendered.encode([0])
    assert ids == (*whole[:kept], *whole[len(whole) - 8 + kept :])
    assert ids[_start(ids) :] == ids[max(kept, 1) :]


def test_a_response_of_no_token_but_the_end():
    """An empty one under a template without markers."""
    [found] = texts(renderer(BARE), ("One?", ""))
    assert found == ("<|bos|>One?", "<|end|>")

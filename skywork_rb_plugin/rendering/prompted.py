"""Conversations of which it is known where the response begins, in the text and among the token ids."""

from collections.abc import Iterable, Sequence

from skywork_rb_plugin.conversations import Message
from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.rendering.renderer import Renderer, TokenIds


class Prompted(str):
    """A rendered conversation; two that differ only in where the response begins are different.

    Attributes:
        prompt: its beginning, which the response follows.
    """

    prompt: str

    def __new__(cls, text: str, prompt: str):
        """The whole text and its beginning."""
        self = super().__new__(cls, text)
        self.prompt = prompt
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Prompted) and str.__eq__(self, other) and self.prompt == other.prompt

    def __ne__(self, other: object) -> bool:  # str has its own
        return not self == other

    __hash__ = str.__hash__


class PromptedRenderer(Renderer):
    """Renders prompt and response as allenai/reward-bench does for policies, and marks the response's first token.

    The prompt is the conversation before the response by the chat template, without its generation prompt, so that what
    the template puts before a response (`<|assistant|>`) counts as a part of it (rewardbench/utils.py,
    prepare_dialogue_from_tokenizer). Both are tokenized as one text without special tokens; where that merges the end of
    the prompt with the beginning of the response, the merged token counts as the response's (rewardbench/dpo.py,
    build_tokenized_answer). Before them comes the BOS or, where there is none, the EOS (scripts/run_dpo.py), and after
    them the EOS, whether the template has put them there or not (rewardbench/dpo.py, tokenize_row).

    Attributes:
        adds_bos: whether a BOS is put before the text.
    """

    adds_bos: bool = True

    def render_all(self, conversations: Iterable[Sequence[Message]]) -> list[Prompted]:
        """Each conversation as text that knows its prompt; where the template reads the clock, all on the same day.

        Raises:
            UserError: the template refuses one, or its text does not begin with its prompt's.
        """
        self._note_date()
        return [self._prompted(messages) for messages in conversations]

    def _prompted(self, messages: Sequence[Message]) -> Prompted:
        whole = self.render(messages)
        # Phi-3's ends with an EOS where it is not asked for a generation prompt
        for options in ({}, {"add_generation_prompt": True}):
            prompt = self.render(messages[:-1], **options)
            if whole.startswith(prompt):
                return Prompted(whole, prompt)
        raise UserError(
            f"the chat template of {self.name} renders a conversation {whole[:80]!r} that does not begin as its prompt alone "
            f"does, {prompt[:80]!r}: where does the response begin? Give another chat_template=FILE in --model_args"
        )

    def encode(self, texts: Sequence[Prompted]) -> list[TokenIds]:
        """Token ids of rendered conversations, whatever their length, with the response's first token marked."""
        if not texts:
            return []
        prompts = list(dict.fromkeys(text.prompt for text in texts))
        of_prompt = dict(zip(prompts, self._tokenize(prompts, add_special_tokens=False), strict=True))
        whole = self._tokenize(texts, add_special_tokens=False)
        return [self._marked(of_prompt[text.prompt], ids) for text, ids in zip(texts, whole, strict=True)]

    def cut(self, ids: TokenIds) -> TokenIds:
        """At most `max_length` tokens, as `Renderer.cut`; where it took the response's beginning, what is left is marked."""
        short, lost = super().cut(ids), len(ids) - self.max_length
        return TokenIds(short, [max(ids.marks[0] - lost, self.kept(ids))]) if lost > 0 else ids

    def kept(self, ids: Sequence[int]) -> int:
        """How many tokens at the beginning a cut leaves: what was put before the text, and the text's own BOS."""
        before = len(self._before)
        return before + super().kept(ids[before:])

    @property
    def _before(self) -> list[int]:
        """What is put before the text."""
        bos, eos = self.tokenizer.bos_token_id, self.tokenizer.eos_token_id
        first = eos if bos is None else bos
        return [first] if self.adds_bos and first is not None else []

    def _marked(self, prompt: list[int], whole: list[int]) -> TokenIds:
        start = len(prompt) - (whole[: len(prompt)] != prompt)
        eos, before = self.tokenizer.eos_token_id, self._before
        ids = [*before, *whole, *([] if eos is None else [eos])]
        return TokenIds(ids, [min(len(before) + start, len(ids) - 1)])

"""Distinct rendered conversations, and some short ones to try a model with."""

from collections.abc import Sequence, Set

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.rendering.renderer import Renderer

# one prompt with two responses, and another prompt
PROBES = [
    ({"role": "user", "content": prompt}, {"role": "assistant", "content": response})
    for prompt, response in (
        ("Hello", "Hi"),
        ("Hello", "Hi! What can I do for you today?"),
        ("Name three colours.", "Red, green and blue."),
    )
]


class Rendered:
    """Distinct rendered conversations, tokenized when a scorer asks for them.

    Attributes:
        texts: the conversations as the model's template puts them.
        done: indices of those whose scores are known.
        tokens: of each conversation that was encoded, how many the model is given.
        lost: of each, how many were cut, since the model's length is less.
    """

    def __init__(self, renderer: Renderer, texts: Sequence[str], done: Set[int] = frozenset()) -> None:
        self.texts, self.done, self._renderer = texts, done, renderer
        self.tokens, self.lost = [0] * len(texts), [0] * len(texts)

    def encode(self, indices: Sequence[int]) -> list[Sequence[int]]:
        """Token ids of the conversations at these indices, cut to the model's length.

        Raises:
            UserError: the template makes nothing of a conversation.
        """
        whole = self._renderer.encode([self.texts[i] for i in indices])
        if not all(whole):
            raise UserError(
                f"the chat template of {self._renderer.name} renders a conversation as no token at all; give another "
                "chat_template=FILE in --model_args"
            )
        short = [self._renderer.cut(ids) for ids in whole]
        known, highest = self._renderer.vocabulary, max(map(max, short), default=0)
        if known is not None and highest >= known:
            raise UserError(
                f"found token id {highest}, expected less than {known}, which {self._renderer.name} knows: is tokenizer=… "
                "another model's?"
            )
        if refused := self._renderer.refused & set().union(*short):
            token = self._renderer.tokenizer.convert_ids_to_tokens(min(refused))
            raise UserError(
                f"found the token {token!r} of {self._renderer.name} (id {min(refused)}) in a conversation, which the reference "
                "does not know; expected tokens that both have: ref_model=… in --model_args is the model that the policy was "
                "trained from"
            )
        for i, before, after in zip(indices, whole, short, strict=True):
            self.tokens[i], self.lost[i] = len(after), len(before) - len(after)
        return short

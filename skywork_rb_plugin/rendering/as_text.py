"""Conversations for what takes texts alone and tokenizes them itself, without special tokens of its own."""

from collections.abc import Sequence

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.rendering.renderer import Renderer

# tokens more that a cut may take until what is left is a text of just these tokens
_MOST = 16


class TextRenderer(Renderer):
    """Knows of token ids the text that gives them.

    The other side puts no BOS before a text, so that the one that a conversation begins with is a part of it.
    """

    def cut(self, ids: Sequence[int]) -> Sequence[int]:
        """As `Renderer.cut`, and up to the next token before which the text may be cut without becoming other tokens."""
        short = super().cut(ids)
        if len(short) == len(ids):
            return short
        start = self.kept(short)
        for more in range(min(_MOST, len(short) - start)):
            left = [*short[:start], *short[start + more :]]
            if self._ids(self._decoded(left)) == left:
                return left
        return short

    def text_of(self, text: str, ids: Sequence[int]) -> str:
        """The text that gives these ids.

        Args:
            text: as rendered.
            ids: of it, perhaps cut.

        Raises:
            UserError: there is none.
        """
        wanted = list(ids)
        for found in (text, (self.tokenizer.bos_token or "") + text, self._decoded(wanted)):
            if self._ids(found) == wanted:
                return found
        raise UserError(
            f"found a conversation of which the server, which takes texts, would make other tokens than {self.name} has for it: "
            f"{text[:80]!r}; expected a server that takes token ids (protocol=vllm-classify or sglang)"
        )

    def _ids(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]

    def _decoded(self, ids: Sequence[int]) -> str:
        return self.tokenizer.decode(ids, clean_up_tokenization_spaces=False)

"""For models whose text is tokenized piece by piece: a question, and then each step and what ends it."""

import json
from collections.abc import Sequence
from itertools import accumulate

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.rendering.renderer import Renderer, TokenIds


class PiecesRenderer(Renderer):
    """The template writes a JSON list, [question, step, end, step, end, …]; each text is tokenized alone, after a BOS.

    The last token of each end is marked. JSON, since conversations with the same text may have other pieces.
    """

    def encode(self, texts: Sequence[str]) -> list[Sequence[int]]:
        """Token ids of rendered conversations, with their marks.

        Raises:
            UserError: a text is no such list.
        """
        pieces = [self._pieces(text) for text in texts]
        flat = iter(self._tokenize([piece for some in pieces for piece in some], add_special_tokens=False))
        bos = [] if self.tokenizer.bos_token_id is None else [self.tokenizer.bos_token_id]
        found = []
        for some in pieces:
            encoded = [next(flat) for _ in some]
            until = list(accumulate(map(len, encoded), initial=len(bos)))
            found.append(TokenIds([*bos, *(token for ids in encoded for token in ids)], (n - 1 for n in until[3::2])))
        return found

    def _pieces(self, text: str) -> list[str]:
        try:
            pieces = json.loads(text)
            fits = isinstance(pieces, list) and len(pieces) % 2 == 1 and all(isinstance(p, str) for p in pieces)
        except ValueError:
            fits = False
        if not fits:
            raise UserError(
                f"found {text[:80]!r} from the chat template of {self.name}, whose text is tokenized piece by piece; expected a "
                "JSON list [question, step, end, step, end, …]: leave chat_template out of --model_args"
            )
        return pieces

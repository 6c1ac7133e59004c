"""Comparisons -> token ids: messages that end in two responses to one prompt, in the formats of models that compare."""

import json
from collections.abc import Mapping, Sequence

import transformers

from skywork_rb_plugin.conversations import Message
from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.rendering.renderer import Renderer, TokenIds

_PREFIXES = ("<|source|>", "<|candidate1|>", "<|candidate2|>")


class OwnFormat(Renderer):
    """A text format that belongs to the model, so that no chat template can take its place.

    Raises:
        UserError: the user gives one.
    """

    format: str
    remedy = "leave out what it does not know: the format is the model's own"

    def __init__(
        self,
        tokenizer: transformers.PreTrainedTokenizerBase,
        chat_template: str | None,
        template_args: Mapping,
        max_length: int,
        name: str,
    ) -> None:
        if chat_template:
            raise UserError(
                f"found chat_template={chat_template[:80]} in --model_args, but {name} compares responses in a format of its "
                "own; expected it left out"
            )
        super().__init__(tokenizer, self.format, template_args, max_length, name)


class PairRMFormat(OwnFormat):
    """A source and two candidates, each with its prefix and special tokens; `marks` are where the three prefixes are.

    Formulas and lengths: allenai/reward-bench, rewardbench/models/pairrm.py, `tokenize_conv_pair` and `tokenize_pair`. The
    source is cut on the right to its share of `max_length`; the candidates share what is left, each cut on the right.
    """

    source, total = 1224, 2048
    where_cut = "to the shares of prompt and responses: the prompt from the right, each response likewise"
    # earlier responses are the candidates' too, all with their numbers; the sentence is as they have it
    format = """
{%- for message in messages[:-2] -%}
    {%- if message.role != ['user', 'assistant'][loop.index0 % 2] -%}
        {{- raise_exception('expected turns of user and assistant only') -}}
    {%- endif -%}
{%- endfor -%}
{%- set source -%}
    {{- 'Finish the following coversation in each i-th turn by filling in <Response i> with your response.' -}}
    {%- for message in messages[:-2] if message.role == 'user' -%}
        {{- ('' if loop.first else '\\n') ~ 'USER: ' ~ message.content ~ '\\nAssistant: <Response ' ~ loop.index ~ '>' -}}
    {%- endfor -%}
{%- endset -%}
{%- set answers -%}
    {%- for message in messages[:-2] if message.role == 'assistant' -%}
        {{- '<Response ' ~ loop.index ~ '>: ' ~ message.content ~ '\\n' -}}
    {%- endfor -%}
    {{- '<Response ' ~ messages | length // 2 ~ '>: ' -}}
{%- endset -%}
{{- [source, answers ~ messages[-2].content, answers ~ messages[-1].content] | tojson -}}
"""

    def tokenize(self, texts: Sequence[str]) -> list[TokenIds]:
        """Ids of the three texts, one after another."""
        return [self._joined(*self._parts(json.loads(text))) for text in texts]

    def cut(self, ids: TokenIds) -> TokenIds:
        """The three texts cut to their shares."""
        starts = [mark - 1 for mark in ids.marks]
        source, *candidates = (list(ids[start:end]) for start, end in zip(starts, [*starts[1:], len(ids)], strict=True))
        source = self._cut_source(source, self.max_length * self.source // self.total)
        most = self._most(source)
        return self._joined(source, *(_on_the_right(candidate, most) for candidate in candidates))

    def _parts(self, texts: Sequence[str]) -> list[list[int]]:
        return self.tokenizer([prefix + text for prefix, text in zip(_PREFIXES, texts, strict=True)])["input_ids"]

    def _joined(self, source: list[int], first: list[int], second: list[int]) -> TokenIds:
        # each begins with the CLS and its prefix
        marks = (1, len(source) + 1, len(source) + len(first) + 1)
        return TokenIds([*source, *first, *second], marks)

    def _cut_source(self, source: list[int], most: int) -> list[int]:
        return _on_the_right(source, most)

    def _most(self, source: list[int]) -> int:
        """How many tokens a candidate may have."""
        return (self.max_length - len(source)) // 2


class BetterPairRMFormat(PairRMFormat):
    """The same in Better-PairRM's format; its source is cut on the left.

    Formulas and lengths: allenai/reward-bench, rewardbench/models/betterpairrm.py. There texts go through the tokenizer and
    back before they get their prefixes, which takes special tokens out of them; and the source's prefix is a text of its own.
    """

    source, candidate, total = 2030, 670, 3370
    where_cut = "to the shares of prompt and responses: the prompt from the left, each response from the right"
    format = """
{%- set names = {'user': 'USER: ', 'assistant': 'ASSISTANT: ', 'system': 'SYSTEM MESSAGE: '} -%}
{%- set source -%}
    {%- for message in messages[:-2] -%}
        {{- names[message.role] ~ message.content | trim ~ '\\n    \\n    ' -}}
    {%- endfor -%}
    {{- 'ASSISTANT: ' -}}
{%- endset -%}
{{- [source, messages[-2].content, messages[-1].content] | tojson -}}
"""

    def _parts(self, texts: Sequence[str]) -> list[list[int]]:
        ids = self.tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
        texts = [self.tokenizer.decode(text, skip_special_tokens=True) for text in ids]
        source, first, second = (prefix + text for prefix, text in zip(("", *_PREFIXES[1:]), texts, strict=True))
        prefix, *parts = self.tokenizer([_PREFIXES[0], source, first, second], verbose=False)["input_ids"]
        return [prefix + parts[0], *parts[1:]]

    def _cut_source(self, source: list[int], most: int) -> list[int]:
        # CLS, prefix, SEP, CLS: the text begins behind them
        lost = max(0, len(source) - most)
        return source[:4] + source[4 + lost :]

    def _most(self, source: list[int]) -> int:
        # beside CLS, prefix and SEP
        return min(super()._most(source), self.max_length * self.candidate // self.total + 3)


class SteamSHPFormat(OwnFormat):
    """One text that ends in `RESPONSE`, to which the model answers A or B.

    The format: the card of stanfordnlp/SteamSHP-flan-t5-xl; turns of the prompt are joined by spaces as in
    allenai/reward-bench, rewardbench/models/shp.py.
    """

    format = (
        "POST: {{ messages[:-2] | map(attribute='content') | join(' ') }}\n\n RESPONSE A: {{ messages[-2].content }}"
        "\n\n RESPONSE B: {{ messages[-1].content }}\n\n Which response is better? RESPONSE"
    )


class PairPreferenceFormat(OwnFormat):
    """Prompt and responses in one user message of the tokenizer's own chat template, without BOS.

    Formulas: allenai/reward-bench, rewardbench/models/slicpairpm.py, and the card of RLHFlow/pair-preference-model-LLaMA3-8B.
    """

    format = """
{{- '[CONTEXT] \\n' -}}
{%- for message in messages[:-2] -%}
    {%- if message.role != ['user', 'assistant'][loop.index0 % 2] -%}
        {{- raise_exception('expected turns of user and assistant only') -}}
    {%- endif -%}
    {{- '\\n<turn> ' ~ message.role ~ '\\n ' ~ message.content -}}
{%- endfor -%}
{{- '\\n [RESPONSE A] ' ~ messages[-2].content ~ ' [RESPONSE B] ' ~ messages[-1].content ~ ' \\n' -}}
"""

    def render(self, messages: Sequence[Message], template: str | None = None) -> str:
        """The text, in the tokenizer's chat template, which knows no further arguments."""
        message = {"role": "user", "content": super().render(messages, template)}
        try:
            text = self.tokenizer.apply_chat_template([message], tokenize=False)
        except Exception as error:
            raise UserError(
                f"found no usable chat template in the tokenizer of {self.name}, expected one, in which it puts comparisons: "
                f"{' '.join(str(error).split())[:200]}; tokenizer=MODEL_THAT_HAS_ONE in --model_args"
            ) from error
        return text.replace(self.tokenizer.bos_token, "") if self.tokenizer.bos_token else text

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids without the special tokens that the tokenizer adds."""
        return self.tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]


def _on_the_right(ids: list[int], most: int) -> list[int]:
    """At most so many tokens, the last among them."""
    return ids if len(ids) <= most else [*ids[: max(most - 1, 0)], ids[-1]]

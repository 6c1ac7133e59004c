"""A conversation as a pair of texts, prompt and response, that the tokenizer puts together: what most encoders were trained on."""

import json
from collections.abc import Mapping, Sequence

import transformers

from skywork_rb_plugin.rendering.renderer import Renderer, TokenIds

# turns of the prompt with nothing between them, as allenai/reward-bench's runs of these models have them: scripts/configs/
# eval_configs.yaml, `chat_template: raw`, which is fastchat's (an empty system message, role names and separator)
PAIR = "{{ [messages[:-1] | map(attribute='content') | join, messages[-1]['content']] | tojson }}"


class TextPair(Renderer):
    """Renders a conversation as a JSON list of prompt and response, and gives both to the tokenizer as a text pair."""

    def tokenize(self, texts: Sequence[str]) -> list[TokenIds]:
        """Ids of both texts with the tokens that the tokenizer puts around them, and their types where it has such."""
        prompts, responses = zip(*map(json.loads, texts), strict=True)
        found = self.tokenizer(list(prompts), list(responses), verbose=False)
        types = found.get("token_type_ids") or [()] * len(texts)
        return [TokenIds(ids, types=of) for ids, of in zip(found["input_ids"], types, strict=True)]


def text_pair_or_template(
    tokenizer: transformers.PreTrainedTokenizerBase,
    chat_template: str | None,
    template_args: Mapping,
    max_length: int,
    name: str,
) -> Renderer:
    """A chat template where the user gives one or the tokenizer has one, else the text pair; arguments as of Renderer."""
    if chat_template or tokenizer.chat_template:
        return Renderer(tokenizer, chat_template, template_args, max_length, name)
    return TextPair(tokenizer, PAIR, template_args, max_length, name)

"""Process reward models that are plain language models: they say `+` or `-` of each step."""

from collections.abc import Callable, Sequence

import torch

from skywork_rb_plugin.conversations import Message
from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.heads.checkpoint import Checkpoint
from skywork_rb_plugin.heads.families.lm_head import logits_of
from skywork_rb_plugin.heads.family import Family, Loaded
from skywork_rb_plugin.heads.head import Head
from skywork_rb_plugin.heads.steps import ends, marked, steps_of
from skywork_rb_plugin.rendering.renderer import Renderer, TokenIds

# steps begin after a blank line, or with a line `Step N: …`, as in the data that it was trained on, whose marks may be there
_SHEPHERD = r"""
{%- set text = messages[-1].content.replace(" ки", "").replace("\nStep ", "\n\nStep ") %}
{%- set steps = text.split("\n\n") | map("trim") | select | list or [""] %}
{{- messages[:-1] | map(attribute="content") | join("\n") ~ " " ~ steps | join(" ки\n") ~ " ки" }}"""

_PLUS: Message = {"role": "assistant", "content": "+"}
_ASKED = "nothing in the checkpoint tells it from a language model, so it must be asked for"


class MathShepherd(Family):
    """Each step ends in ` ки`, where `+` and `-` are compared: the probability of `+` is the step's score.

    Whatever else becomes that token is read too, as there: a question in Russian may. By default the lowest score is taken
    (arXiv:2312.08935, section 3.4).
    """

    name = "math-shepherd"
    models = f"math-shepherd-mistral-7b-prm by head=math-shepherd: {_ASKED}"
    source = "model card of peiyi9979/math-shepherd-mistral-7b-prm"
    auto_class = "AutoModelForCausalLM"
    template = _SHEPHERD

    def answers(self, checkpoint: Checkpoint) -> bool:
        """Never by itself."""
        return False

    def head(self, loaded: Loaded) -> Head:
        """The rows of `+` and `-` of the lm_head (648 and 387 there) at each ` ки` (12902 there)."""
        step_end = loaded.token("ки")
        return _head(loaded, lambda ids: ends(ids, step_end), "min")


class TurnsRenderer(Renderer):
    """Each step as the user's turn, to which the assistant's answer is `+`; the first step follows the question.

    The token before each `+`, whose logits predict it, is marked: the third from the end with Llama-3.1's template.

    Raises:
        UserError: the template writes answers in a way that they can't be found in.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        question = [{"role": "user", "content": "Hello"}]
        before, after = (super(TurnsRenderer, self).render(messages) for messages in (question, [*question, _PLUS]))
        [self._answer] = self._tokenize([after.removeprefix(before)], add_special_tokens=False)
        [plus] = self._tokenize(["+"], add_special_tokens=False)
        places = [i for i, token in enumerate(self._answer) if [token] == plus]
        if not (after.startswith(before) and places and places[-1]):
            raise self._lost(after)
        self._before_plus = places[-1] - 1

    def render(self, messages: Sequence[Message], template: str | None = None) -> str:
        """The conversation as text, its response in turns."""
        *before, response = messages
        question = before.pop()["content"] if before and before[-1]["role"] == "user" else None
        first, *others = self.steps(response["content"])
        turns = [first if question is None else f"{question} {first}", *others]
        answered = [message for turn in turns for message in ({"role": "user", "content": turn}, _PLUS)]
        return super().render([*before, *answered], template)

    def encode(self, texts: Sequence[str]) -> list[Sequence[int]]:
        """Token ids of rendered conversations, with their marks.

        Raises:
            UserError: there is none to set.
        """
        found = []
        for text, ids in zip(texts, super().encode(texts), strict=True):
            size, answer = len(self._answer), list(self._answer)
            starts = [i for i in range(len(ids) - size + 1) if list(ids[i : i + size]) == answer]
            if not starts:
                raise self._lost(text)
            found.append(TokenIds(ids, (start + self._before_plus for start in starts)))
        return found

    @staticmethod
    def steps(response: str) -> list[str]:
        """What blank lines divide, as in math-rm/prm_evaluate.py: also nothing, between two of them."""
        return [step.strip() for step in response.split("\n\n")]

    def _lost(self, text: str) -> UserError:
        return UserError(
            f"the chat template of {self.name} writes the answer + as {text[-80:]!r}, expected a turn of its own in which + is "
            "a token; check chat_template=… and tokenizer=… in --model_args"
        )


class WholeTurnRenderer(TurnsRenderer):
    """The same with the whole response in one turn."""

    @staticmethod
    def steps(response: str) -> list[str]:
        """The response."""
        return [response]


class RLHFlowProcess(Family):
    """The probability of `+` against `-` as the answer to each step; by default their mean, as math-rm/README.md has it."""

    name = "rlhflow-prm"
    models = f"RLHFlow/Llama3.1-8B-PRM-Deepseek-Data and -Mistral-Data by head=rlhflow-prm: {_ASKED}"
    source = "RLHFlow/RLHF-Reward-Modeling, math-rm/prm_evaluate.py, select_sample"
    auto_class = "AutoModelForCausalLM"
    renderer = TurnsRenderer

    def answers(self, checkpoint: Checkpoint) -> bool:
        """Never by itself."""
        return False

    def head(self, loaded: Loaded) -> Head:
        """The rows of `+` and `-` of the lm_head before each answer."""
        return _head(loaded, marked, "mean")


class RLHFlowOutcome(RLHFlowProcess):
    """The same of the whole response."""

    name = "rlhflow-orm"
    models = f"RLHFlow/Llama3.1-8B-ORM-Deepseek-Data and -Mistral-Data by head=rlhflow-orm: {_ASKED}"
    source = "RLHFlow/RLHF-Reward-Modeling, math-rm/orm_evaluate.py, select_sample"
    renderer = WholeTurnRenderer

    def head(self, loaded: Loaded) -> Head:
        """The rows of `+` and `-` of the lm_head before the answer."""
        return Head("softmax of + and - before the answer", lambda ids: marked(ids)[-1:], _values(loaded))


def _head(loaded: Loaded, positions: Callable, default: str) -> Head:
    steps = steps_of(loaded.checkpoint, default)
    return Head(f"softmax of + and - at each step, {steps['steps']} of the steps", positions, _values(loaded), **steps)


def _values(loaded: Loaded) -> Callable[[torch.Tensor], torch.Tensor]:
    """The probability of `+` where only `+` and `-` can follow; computed in the model's dtype, as there."""
    logits = logits_of(loaded, [loaded.token("+"), loaded.token("-")])
    return lambda hidden: logits(hidden).softmax(-1)[:, :1]

"""Process reward models with a layer of their own, read at the end of every step of the response."""

from collections.abc import Mapping
from types import MappingProxyType

import torch

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.heads.checkpoint import Checkpoint
from skywork_rb_plugin.heads.family import Family, Loaded
from skywork_rb_plugin.heads.head import Head
from skywork_rb_plugin.heads.steps import ends, marked, steps_of
from skywork_rb_plugin.rendering.pieces import PiecesRenderer

# ChatML, as the tokenizer's own template writes it, but for the steps of the response: what blank lines divide
_QWEN = r"""
{%- if messages[0].role != "system" %}
    {{- "<|im_start|>system\nPlease reason step by step, and put your final answer within \\boxed{}.<|im_end|>\n" }}
{%- endif %}
{%- for message in messages[:-1] %}
    {{- "<|im_start|>" ~ message.role ~ "\n" ~ message.content ~ "<|im_end|>\n" }}
{%- endfor %}
{%- set steps = messages[-1].content.split("\n\n") | map("trim", "\n") | select | list or [""] %}
{{- "<|im_start|>assistant\n" ~ steps | join("<extra_0>") ~ "<extra_0><|im_end|>\n" }}"""

# pieces for PiecesRenderer
_PIECES = r"""
{%- set found = namespace(pieces=[messages[:-1] | map(attribute="content") | join("\n") ~ after_question]) %}
{%- for step in steps %}
    {%- set found.pieces = found.pieces + [step, end] %}
{%- endfor %}
{{- found.pieces | tojson }}"""
_TRL = r"""
{%- set steps = messages[-1].content.split("\n\n") | map("trim") | select | list or [""] %}
{%- set end, after_question = separator | default("\n"), "" %}"""
_SKYWORK = r"""
{%- set steps = messages[-1].content.split("\n") %}
{%- set end, after_question = "\n", "\n" %}"""


class StepLayers(Family):
    """What these have in common.

    Attributes:
        layers: name of each layer of the hidden states -> how many outputs it has; None: as many as inputs.
    """

    layers: Mapping[str, int | None]

    def loading(self, checkpoint: Checkpoint) -> dict[str, object]:
        """Nothing further; refuses a head that is not whole before the decoder is loaded."""
        self.check(checkpoint)
        return {}

    def check(self, checkpoint: Checkpoint) -> None:
        """Refuse a head that is not whole.

        Raises:
            UserError: a weight or a bias is not there, or of another shape.
        """
        hidden, shapes = checkpoint.config.get_text_config().hidden_size, {}
        for name, outputs in self.layers.items():
            shapes[f"{name}.weight"] = (outputs or hidden, hidden)
            # a key of token classifiers alone
            if checkpoint.setting("token_classification_bias", True):
                shapes[f"{name}.bias"] = (outputs or hidden,)
        for name, expected in shapes.items():
            if (found := tuple(checkpoint.tensor(name).shape)) != expected:
                raise UserError(
                    f"found {name} of the shape {found} in {checkpoint.name} ({checkpoint.architecture}), expected {expected}"
                )

    def of(self, loaded: Loaded, dtype: torch.dtype | None = None) -> list[torch.nn.Linear]:
        """The layers; looked at again, since a model that came loaded was not."""
        self.check(loaded.checkpoint)
        return [loaded.linear(name, dtype) for name in self.layers]


class QwenProcess(StepLayers):
    """Each step ends in `<extra_0>`, where two labels are read: the probability of the second is the step's score.

    Layers and softmax compute in the model's dtype, as there. By default the scores are multiplied, as the authors do when
    they choose among responses (arXiv:2501.07301, section 2.2).
    """

    name = "qwen-prm"
    models = "Qwen2ForProcessRewardModel: Qwen2.5-Math-PRM-7B, -72B and Qwen2.5-Math-7B-PRM800K"
    source = "model card of Qwen/Qwen2.5-Math-PRM-7B; the layers: vllm, model_executor/models/qwen2_rm.py"
    template = _QWEN
    layers = MappingProxyType({"score.0": None, "score.2": 2})

    def answers(self, checkpoint: Checkpoint) -> bool:
        """To its architecture."""
        return "Qwen2ForProcessRewardModel" in checkpoint.architectures

    def head(self, loaded: Loaded) -> Head:
        """The layers `score.0` and `score.2`, with a ReLU between them."""
        inner, outer = self.of(loaded)
        step_end = loaded.token("<extra_0>")
        return _head(
            "two layers and a softmax at each <extra_0>",
            lambda ids: ends(ids, step_end),
            lambda hidden: second(outer(inner(hidden).relu())),
            **steps_of(loaded.checkpoint, "product"),
        )


class TokenClassifier(StepLayers):
    """Two labels at the last token of the separator after each step: the probability of the second is the step's score.

    Question, steps and separators are tokenized one by one, and nothing comes between the question and the first step, as
    in training. Which separator it was is not in the config: a line feed, as TRL has it by default and PURE, or what
    chat_template_args={"separator": …} says.
    """

    name = "token-classifier"
    models = "causal *ForTokenClassification with two labels: models of TRL's PRMTrainer, PURE-PRM-7B"
    source = "huggingface/trl, trl/experimental/prm/prm_trainer.py, tokenize_row"
    template = _TRL + _PIECES
    renderer = PiecesRenderer
    layers = MappingProxyType({"score": 2})

    def answers(self, checkpoint: Checkpoint) -> bool:
        """To a token classifier; those of encoders have their layer elsewhere."""
        tokens = any("ForTokenClassification" in name for name in checkpoint.architectures)
        return tokens and checkpoint.has("score.weight")

    def head(self, loaded: Loaded) -> Head:
        """The layer `score`."""
        [layer] = self.of(loaded)
        return _head(
            "a softmax of two labels after each step", marked, lambda hidden: second(layer(hidden)),
            **steps_of(loaded.checkpoint, "last"),
        )  # fmt: skip


class SkyworkProcess(StepLayers):
    """The sigmoid of a layer at the line feed after each step, which is a line of the response, an empty one too.

    Question and steps are tokenized one by one. The layer computes in float32, as there. The example prints the scores of
    all steps and makes no one number of them: by default the last one is taken.
    """

    name = "skywork-o1-prm"
    models = "Qwen2ForPrmModel: Skywork-o1-Open-PRM-Qwen-2.5-1.5B and -7B"
    source = (
        "SkyworkAI/skywork-o1-prm-inference, model_utils/io_utils.py, prepare_input, and model_utils/prm_model.py; the "
        "architecture's name: vllm_add_dummy_model/prm_model.py"
    )
    template = _SKYWORK + _PIECES
    renderer = PiecesRenderer
    layers = MappingProxyType({"v_head.summary": 1})

    def answers(self, checkpoint: Checkpoint) -> bool:
        """To its architecture: the tensors are those of any value head."""
        return "Qwen2ForPrmModel" in checkpoint.architectures

    def head(self, loaded: Loaded) -> Head:
        """The layer `v_head.summary`."""
        [layer] = self.of(loaded, torch.float32)
        return _head(
            "sigmoid of v_head at each line's end", marked, lambda hidden: layer(hidden).sigmoid(), dtype=torch.float32,
            **steps_of(loaded.checkpoint, "last"),
        )  # fmt: skip


def second(logits: torch.Tensor) -> torch.Tensor:
    """The probability of the second of two labels, (reads, 1), from their logits (reads, 2)."""
    return logits.softmax(-1)[:, 1:]


def _head(what: str, positions, values, steps: str, **rest) -> Head:
    return Head(f"{what}, {steps} of the steps", positions, values, steps=steps, **rest)

"""`load`: a reward model from Python, by the names and options of `--model` and `--model_args`."""

import difflib
import importlib
import inspect
from typing import TYPE_CHECKING

from skywork_rb_plugin.discovery import MODELS
from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.models.hf_dpo import HFDPO
from skywork_rb_plugin.models.hf_reward import HFReward
from skywork_rb_plugin.models.reward_lm import RewardLM
from skywork_rb_plugin.models.vllm_reward import VLLMReward

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def load(pretrained: "str | PreTrainedModel", *, model: str = "hf-reward", **options) -> RewardLM:
    """Load a reward model, to `score` conversations with or to hand to `lm_eval.simple_evaluate`.

    Args:
        pretrained: hub name, folder or loaded model (with `tokenizer=`); `demo` is the small model packaged here.
        model: as of `--model`.
        options: as of `--model_args`, each as a keyword.

    Raises:
        UserError: there is no such model or option, or the model can't run as asked.
    """
    return class_of(model)(pretrained, **options)


def class_of(model: str) -> type[RewardLM]:
    """The class of a `--model`.

    Raises:
        UserError: there is none.
    """
    if not isinstance(model, str) or model not in MODELS:
        near = difflib.get_close_matches(str(model), MODELS, 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise UserError(f"found model={model!r}{hint}, expected one of {', '.join(MODELS)}")
    module, _, name = MODELS[model].partition(":")
    return getattr(importlib.import_module(module), name)


# so that help(load) shows every option
load.__doc__ = "\n\n".join(
    [
        inspect.getdoc(load),
        f"Options of hf-reward. {inspect.getdoc(HFReward)}",
        f"Options of hf-dpo. {inspect.getdoc(HFDPO)}",
        f"Options of vllm-reward. {inspect.getdoc(VLLMReward)}",
    ]
)

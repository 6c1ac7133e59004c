"""Reward models that transformers loads as a sequence classifier with one label: the reward is its only logit."""

import torch
import transformers
from transformers.modeling_layers import GenericForSequenceClassification

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.heads.head import Head
from skywork_rb_plugin.heads.pooling import pooled_index

# options of bitsandbytes that the host passes on one by one
_BITSANDBYTES = ("load_in_4bit", "load_in_8bit", "bnb_", "llm_int8_")
# names of classification heads in transformers
_HEADS = ("score", "classifier")
# in an architecture's name: it has a value for every token or for every step of a response
_STEPWISE = ("ForTokenClassification", "ProcessReward", "Prm", "PRM")


class CheckedLoader:
    """Stands where the host expects an auto class: loads the classifier and checks that its head was trained.

    transformers fills weights that a checkpoint lacks with random numbers and only warns.
    """

    def __init__(self, config: transformers.PretrainedConfig, name: str, adapter: str | None = None) -> None:
        """Note what to load; `adapter` is the PEFT adapter that may bring the head for a base without one.

        Raises:
            UserError: the checkpoint has more than one label, or scores tokens or steps.
        """
        self.name, self.adapter = name, adapter
        if not adapter:
            refuse_stepwise(config, name)
        self.missing, self.unread = set(), set()  # weights that the checkpoint lacks, and has beside the model's
        is_classifier = any("SequenceClassification" in a for a in config.architectures or [])
        self._trusts_labels = is_classifier or bool(getattr(config, "auto_map", None))
        if is_classifier and not adapter:
            check_labels(config, name)

    def from_pretrained(self, path: str, **kwargs) -> transformers.PreTrainedModel:
        """Load the classifier with every option the host passes on."""
        if self.adapter or not self._trusts_labels:
            kwargs["num_labels"] = 1
        # transformers 5 takes these only as a config; the head stays as it is in the checkpoint
        if options := {key: kwargs.pop(key) for key in list(kwargs) if key.startswith(_BITSANDBYTES)}:
            options.setdefault("llm_int8_skip_modules", list(_HEADS))
            kwargs["quantization_config"] = transformers.BitsAndBytesConfig(**options)
        # reported then, and refused here; of packed weights the quantiser knows the shapes
        kwargs["ignore_mismatched_sizes"] = not kwargs.get("quantization_config")
        model, report = transformers.AutoModelForSequenceClassification.from_pretrained(
            path, output_loading_info=True, **kwargs
        )
        for mismatch in sorted(report["mismatched_keys"]):
            # transformers 4 names the weight alone
            key, *shapes = [mismatch] if isinstance(mismatch, str) else mismatch
            found = f"the shape {tuple(shapes[0])}" if shapes else "another shape"
            raise UserError(
                f"{self.name} ({_architecture(model.config)}) has {key} of {found}, expected "
                f"{tuple(model.state_dict()[key].shape)}: a *ForSequenceClassification checkpoint with one label"
            )
        self.missing |= set(report["missing_keys"])
        self.unread |= {key for key in report["unexpected_keys"] if not key.startswith("lm_head.")}
        return model

    def check(self, config: transformers.PretrainedConfig) -> None:
        """Refuse a model with weights that neither the checkpoint nor the adapter has.

        Raises:
            UserError: the checkpoint is no reward model.
        """
        missing = sorted(self.missing - self._in_adapter())
        if missing:
            shown = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
            where = f"{self.name} and its adapter {self.adapter}" if self.adapter else self.name
            advice = "a language model is scored with --model hf"
            if self.unread:
                advice = f"it has {', '.join(sorted(self.unread)[:3])} instead, a head that hf-reward does not read"
            raise UserError(
                f"{where} lacks {shown} ({_architecture(config)}), so these would be random numbers; expected a reward model: a "
                f"*ForSequenceClassification checkpoint with one label ({advice})"
            )
        check_labels(config, self.name)

    def _in_adapter(self) -> set[str]:
        if not self.adapter:
            return set()
        from peft import load_peft_weights

        return {key.removeprefix("base_model.model.") for key in load_peft_weights(self.adapter, device="cpu")}


def check_labels(config: transformers.PretrainedConfig, name: str) -> None:
    """Refuse a classifier with several labels: which of them would be the reward?"""
    if config.num_labels != 1:
        raise UserError(f"{name} ({_architecture(config)}) has {_labels(config)}, expected a reward model with one")


def refuse_stepwise(config: transformers.PretrainedConfig, name: str) -> None:
    """Refuse a model of steps or tokens: its labels are no rewards of a conversation, however many it has."""
    if any(word in architecture for architecture in config.architectures or [] for word in _STEPWISE):
        raise UserError(
            f"{name} is a {_architecture(config)} with {_labels(config)}, which scores each step or token of a response, as "
            "process reward models do; hf-reward does not read those: it expects one reward for a whole response, from a "
            "*ForSequenceClassification checkpoint with one label"
        )


def _architecture(config: transformers.PretrainedConfig) -> str:
    return ", ".join(config.architectures or ["unknown architecture"])


def _labels(config: transformers.PretrainedConfig) -> str:
    """How many labels, and which."""
    labels = ", ".join(str(label) for label in list(config.id2label.values())[:5])
    return f"{config.num_labels} label{'s' * (config.num_labels != 1)} ({labels})"


def standard_head(model: torch.nn.Module, pad_id: int | None) -> Head | None:
    """The head of transformers' causal classifiers: a linear layer read at the last token that is not the pad token.

    transformers, modeling_layers.py, GenericForSequenceClassification. None for models of another build, such as encoders
    with a pooler, whose rewards are their own logits.

    Args:
        model: the classifier, or one with a PEFT adapter.
        pad_id: the token id that is skipped (`pad_id_for_pooling`), or None.
    """
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    if not isinstance(inner, GenericForSequenceClassification):
        return None
    return Head(head_name(inner), lambda ids: [pooled_index(ids, pad_id)], inner.score, own_logits=True)


def head_name(model: torch.nn.Module) -> str:
    """What the results file calls the head of a classifier with one label."""
    return f"{type(model).__name__}, one label"

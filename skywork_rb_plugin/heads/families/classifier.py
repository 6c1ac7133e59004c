"""Sequence classifiers of transformers: the reward is their only logit, or that of the label that is asked for."""

from transformers.modeling_layers import GenericForSequenceClassification

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.heads.checkpoint import Checkpoint, is_encoder
from skywork_rb_plugin.heads.family import Family, Loaded
from skywork_rb_plugin.heads.head import Head

# names of classification heads in transformers
_HEADS = ("score.weight", "classifier.weight", "classifier.out_proj.weight")
# beginnings of other families' heads in checkpoints that may call themselves classifiers, or lie beside an adapter
_OTHERS = (
    "score.0.", "score.2.", "v_head.", "regression_layer.", "regression_head.", "score_head.", "gating.logit_scale",
    "weights.fc.0.",
)  # fmt: skip


class Classifier(Family):
    """Causal classifiers are read at the last token that is not the pad token; of unknown ones, the model's own logit is taken."""

    name = "classifier"
    models = "a *ForSequenceClassification checkpoint with one label, or label=… for one of several"
    source = "transformers, modeling_layers.py, GenericForSequenceClassification"
    auto_class = "AutoModelForSequenceClassification"
    remote_code = True

    def answers(self, checkpoint: Checkpoint) -> bool:
        """Whether it has a classifier's architecture or head, or an adapter may bring one, and it is no encoder."""
        return may_classify(checkpoint) and not is_encoder(checkpoint.config)

    def loading(self, checkpoint: Checkpoint) -> dict[str, object]:
        """One label, unless the checkpoint says how many it has."""
        if checkpoint.adapter:
            return {"num_labels": 1}
        if is_classifier(checkpoint):
            label_of(checkpoint)
            return {}
        return {} if _is_remote(checkpoint) else {"num_labels": 1}

    def head(self, loaded: Loaded) -> Head:
        """The linear layer `score` of causal classifiers, or the model's own logits."""
        model, label = loaded.inner, label_of(loaded.checkpoint, loaded.inner.config)
        name = f"{type(model).__name__}, " + ("one label" if label is None else f"label {label}")
        if not isinstance(model, GenericForSequenceClassification):
            return Head(name, lambda ids: [loaded.last(ids)], None, own_logits=True, label=label)
        values = model.score if label is None else lambda hidden: model.score(hidden)[:, label : label + 1]
        return Head(name, lambda ids: [loaded.last(ids)], values, own_logits=True, label=label)


def may_classify(checkpoint: Checkpoint) -> bool:
    """Whether its architecture or its head is a sequence classifier's, or an adapter may bring one."""
    tokens = any("ForTokenClassification" in name for name in checkpoint.architectures)
    if tokens or by_openrlhf(checkpoint) or any(name.startswith(_OTHERS) for name in checkpoint.names):
        return False
    return (
        checkpoint.adapter is not None
        or is_classifier(checkpoint)
        or any(checkpoint.has(head) for head in _HEADS)
        or (not checkpoint.names and not checkpoint.architectures)
    )


def by_openrlhf(checkpoint: Checkpoint) -> bool:
    """Whether OpenRLHF made the head; one that was trained on since, as transformers' own classifier, is that."""
    named = checkpoint.setting("value_head_prefix") or "RewardModel" in checkpoint.architectures
    since = is_classifier(checkpoint) and checkpoint.has("score.weight") and not checkpoint.setting("normalize_reward")
    return bool(named) and not since


def is_classifier(checkpoint: Checkpoint) -> bool:
    """Whether the config says so."""
    return any("SequenceClassification" in name for name in checkpoint.architectures) or _is_remote(checkpoint)


def _is_remote(checkpoint: Checkpoint) -> bool:
    return "AutoModelForSequenceClassification" in (checkpoint.setting("auto_map") or {})


def label_of(checkpoint: Checkpoint, config=None) -> int | None:
    """Index of the label that `label=` asks for, by number or name; None where there is one.

    Raises:
        UserError: there are several and none is asked for, or no such label.
    """
    config, wanted = config or checkpoint.config, checkpoint.option("label")
    if wanted is None and config.num_labels == 1:
        return None
    names = {str(name): index for index, name in config.id2label.items()}
    index = names.get(str(wanted), wanted)
    if isinstance(index, str) and index.isdecimal():
        index = int(index)
    if type(index) is not int or index not in range(config.num_labels):
        asked = "" if wanted is None else f"found label={wanted}, but "
        raise UserError(
            f"{asked}{checkpoint.name} ({checkpoint.architecture}) has {checkpoint.labels}, expected a reward model with one, "
            "or label=… in --model_args for the one whose logit is the reward"
        )
    return index

"""Encoders with a sequence classifier's head, given prompt and response as a pair of texts."""

import dataclasses

from skywork_rb_plugin.heads.checkpoint import Checkpoint, is_encoder
from skywork_rb_plugin.heads.families.classifier import Classifier, may_classify
from skywork_rb_plugin.heads.family import Loaded
from skywork_rb_plugin.heads.head import Head
from skywork_rb_plugin.rendering.text_pair import text_pair_or_template


class Encoder(Classifier):
    """The reward is the model's own logit, in padded batches: its tokens look in both directions.

    A chat template, the user's or the tokenizer's, makes one text of a conversation; without one, as of all encoders that
    were found, prompt and response go to the tokenizer as a text pair.
    """

    name = "encoder"
    models = (
        "an encoder (DeBERTa, ELECTRA, RoBERTa, ModernBERT, BERT, …) as *ForSequenceClassification with one label, or label=… "
        "for one of several, such as OpenAssistant/reward-model-deberta-v3-large-v2"
    )
    source = (
        "the card of OpenAssistant/reward-model-deberta-v3-large: tokenizer(question, answer), logits[0]; "
        "LAION-AI/Open-Assistant, model/reward/instructor/rank_datasets.py, DataCollatorForPairRank"
    )
    renderer = staticmethod(text_pair_or_template)

    def answers(self, checkpoint: Checkpoint) -> bool:
        """Whether it is an encoder with a classifier's architecture or head, or an adapter may bring one."""
        return may_classify(checkpoint) and is_encoder(checkpoint.config)

    def head(self, loaded: Loaded) -> Head:
        """The model's own logits; most encoders read them at their first token."""
        return dataclasses.replace(super().head(loaded), positions=lambda ids: [0])

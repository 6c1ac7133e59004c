"""Loads a family's checkpoint, and checks that nothing of it is made up: transformers fills what is missing at random."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import transformers

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.heads.checkpoint import Checkpoint
from skywork_rb_plugin.heads.family import Family

logger = logging.getLogger(f"lm_eval.{__name__}")

# options of bitsandbytes that the host passes on one by one
_BITSANDBYTES = ("load_in_4bit", "load_in_8bit", "bnb_", "llm_int8_")
# names of classification heads in transformers, and of the vocabulary's
_HEADS = ("score", "classifier", "lm_head")


class FamilyLoader:
    """Stands where the host expects an auto class.

    Args:
        family: whose checkpoint it is.
        checkpoint: what to load.

    Raises:
        UserError: the family can't read it.
    """

    def __init__(self, family: Family, checkpoint: Checkpoint) -> None:
        self.family, self.checkpoint = family, checkpoint
        self._options = family.loading(checkpoint)
        self.missing, self.unread = set(), set()  # weights that the checkpoint lacks, and has beside the model's

    def from_pretrained(self, path: str, **kwargs) -> transformers.PreTrainedModel:
        """Load the model with every option the host passes on.

        Raises:
            UserError: it is read by code that comes with it and may not run, or has tensors of another shape.
        """
        if self.family.remote_code and not kwargs.get("trust_remote_code"):
            self._refuse_own_code()
        kwargs.update(self._options)
        # transformers 5 takes these only as a config; the head stays as it is in the checkpoint
        if options := {key: kwargs.pop(key) for key in list(kwargs) if key.startswith(_BITSANDBYTES)}:
            options.setdefault("llm_int8_skip_modules", list(_HEADS))
            kwargs["quantization_config"] = transformers.BitsAndBytesConfig(**options)
        # reported then, and refused here; of packed weights the quantiser knows the shapes
        kwargs["ignore_mismatched_sizes"] = not kwargs.get("quantization_config")
        if self.family.key_mapping:
            kwargs["key_mapping"] = dict(self.family.key_mapping)
        if not self.family.remote_code:
            kwargs["trust_remote_code"] = False
        elif kwargs.get("trust_remote_code") and self._may_change(path, kwargs.get("revision")):
            logger.warning("%s brings code of its own, which may change any day: revision=COMMIT pins it.", path)
        if (translated := self.family.translated(self.checkpoint)) is not None:
            path = None  # nothing is left to be read there
            kwargs["config"], kwargs["state_dict"] = translated
        auto = getattr(transformers, self._auto_class())
        with _without_report():
            model, report = auto.from_pretrained(path, output_loading_info=True, **kwargs)
        for mismatch in sorted(report["mismatched_keys"]):
            # transformers 4 names the weight alone
            key, *shapes = [mismatch] if isinstance(mismatch, str) else mismatch
            found = f"the shape {tuple(shapes[0])}" if shapes else "another shape"
            raise UserError(
                f"{self.checkpoint.name} ({self.checkpoint.architecture}) has {key} of {found}, expected "
                f"{tuple(model.state_dict()[key].shape)}: {self.family.models}"
            )
        self.missing |= set(report["missing_keys"])
        self.unread |= {key for key in report["unexpected_keys"] if not key.startswith("lm_head.")}
        return model

    def refuse_delta(self, delta: str | None) -> None:
        """Of a delta the host adds the loaded weights, and knows nothing of a head that is read apart.

        Raises:
            UserError: there is one.
        """
        if delta and not self.family.auto_class.startswith("AutoModelFor"):
            raise UserError(
                f"found delta={delta} with the head {self.family.name}, which is read from {self.checkpoint.name} alone; expected "
                "a checkpoint with the delta added"
            )

    def check(self) -> None:
        """Refuse a model with weights that neither the checkpoint nor the adapter has.

        Raises:
            UserError: the checkpoint is no reward model of this family.
        """
        name, adapter = self.checkpoint.name, self.checkpoint.adapter
        if self.missing and (missing := sorted(self.missing - self._in_adapter())):
            shown = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
            where = f"{name} and its adapter {adapter}" if adapter else name
            beside = (
                f"it has {', '.join(sorted(self.unread)[:3])} beside" if self.unread else "head=NAME takes another head"
            )
            raise UserError(
                f"{where} lacks {shown} ({self.checkpoint.architecture}), so these would be random numbers; expected a reward "
                f"model that the head {self.family.name} reads: {self.family.models} ({beside})"
            )

    def say_unread(self) -> None:
        """Once the head is made: warn of weights that nothing took."""
        if unread := self.checkpoint.unread(self.unread):
            logger.warning(
                "%s has %s, which the head %s does not read.", self.checkpoint.name,
                ", ".join(unread[:3]) + (f" and {len(unread) - 3} more" if len(unread) > 3 else ""), self.family.name,
            )  # fmt: skip

    def _refuse_own_code(self) -> None:
        """Without its code, transformers would take a class of its own for the checkpoint's, and call it the same."""
        if own := self.checkpoint.own_code(self.family.auto_class):
            raise UserError(
                f"{self.checkpoint.name} ({self.checkpoint.architecture}) is read by code that comes with it ({own}), expected "
                "trust_remote_code=True in --model_args, once you have read that code, or head=NAME for another head"
            )

    def _auto_class(self) -> str:
        """An adapter's layers have the names that they had in training: within a model with a head, never in a decoder alone."""
        whole = self.checkpoint.adapter and self.family.auto_class == "AutoModel"
        return "AutoModelForCausalLM" if whole else self.family.auto_class

    def _may_change(self, path: str, revision: str | None) -> bool:
        """Whether it has code of its own, on the hub and not pinned."""
        return bool(self.checkpoint.setting("auto_map")) and not Path(path).is_dir() and revision in (None, "main")

    def _in_adapter(self) -> set[str]:
        if not self.checkpoint.adapter:
            return set()
        from peft import load_peft_weights

        return {
            key.removeprefix("base_model.model.")
            for key in load_peft_weights(self.checkpoint.adapter, device="cpu", revision=self.checkpoint.revision)
        }


@contextmanager
def _without_report() -> Iterator[None]:
    """Without transformers' own table of weights, which calls a head that we read unexpected: our lines say what matters."""

    def keep(record: logging.LogRecord) -> bool:
        text = record.getMessage()
        return "LOAD REPORT" not in text and not text.startswith("Some weights of ")

    theirs = logging.getLogger("transformers.modeling_utils")
    theirs.addFilter(keep)
    try:
        yield
    finally:
        theirs.removeFilter(keep)

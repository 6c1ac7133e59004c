"""The reference of hf-dpo: whether a model can be one, and whether it fits into the memory beside the policy."""

import math
import numbers
import os
from collections.abc import Mapping

import torch
import transformers

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.heads.policy import REDUCTIONS
from skywork_rb_plugin.scoring.budget import free_memory

# of a policy's own size: what must be free for a reference beside it, with some room to compute in
_ROOM = 1.25


def check_options(options: Mapping[str, object]) -> None:
    """Refuse options of hf-dpo that can't be meant; one that is not there has its default.

    Raises:
        UserError: says what was found and what was expected.
    """
    policy, reference = options.get("pretrained"), options.get("ref_model")
    if not isinstance(reference, (str, os.PathLike, torch.nn.Module, type(None))):
        raise UserError(f"found ref_model={reference!r}, expected a hub name, a folder, or a loaded model")
    kind, beta, both = options.get("ref_free_type"), options.get("beta", 1), options.get("keep_both", "auto")
    if others := [name for name in ("head", "label", "steps", "pad_rule") if options.get(name) is not None]:
        raise UserError(f"found {others[0]} in --model_args, an option of hf-reward; expected none of hf-dpo")
    if kind is not None and kind not in list(REDUCTIONS):
        raise UserError(f"found ref_free_type={kind}, expected {', '.join(REDUCTIONS)}")
    if kind is not None and reference is not None:
        raise UserError(
            f"found ref_free_type={kind} beside ref_model={name_of(reference)}, expected one of them: with a reference the "
            "reward is a sum, as in allenai/reward-bench"
        )
    if reference is None and (options.get("ref_revision") is not None or both != "auto"):
        name = "keep_both" if both != "auto" else "ref_revision"
        raise UserError(f"found {name} without ref_model in --model_args, expected ref_model=… beside it")
    if not isinstance(beta, numbers.Real) or isinstance(beta, bool) or not 0 < beta < math.inf:
        raise UserError(f"found beta={beta!r}, expected a number above 0")
    if both != "auto" and not isinstance(both, bool):
        raise UserError(f"found keep_both={both!r}, expected True, False or auto")
    changed = any(options.get(name) for name in ("peft", "delta", "subfolder", "gguf_file"))
    if reference is not None and _same(policy, reference) and not changed:
        revisions = [str(options.get(name) or "main") for name in ("revision", "ref_revision")]
        if len(set(revisions)) == 1 or not isinstance(policy, str):
            raise UserError(
                f"found ref_model={name_of(reference)}, which is the policy itself, so that all rewards would be 0; expected "
                "the model that the policy was trained from, or no ref_model"
            )


def name_of(model: object) -> str:
    """A model as the user calls it."""
    return os.fspath(model) if isinstance(model, (str, os.PathLike)) else type(model).__name__


def _same(policy: object, reference: object) -> bool:
    if isinstance(policy, torch.nn.Module) or isinstance(reference, torch.nn.Module):
        return policy is reference
    if os.path.isdir(policy) and os.path.isdir(reference):
        return os.path.samefile(policy, reference)
    return os.path.normpath(os.fspath(policy)) == os.path.normpath(os.fspath(reference))


def check_vocabularies(
    own: transformers.PreTrainedTokenizerBase, other: transformers.PreTrainedTokenizerBase, policy: str, reference: str
) -> frozenset[int]:
    """Refuse a reference whose tokens have other ids; those added to one of the two, such as a pad token, may be unused.

    Args:
        own: the policy's tokenizer.
        other: the reference's.
        policy: the policy's name.
        reference: the reference's.

    Returns:
        The ids of tokens that only the policy has.

    Raises:
        UserError: says how many tokens differ, and names one.
    """
    ours, theirs = own.get_vocab(), other.get_vocab()
    added = {*own.get_added_vocab(), *other.get_added_vocab()}
    if differing := [
        token
        for token in ours.keys() | theirs.keys()
        if ours.get(token) != theirs.get(token) and not (token in added and (token not in ours or token not in theirs))
    ]:
        token = min(differing)
        raise UserError(
            f"{len(differing)} tokens of {policy} and {reference} differ, such as {token!r} (id {ours.get(token)} and "
            f"{theirs.get(token)}); expected a reference with the policy's tokenizer: ref_model=… in --model_args is the "
            "model that the policy was trained from"
        )
    return frozenset(ours[token] for token in ours.keys() - theirs.keys())


def fits_beside(policy: torch.nn.Module) -> bool:
    """Whether a reference as large as the policy fits into what is free where the policy is."""
    devices = {parameter.device for parameter in policy.parameters()}
    return sum(map(free_memory, devices)) >= _ROOM * policy.get_memory_footprint()


class Freed(torch.nn.Module):
    """Stands where a model was whose weights were freed, with what is said of it in the results file.

    Args:
        model: the model.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.config, self.dtype, self._parameters_of_it = model.config, model.dtype, model.num_parameters()

    def num_parameters(self) -> int:
        """How many it had."""
        return self._parameters_of_it

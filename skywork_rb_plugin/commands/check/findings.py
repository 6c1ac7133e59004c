"""What a loaded reward model is, and what is wrong with it."""

import itertools
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from skywork_rb_plugin.models.reward_lm import RewardLM
from skywork_rb_plugin.rendering.rendered import Rendered

# tokens shown of each end of a conversation
_SHOWN = 6


@dataclass
class Findings:
    """What `check` tells of a model.

    Attributes:
        facts: names and values, in the order in which they are printed.
        problems: what is wrong, a line each; none: the model is fine.
    """

    facts: dict[str, object] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def examine(model: RewardLM) -> Findings:
    """Look at a model and score its short conversations (`probes`) with it.

    Raises:
        UserError: a conversation can't be rendered or scored.
    """
    found = Findings()
    info = model.get_model_info()
    reward = info.pop("reward")
    found.facts.update(
        {
            "model": model.identity()["model"],
            "family": _family(model),
            **{
                name: reward.pop(name)
                for name in ("head", "checkpoint", "scoring", "attention", "max_length", "device")
            },
            "dtype": info.get("model_dtype", str(getattr(model.model, "dtype", None))),
            "parameters": sum(parameter.numel() for parameter in model.model.parameters()),
        }
    )
    _look_at_text(model, found)
    _score(model, found)
    _compare_with_known(model, found)
    found.facts["memory"] = _memory(model)
    found.facts["settings"] = {key: value for key, value in reward.items() if value is not None}
    return found


def _family(model: RewardLM) -> dict[str, str] | None:
    """The family that reads it, and whose that is; None for backends without families."""
    registered = getattr(model, "family", None)
    if registered is None:
        return None
    family = registered.family
    return {"name": family.name, "origin": registered.origin, "source": family.source}


def _look_at_text(model: RewardLM, found: Findings) -> None:
    """The template, one conversation as tokens, its BOS, and where it is read."""
    renderer = model.renderer
    rendered = Rendered(renderer, renderer.render_all(model.probes[:1]))
    [ids] = rendered.encode([0])
    reads, bos = model.positions(ids), renderer.tokenizer.bos_token_id
    count = sum(1 for _ in itertools.takewhile(lambda one: one == bos, ids))
    found.facts["template"] = {"sha256": renderer.template_sha256, "text": rendered.texts[0]}
    found.facts["tokens"] = {
        "count": len(ids),
        "first": _tokens(model, ids[:_SHOWN]),
        "last": _tokens(model, ids[-_SHOWN:]),
        "bos": None if bos is None else count,
        "read": [
            {"position": position, "token": _tokens(model, ids[position : position + 1])[0]} for position in reads
        ],
    }
    # hf-dpo puts one before the template's and some families keep the tokenizer's, as their reference implementations do
    if count > 1 + getattr(renderer, "adds_bos", not renderer.one_bos):
        found.problems.append(
            f"found {count} BOS tokens at the start of a conversation, expected one: look at the chat template"
        )


def _tokens(model: RewardLM, ids: Sequence[int]) -> list[list]:
    """Each as (id, text)."""
    return [[int(one), model.renderer.tokenizer.decode([one])] for one in ids]


def _score(model: RewardLM, found: Findings) -> None:
    """The same conversations alone, in one batch, and as the model's own scorer takes them."""
    rendered = Rendered(model.renderer, model.renderer.render_all(model.probes))
    sequences = [ids if isinstance(ids, tuple) else tuple(ids) for ids in rendered.encode(range(len(rendered.texts)))]
    rewards = {}
    with model.scoring_mode():
        if (padded := getattr(model, "padded", None)) is not None:
            rewards["alone"] = [padded.score([ids])[0] for ids in sequences]
            rewards["batch"] = padded.score(sequences)
        else:
            rewards["alone"] = [model.score([probe], progress=False)[0] for probe in model.probes]
        if model.scorer.name != "padded":
            stream = model.scorer.run(rendered)
            by_index = {i: s for some in stream for i, s in zip(some.conversations, some.scores, strict=False)}
            rewards[model.scorer.name] = [by_index[i] for i in range(len(sequences))]
    alone = rewards["alone"]
    differences = {
        name: max(abs(one - other) for one, other in zip(alone, some, strict=True))
        for name, some in rewards.items()
        if name != "alone"
    }
    found.facts["rewards"], found.facts["differences"] = rewards, differences
    if not all(math.isfinite(reward) for some in rewards.values() for reward in some):
        found.problems.append(f"found rewards that are no finite numbers: {rewards}")
        return
    # scores of steps may all round to 1, which the log says when it is loaded
    if model.steps is None and max(alone) - min(alone) <= 1e-6 * max(map(abs, alone)):
        found.problems.append(
            f"{len(alone)} different conversations all have the reward {alone[0]:g}, expected different ones: is the head "
            "trained?"
        )
    # rounding of many layers; what mistakes do to hidden states was measured when it was loaded
    dtype = getattr(model, "mixed_precision_dtype", None) or model.model.dtype
    allowed = max(16 * torch.finfo(dtype).eps, 1e-5) * max(1.0, *map(abs, alone))
    for name, difference in differences.items():
        if difference > allowed:
            found.problems.append(
                f"found rewards by {name} that differ by {difference:.2g} from those alone, expected at most {allowed:.2g} in "
                f"{dtype}"
            )


def _compare_with_known(model: RewardLM, found: Findings) -> None:
    """Published rewards of this model in this dtype, beside its own; none where the table has none."""
    run = getattr(model, "known", None)
    if run is None:
        return
    found.facts["known rewards"], others = [], set()
    for known in run.model.rewards:
        if known.dtype != run.used.dtype:
            others.add(known.dtype)
            continue
        [reward] = model.score([known.conversation], progress=False)
        off = abs(reward - known.reward)
        entry = {"reward": known.reward, "found": reward, "tolerance": known.tolerance, "source": str(known.source)}
        found.facts["known rewards"].append(entry)
        if not off <= known.tolerance:
            found.problems.append(
                f"found the reward {reward:g} for {known.conversation[-1]['content'][:40]!r}, expected {known.reward:g} within "
                f"{known.tolerance:g} ({known.source})"
            )
    if others:
        found.facts["other known rewards"] = f"dtype={' or '.join(sorted(others))} in --model_args compares with more"


def _memory(model: RewardLM) -> dict[str, int]:
    """Bytes: of the weights, and the most that was in use so far, on the GPU or by this process."""
    weights = sum(parameter.numel() * parameter.element_size() for parameter in model.model.parameters())
    if torch.device(model.device).type == "cuda":
        return {"weights": weights, "peak": torch.cuda.max_memory_allocated(model.device)}
    try:
        import resource
    except ImportError:  # Windows
        return {"weights": weights}
    # macOS counts bytes, others KiB
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {"weights": weights, "peak": peak}

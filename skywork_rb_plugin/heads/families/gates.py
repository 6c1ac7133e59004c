"""Gates: rewards for several objectives, weighed by numbers that the model computes too."""

from collections.abc import Callable, Mapping, Sequence

import torch

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.heads.checkpoint import Checkpoint
from skywork_rb_plugin.heads.family import Family, Loaded, linear
from skywork_rb_plugin.heads.head import Head

# of each kind of backbone the end of a prompt, at whose first token the gate is read (RLHFlow/RLHF-Reward-Modeling,
# armo-rm/stage-2_prepare.py), and the temperature where the config has none
_PROMPT_ENDS = {
    "llama": ("<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n", 10),
    "gemma2": ("<end_of_turn>\n<start_of_turn>model\n", 1),
}
# a rating is a distribution over so many numbers from 0 to 1
_LEVELS = 10


class ArmoRM(Family):
    """The gate is read where the prompt ends, the objectives at the last token, both in the model's dtype."""

    name = "armorm"
    models = "ArmoRM: regression_layer, reward_transform_matrix and gating"
    source = "RLHFlow/ArmoRM-Llama3-8B-v0.1, modeling_custom.py, LlamaForRewardModelWithGating"

    def answers(self, checkpoint: Checkpoint) -> bool:
        """Whether it has the one layer or the other, and no quantiles."""
        return _is_gated(checkpoint) and not checkpoint.setting("num_quantiles")

    def head(self, loaded: Loaded) -> Head:
        """Both parts at both positions, since a token may be one conversation's last and end another's prompt."""
        checkpoint, width = loaded.checkpoint, _width(loaded)
        text, temperature = _prompt_end(checkpoint)
        temperature = checkpoint.setting("gating_temperature", temperature)
        quantiles = checkpoint.setting("num_quantiles") or 1
        dtype = torch.float32 if quantiles > 1 else loaded.inner.dtype
        hidden_layers = checkpoint.setting("gating_n_hidden", 3)
        network = _network(loaded, _tensors(checkpoint, "gating.layers."), hidden_layers + 1, torch.nn.ReLU, dtype)
        scale = loaded.tensor("gating.logit_scale", dtype)
        objectives = network[-1].out_features
        regression = linear(
            _shaped(loaded, checkpoint.tensor, "regression_layer.weight", (objectives * quantiles, width), dtype)
        )
        transform = None
        if quantiles == 1 or checkpoint.has("reward_transform_matrix"):
            shape = (objectives, objectives)
            transform = _shaped(loaded, checkpoint.tensor, "reward_transform_matrix", shape, dtype)

        def values(hidden: torch.Tensor) -> torch.Tensor:
            gate = (network(hidden) / temperature).softmax(-1) * scale
            rewards = regression(hidden).unflatten(-1, (objectives, quantiles)).mean(-1)
            return torch.cat([gate, rewards if transform is None else rewards @ transform], -1)

        def reward(reads: Sequence[Sequence[float]]) -> float:
            at_prompt, at_end = torch.tensor(reads, dtype=dtype)
            return (at_prompt[:objectives] * at_end[objectives:]).sum().item()

        find = _finder(loaded, text)
        name = f"{objectives} objectives" + (f" of {quantiles} quantiles" if quantiles > 1 else "") + ", gated"
        return Head(
            name, lambda ids: [find(ids), loaded.last(ids)], values, reward, dtype=dtype if quantiles > 1 else None
        )


class QRM(ArmoRM):
    """Each objective is so many quantiles, whose mean is its reward; the gate has batch norms, and all is float32.

    The later models (Gemma-2-27B, Llama3.1-8B-v2) have no transform: what their tensors are called was read second-hand.
    """

    name = "qrm"
    models = "QRM: the same with num_quantiles in config.json"
    source = "allenai/reward-bench, rewardbench/models/qrm.py, LlamaForRewardModelWithGating3 and …31"

    def answers(self, checkpoint: Checkpoint) -> bool:
        """Whether it has the one layer or the other, and quantiles."""
        return _is_gated(checkpoint) and bool(checkpoint.setting("num_quantiles"))


class LabelDistributions(Family):
    """Each objective is a distribution over ten levels; the gate mixes them, and the mixture's mean is the reward.

    Both networks are files beside the weights and run in float32, whatever the model's dtype.
    """

    name = "ldl"
    models = "LDL-Reward-Gemma-2: regression_layer.pt and gating_layer.pt"
    source = "allenai/reward-bench, rewardbench/models/ldlreward.py, LDLRewardModel27B"

    def answers(self, checkpoint: Checkpoint) -> bool:
        """Whether one of the files is there; looked for only beside a bare Gemma-2."""
        bare = checkpoint.setting("model_type") == "gemma2" and not checkpoint.has("score.weight")
        return bare and any(checkpoint.tensors_in(file) for file in ("regression_layer.pt", "gating_layer.pt"))

    def head(self, loaded: Loaded) -> Head:
        """The only read is at the last token."""
        checkpoint = loaded.checkpoint
        regression, gate = (
            _network(loaded, _file(checkpoint, file), 3, torch.nn.LeakyReLU, torch.float32)
            for file in ("regression_layer.pt", "gating_layer.pt")
        )
        objectives, found = gate[-1].out_features, regression[-1].out_features
        if found != objectives * _LEVELS:
            raise UserError(
                f"found {found} outputs of regression_layer.pt and {objectives} of gating_layer.pt in {checkpoint.name}, "
                f"expected {_LEVELS} of the first for each of the second"
            )
        # by default the gate's numbers are weights as they are
        softmax, temperature = checkpoint.setting("softmax", False), checkpoint.setting("temperature", 1.0)
        levels = loaded.place(torch.linspace(0, 1, _LEVELS), torch.float32)

        def values(hidden: torch.Tensor) -> torch.Tensor:
            distributions = regression(hidden).unflatten(-1, (objectives, _LEVELS)).softmax(-1)
            weights = gate(hidden)
            if softmax:
                weights = (weights / temperature).softmax(-1)
            return ((weights.unsqueeze(-1) * distributions).sum(-2) * levels).sum(-1, keepdim=True)

        return Head(f"{objectives} distributions, gated", lambda ids: [loaded.last(ids)], values, dtype=torch.float32)


class Uncertain(Family):
    """Each attribute is a normal distribution, a mean and a spread; the reward is the sum of the means, weighed.

    The checkpoint's own code was not seen. SGLang computes the weights in float16; here all of the head is float32.
    """

    name = "urm"
    models = "URM-LLaMa: score with a mean and a spread for each attribute, and weights.fc"
    source = (
        "sgl-project/sglang, python/sglang/srt/models/llama_reward.py, LlamaForSequenceClassificationWithNormal_Weights"
    )

    def answers(self, checkpoint: Checkpoint) -> bool:
        """Whether it has the network of the weights."""
        return checkpoint.has("weights.fc.0.weight")

    def head(self, loaded: Loaded) -> Head:
        """The only read is at the last token."""
        checkpoint = loaded.checkpoint
        gate = _network(loaded, _tensors(checkpoint, "weights.fc."), 3, torch.nn.SELU, torch.float32)
        attributes = gate[-1].out_features
        shape = (2 * attributes, _width(loaded))
        score = linear(_shaped(loaded, checkpoint.tensor, "score.weight", shape, torch.float32))

        def values(hidden: torch.Tensor) -> torch.Tensor:
            means = score(hidden).unflatten(-1, (attributes, 2))[..., 0]
            return (means * gate(hidden)).sum(-1, keepdim=True)

        return Head(
            f"means of {attributes} attributes, gated", lambda ids: [loaded.last(ids)], values, dtype=torch.float32
        )


def _is_gated(checkpoint: Checkpoint) -> bool:
    return checkpoint.has("regression_layer.weight") or checkpoint.has("gating.logit_scale")


def _width(loaded: Loaded) -> int:
    return loaded.inner.config.get_text_config().hidden_size


def _prompt_end(checkpoint: Checkpoint) -> tuple[str, float]:
    """The text at which the gate is read, and its temperature where the config names none."""
    kind = checkpoint.setting("model_type")
    if kind not in _PROMPT_ENDS:
        raise UserError(
            f"found the model type {kind} in {checkpoint.name}, expected {' or '.join(_PROMPT_ENDS)}: of others it is not "
            "known where a gate is read"
        )
    return _PROMPT_ENDS[kind]


def _finder(loaded: Loaded, text: str) -> Callable[[Sequence[int]], int]:
    """What finds where a text's last occurrence begins in token ids."""
    pattern = tuple(loaded.tokenizer.encode(text, add_special_tokens=False))

    def find(ids: Sequence[int]) -> int:
        ids = tuple(ids)
        for start in range(len(ids) - len(pattern), -1, -1):
            if ids[start : start + len(pattern)] == pattern:
                return start
        raise UserError(
            f"found no {text!r} in a conversation of {len(ids)} tokens, expected it where the prompt ends and "
            f"{loaded.checkpoint.name} reads its gate: leave chat_template=… and tokenizer=… out of --model_args, or give a "
            "larger max_length=… where it was cut away"
        )

    return find


def _tensors(checkpoint: Checkpoint, prefix: str) -> dict[str, torch.Tensor]:
    """All tensors with this prefix, by their whole names."""
    return {name: checkpoint.tensor(name) for name in checkpoint.names if name.startswith(prefix)}


def _file(checkpoint: Checkpoint, file: str) -> dict[str, torch.Tensor]:
    """All tensors of a file, by its name and theirs."""
    return {f"{file}: {name}": tensor for name, tensor in checkpoint.tensors_in(file).items()}


def _network(
    loaded: Loaded,
    tensors: Mapping[str, torch.Tensor],
    layers: int,
    activation: type[torch.nn.Module],
    dtype: torch.dtype,
) -> torch.nn.Sequential:
    """Numbered layers in their order: linear ones with an activation after each but the last, and then maybe a batch norm.

    Args:
        loaded: the model.
        tensors: of all layers, each by a name that ends in its number and what it is.
        layers: how many linear ones there are.
        activation: between them.
        dtype: of the network.

    Raises:
        UserError: there are not so many, or their shapes do not fit.
    """
    places = sorted({name.rpartition(".")[0] for name in tensors}, key=lambda place: int(place.rpartition(".")[2]))
    norms = [place for place in places if f"{place}.running_mean" in tensors]
    if len(places) - len(norms) != layers or len(norms) not in (0, layers - 1):
        raise UserError(
            f"found {', '.join(sorted(tensors)) or 'no layer'} of a gate in {loaded.checkpoint.name} (tensors beside the "
            f"decoder's layers: {', '.join(loaded.checkpoint.beside_layers[:6])}), expected {layers} linear layers, with a "
            "batch norm after each but the last or after none"
        )
    network, width = [], _width(loaded)
    for place in places:
        if place in norms:
            norm = torch.nn.BatchNorm1d(width)
            shapes = {key: tuple(tensor.shape) for key, tensor in norm.state_dict().items()}
            norm.load_state_dict(
                {key: _shaped(loaded, tensors.get, f"{place}.{key}", shape) for key, shape in shapes.items()}
            )
            network.append(norm)
            continue
        weight = _shaped(loaded, tensors.get, f"{place}.weight", (None, width), dtype)
        bias = tensors.get(f"{place}.bias")
        network.append(linear(weight, None if bias is None else loaded.place(bias, dtype)))
        width = weight.shape[0]
        if place != places[-1]:
            network.append(activation())
    # evaluation mode: batch norms go by what they have seen in training
    return torch.nn.Sequential(*network).eval().to(weight.device, dtype)


def _shaped(
    loaded: Loaded,
    read: Callable[[str], torch.Tensor | None],
    name: str,
    shape: Sequence[int | None],
    dtype: torch.dtype | None = None,
) -> torch.Tensor:
    """A tensor that must have this shape (None: any length), where hidden states are."""
    tensor = read(name)
    found = "nothing" if tensor is None else f"the shape {tuple(tensor.shape)}"
    fits = tensor is not None and len(tensor.shape) == len(shape)
    if not fits or any(wanted not in (None, size) for wanted, size in zip(shape, tensor.shape, strict=True)):
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise UserError(
            f"found {found} for {name} in {loaded.checkpoint.name} ({loaded.checkpoint.architecture}), expected the shape "
            f"({wanted}) of a head that is whole"
        )
    return loaded.place(tensor, dtype)

"""`Family`: one kind of reward model, built in or a plugin's: which checkpoints it reads, how they load, what the head is."""

import abc
from collections.abc import Callable, Mapping, Sequence

import torch
import transformers

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.heads.checkpoint import Checkpoint
from skywork_rb_plugin.heads.head import Head
from skywork_rb_plugin.heads.pooling import pooled_index
from skywork_rb_plugin.rendering.renderer import Renderer


class Loaded:
    """A loaded model, with what a head is made of.

    Attributes:
        checkpoint: its config, tensors and options.
        model: the model, or the adapter around it.
        tokenizer: its tokenizer.
        pad_id: the token id that `last` skips; None: it skips none.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        model: torch.nn.Module,
        tokenizer: transformers.PreTrainedTokenizerBase | None = None,
        pad_id: int | None = None,
    ) -> None:
        self.checkpoint, self.model, self.tokenizer, self.pad_id = checkpoint, model, tokenizer, pad_id

    @classmethod
    def of(cls, model: torch.nn.Module, pad_id: int | None = None) -> "Loaded":
        """A model that came loaded."""
        return cls(Checkpoint(type(model).__name__, model.config, model=model), model, pad_id=pad_id)

    @property
    def inner(self) -> transformers.PreTrainedModel:
        """The model inside an adapter, or itself."""
        return self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model

    def last(self, ids: Sequence[int]) -> int:
        """Index of the last token that is not the pad token, where transformers' classifiers are read."""
        return pooled_index(ids, self.pad_id)

    def tensor(self, name: str, dtype: torch.dtype | None = None) -> torch.Tensor:
        """A tensor of the checkpoint, where hidden states are, in the model's dtype or another.

        Raises:
            UserError: there is none of this name.
        """
        return self.place(self.checkpoint.tensor(name), dtype)

    def place(self, tensor: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
        """A tensor of any origin, likewise."""
        *_, last = self.inner.base_model.parameters()
        return tensor.to(last.device, dtype or self.inner.dtype)

    def linear(self, name: str, dtype: torch.dtype | None = None) -> torch.nn.Linear:
        """The layer with `name.weight` and, where there is one, `name.bias`."""
        bias = self.tensor(f"{name}.bias", dtype) if self.checkpoint.has(f"{name}.bias") else None
        return linear(self.tensor(f"{name}.weight", dtype), bias)

    def token(self, text: str) -> int:
        """The id of a text that is one token.

        Raises:
            UserError: it is none, or several.
        """
        ids = self.tokenizer.encode(text, add_special_tokens=False)
        if len(ids) != 1:
            raise UserError(
                f"found {len(ids)} tokens for {text!r} in the tokenizer of {self.checkpoint.name}, expected one: is "
                "tokenizer=… another model's?"
            )
        return ids[0]


class Family(abc.ABC):
    """One kind of reward model. Subclasses say which checkpoints they read and make the head.

    Attributes:
        name: as of `head=NAME` in --model_args.
        models: which models it reads, in words, for `info` and the docs.
        source: where it was read how their rewards are computed.
        auto_class: the class of transformers that loads them; the decoder alone by default, of transformers' own code.
        remote_code: whether `auto_class` may be code that comes with the checkpoint (with trust_remote_code=True).
        key_mapping: patterns of tensor names -> names in transformers' model, where they differ.
        template: Jinja of the text, for models with a format of their own; None: the tokenizer's chat template.
        renderer: what makes text and token ids of conversations: a Renderer, or a function of its arguments that makes one.
        compares: whether it compares two responses, so that one alone has no reward; conversations then end in both.
        length: how many tokens it is given by default; None: what its config and tokenizer say.
    """

    name: str
    models: str
    source: str
    auto_class: str = "AutoModel"
    remote_code: bool = False
    key_mapping: Mapping[str, str] | None = None
    template: str | None = None
    renderer: Callable[..., Renderer] = Renderer
    compares: bool = False
    length: int | None = None

    @abc.abstractmethod
    def answers(self, checkpoint: Checkpoint) -> bool:
        """Whether it reads this checkpoint, by its config and the names of its tensors."""

    @abc.abstractmethod
    def head(self, loaded: Loaded) -> Head:
        """The head of a loaded model.

        Raises:
            UserError: the checkpoint lacks something of it.
        """

    def loading(self, checkpoint: Checkpoint) -> dict[str, object]:
        """Further arguments of `from_pretrained`.

        Raises:
            UserError: the checkpoint can't be read, which is known before it is loaded.
        """
        return {}

    def translated(
        self, checkpoint: Checkpoint
    ) -> tuple[transformers.PretrainedConfig, dict[str, torch.Tensor]] | None:
        """Config and weights of a model of transformers that computes the same; None where it knows the checkpoint's own.

        Raises:
            UserError: they can't be had.
        """
        return None

    def log_odds(self, first: float, swapped: float) -> float:
        """Of a family that compares: the log-odds that a response is the better one, by both orders.

        Args:
            first: what the head made of the comparison where the response came first.
            swapped: the same where it came second; by default both are log-odds of the first.
        """
        return (first - swapped) / 2


def linear(weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.nn.Linear:
    """A layer of (outputs, inputs) weights."""
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta", dtype=weight.dtype)
    layer.weight = torch.nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        layer.bias = torch.nn.Parameter(bias.to(weight.dtype), requires_grad=False)
    return layer

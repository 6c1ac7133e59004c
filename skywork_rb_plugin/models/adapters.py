"""PEFT adapters, which the host loads: it would first give the model as many rows of tokens as the tokenizer has."""

import functools

import transformers

from skywork_rb_plugin.heads.loader import FamilyLoader


class KeepsRows:
    """Stands where the host expects an auto class; its models keep rows of their vocabulary that the tokenizer does not use.

    Without them a softmax over the vocabulary would be another model's.

    Args:
        loader: loads the model.
        adapter: the adapter's folder or hub name.
    """

    def __init__(self, loader: FamilyLoader, adapter: str) -> None:
        self._loader, self._adapter = loader, adapter

    def from_pretrained(self, path: str, **kwargs) -> transformers.PreTrainedModel:
        """As the loader's.

        Raises:
            UserError: it can't be loaded.
        """
        model = self._loader.from_pretrained(path, **kwargs)
        model.resize_token_embeddings = functools.partial(self._resize, model, kwargs.get("revision"))
        return model

    def _resize(self, model: transformers.PreTrainedModel, revision: str | None, wanted: int) -> None:
        """As many rows as the adapter has, where it brings them itself; else no fewer than there are."""
        from peft import load_peft_weights

        del model.resize_token_embeddings  # the class has its own
        layers = [layer.weight for layer in (model.get_input_embeddings(), model.get_output_embeddings()) if layer]
        names = {
            name for name, weight in model.state_dict(keep_vars=True).items() if any(weight is one for one in layers)
        }
        brought = {
            name.removeprefix("base_model.model."): weight
            for name, weight in load_peft_weights(self._adapter, device="cpu", revision=revision).items()
        }
        rows = [len(brought[name]) for name in names & brought.keys()]
        if (count := max(rows or [wanted, len(layers[0])])) != len(layers[0]):
            model.resize_token_embeddings(count)

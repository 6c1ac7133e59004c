"""Rows of the vocabulary's layer: the reward is a logit of the next token, or the difference of two."""

from collections.abc import Callable, Mapping, Sequence

import torch
import transformers

from skywork_rb_plugin.conversations import Message
from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.heads.checkpoint import Checkpoint
from skywork_rb_plugin.heads.families.classifier import is_classifier
from skywork_rb_plugin.heads.family import Family, Loaded, linear
from skywork_rb_plugin.heads.head import Head
from skywork_rb_plugin.heads.naming import own_name
from skywork_rb_plugin.rendering.renderer import Renderer

# reward models that nothing but their name tells from a language model
_NAMES = (
    "Llama-3.1-Nemotron-70B-Reward-HF",
    "Llama-3.3-Nemotron-70B-Reward",
)
# Qwen3-Reranker's words (huggingface.co/Qwen/Qwen3-Reranker-0.6B, model card)
_SYSTEM = (
    "Judge whether the Document meets the requirements based on the Query and the Instruct provided. Note that the answer "
    'can only be "yes" or "no".'
)
_INSTRUCT = "Given a web search query, retrieve relevant passages that answer the query"


class Nemotron(Family):
    """The model card reads `scores[0][0][0]` of one generated token: id 0's logit at the conversation's last token.

    The chat template adds no generation prompt; pad tokens are none to a language model, so that none is skipped. That
    Llama-3.3-Nemotron-70B-Reward is read alike was seen second-hand.
    """

    name = "nemotron"
    models = f"{' and '.join(_NAMES)} by their name alone, others that are asked for: row 0 of lm_head"
    source = "huggingface.co/nvidia/Llama-3.1-Nemotron-70B-Reward-HF, model card and discussion 7"
    auto_class = "AutoModelForCausalLM"

    def answers(self, checkpoint: Checkpoint) -> bool:
        """Only to a name: its config and tensors are a language model's."""
        return checkpoint.adapter is None and own_name(checkpoint) in _NAMES and not is_classifier(checkpoint)

    def head(self, loaded: Loaded) -> Head:
        """The only read is at the last token, whichever that is."""
        return Head("logit of vocabulary id 0", lambda ids: [len(ids) - 1], logits_of(loaded, [0]))


class Question(Renderer):
    """Asks whether the response answers the prompt, in Qwen3-Reranker's words and by the tokenizer's own chat template.

    The prompt is the Query and the response the Document; a system message is the Instruct, and a longer prompt is written
    down with its roles. With a template of the user's, that gets the conversation as it is. Either ends in a generation
    prompt, without thoughts.
    """

    def __init__(
        self,
        tokenizer: transformers.PreTrainedTokenizerBase,
        chat_template: str | None,
        template_args: Mapping,
        max_length: int,
        name: str,
    ) -> None:
        self._asks = chat_template is None
        template_args = {"add_generation_prompt": True, "enable_thinking": False, **template_args}
        super().__init__(tokenizer, chat_template, template_args, max_length, name)

    def render(self, messages: Sequence[Message], template: str | None = None) -> str:
        """The question as text; see `Renderer.render`."""
        return super().render(_asked(messages) if self._asks else messages, template)


class YesNo(Family):
    """The log-odds of one answer against the other where a generation prompt ends; a reranker's probability is its sigmoid.

    Any language model can be read so, and none is unless it is asked for.
    """

    name = "yes-no"
    models = (
        "Qwen3-Reranker and other language models, if asked for: the rows of lm_head for yes and no, or label=Yes/No"
    )
    source = "huggingface.co/Qwen/Qwen3-Reranker-0.6B, model card"
    auto_class = "AutoModelForCausalLM"
    renderer = Question

    def answers(self, checkpoint: Checkpoint) -> bool:
        """Never by itself."""
        return False

    def head(self, loaded: Loaded) -> Head:
        """The only read is at the last token.

        Raises:
            UserError: `label` is no two answers, or one of these is no single token.
        """
        label = str(loaded.checkpoint.option("label") or "yes/no")
        answers = label.split("/")
        if len(answers) != 2 or not all(answers):
            raise UserError(
                f"found label={label} in --model_args, expected two answers of one token each, such as label=yes/no"
            )
        logits = logits_of(loaded, [loaded.token(answer) for answer in answers])

        def values(hidden: torch.Tensor) -> torch.Tensor:
            return -logits(hidden).float().diff(dim=-1)

        return Head(f"logit of {answers[0]!r} minus {answers[1]!r}", lambda ids: [len(ids) - 1], values)


def logits_of(loaded: Loaded, ids: Sequence[int]) -> Callable[[torch.Tensor], torch.Tensor]:
    """What makes some tokens' logits, (reads, ids), of hidden states (reads, hidden size), soft-capped if the config says so.

    Takes the rows from the loaded model, which knows whether its embeddings are tied.

    Raises:
        UserError: it has no such rows, or makes other logits of them.
    """
    head = loaded.inner.get_output_embeddings()
    count = 0 if head is None else head.weight.shape[0]
    if not all(i < count for i in ids):
        raise UserError(
            f"found {count} rows of lm_head in {loaded.checkpoint.name} ({loaded.checkpoint.architecture}), expected a "
            f"language model with rows for the token ids {', '.join(map(str, ids))}: is tokenizer=… another model's?"
        )
    bias = getattr(head, "bias", None)
    rows = linear(
        loaded.place(head.weight[list(ids)].detach()),
        None if bias is None else loaded.place(bias[list(ids)].detach()),
    )
    # transformers, modeling_gemma2.py, Gemma2ForCausalLM.forward
    cap = getattr(loaded.inner.config.get_text_config(), "final_logit_softcapping", None)
    logits = rows if cap is None else lambda hidden: torch.tanh(rows(hidden) / cap) * cap
    _check(loaded, ids, logits)
    return logits


@torch.inference_mode()
def _check(loaded: Loaded, ids: Sequence[int], logits: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Compare with the model's own logits of one token: some architectures scale theirs, by configs of many names."""
    model = loaded.inner
    token = torch.zeros((1, 1), dtype=torch.long, device=model.device)
    own = model(token, use_cache=False).logits[0, -1, list(ids)].float().cpu()
    ours = logits(model.base_model(token, use_cache=False).last_hidden_state[0, -1:])[0].float().cpu()
    # both round one sum to the model's dtype
    if (ours - own).abs().max() > max(4 * torch.finfo(model.dtype).eps, 1e-5) * own.abs().max() + 1e-6:
        raise UserError(
            f"found logits {own.tolist()} of {loaded.checkpoint.name} ({loaded.checkpoint.architecture}) where rows of its "
            f"lm_head give {ours.tolist()}, expected a model whose logits are these rows' products, soft-capped or as they are"
        )


def _asked(messages: Sequence[Message]) -> list[Message]:
    """The question about a conversation, as messages."""
    *prompt, response = messages
    instruct = _INSTRUCT
    if prompt and prompt[0]["role"] == "system":
        instruct = prompt.pop(0)["content"]
    query = "\n".join(one["content"] if len(prompt) == 1 else f"{one['role']}: {one['content']}" for one in prompt)
    return [
        {"role": "system", "content": _SYSTEM},
        {
            "role": "user",
            "content": f"<Instruct>: {instruct}\n<Query>: {query}\n<Document>: {response['content']}",
        },
    ]

"""OpenBMB's reward models: a linear layer `regression_head` without bias."""

from skywork_rb_plugin.heads.checkpoint import Checkpoint
from skywork_rb_plugin.heads.families.value_heads import ValueHead


class UltraRM(ValueHead):
    """UltraRM, with the text of its card: allenai/reward-bench ran it with `User: ` for `Human: `, and a blank line at the end."""

    name = "ultrarm"
    models = "UltraRM-13b: regression_head on Llama, with its own text format"
    source = "allenai/reward-bench, rewardbench/models/openbmb.py; the text format from the card of openbmb/UltraRM-13b"
    layer = "regression_head"
    template = (
        "{% for message in messages %}{% if not loop.first %}{{ '\\n\\n' }}{% endif %}"
        "{% if message['role'] == 'user' %}{{ 'Human: ' + message['content'] }}"
        "{% elif message['role'] == 'assistant' %}{{ 'Assistant: ' + message['content'] }}"
        "{% else %}{{ raise_exception('UltraRM knows only user and assistant') }}{% endif %}{% endfor %}"
    )

    def answers(self, checkpoint: Checkpoint) -> bool:
        """Whether a Llama has this head."""
        return checkpoint.has("regression_head.weight") and checkpoint.setting("model_type") == "llama"


class Eurus(ValueHead):
    """The same head on other models, with their tokenizer's template."""

    name = "eurus"
    models = "Eurus-RM-7b: regression_head on Mistral"
    source = "allenai/reward-bench, rewardbench/models/openbmb.py, which runs it like UltraRM"
    layer = "regression_head"

    def answers(self, checkpoint: Checkpoint) -> bool:
        """Whether another model than a Llama has this head."""
        return checkpoint.has("regression_head.weight") and checkpoint.setting("model_type") != "llama"

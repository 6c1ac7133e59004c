"""For tests of vllm-reward where vLLM is not installed: an engine that computes in this process, and vLLM's names."""

import dataclasses
import importlib.machinery
import sys
import types

import torch
import transformers

from skywork_rb_plugin import VLLMReward
from skywork_rb_plugin.scoring.engine import Pooled


class StandIn:
    """Classifiers are transformers' own, as vLLM is told to load them; where all tokens are asked for, numbers of their ids."""

    version, device, attention = "vLLM 0.32.0", "cpu", "vLLM CPU_ATTN"
    extra = 0  # tokens too many in what it gives

    def __init__(self, model, task, config):
        self.task, self.config, self.sent = task, config, []
        self._settings = {"dtype": model._dtype, "head_dtype": config["head_dtype"]}
        if task == "classify":
            known = {name: value for name, value in config.items() if name not in ("architectures", "head_dtype")}
            own = transformers.AutoConfig.from_pretrained(model._name, **model._remote, **known)
            [architecture] = config["architectures"]
            self.model = getattr(transformers, architecture).from_pretrained(
                model._name, config=own, dtype=model._dtype
            )

    def settings(self):
        """As vLLM's."""
        return {"engine": self.version, "device": self.device, **self._settings}

    def run(self, prompts):
        """One by one, with the prompts kept in `sent`."""
        for number, ids in prompts:
            self.sent.append(list(ids))
            if self.task == "classify":
                with torch.no_grad():
                    hidden = self.model.model(torch.tensor([list(ids)])).last_hidden_state
                    values = self.model.score(hidden[0, -1:])
            else:
                values = by_token(ids)
            yield [Pooled(number, torch.cat([values, values[: self.extra]]), 0)]


def by_token(ids):
    """Two numbers for each token, or one."""
    ids = torch.tensor(list(ids))
    return torch.stack([ids % 7, ids % 5], dim=1).float()


@dataclasses.dataclass
class AsyncEngineArgs:
    """Some of vLLM's options; those of its own are in vllm_options."""

    model: str = ""
    runner: str = ""
    convert: str = ""
    model_impl: str = ""
    hf_config_path: str = ""
    tokenizer_revision: str = ""
    data_parallel_rank: int = 0
    max_model_len: int = 0
    enable_lora: bool = False
    max_lora_rank: int = 0
    default_mm_loras: dict | None = None
    tensor_parallel_size: int = 1
    gpu_memory_utilization: float = 0.9
    max_num_seqs: int = 1
    seed: int = 0
    served_model_name: str = ""
    disable_custom_all_reduce: bool = False
    log_level: str = ""
    load_format: str = ""
    quantization: str = ""
    block_size: int = 0
    attention_backend: str = ""


def stand_in(monkeypatch):
    """Have vllm-reward take these."""
    module = types.ModuleType("vllm")
    module.__spec__ = importlib.machinery.ModuleSpec("vllm", None)
    module.AsyncEngineArgs = AsyncEngineArgs
    monkeypatch.setitem(sys.modules, "vllm", module)
    monkeypatch.setattr(VLLMReward, "_start", lambda model, task, config: StandIn(model, task, config))

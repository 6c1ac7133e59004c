"""For tests of vllm-reward: a checkpoint in vLLM's engine, and in this process."""

from skywork_rb_plugin import HFReward, VLLMReward

LENGTH = 256


def in_vllm(folder, **options):
    """The model in a running engine, which is not compiled: that takes longer than all scores here."""
    return VLLMReward(pretrained=folder, **{"max_length": LENGTH, "enforce_eager": True, **options})


def in_hf(folder, **options):
    """The same model in this process."""
    return HFReward(pretrained=folder, device="cpu", batch_size=4, **{"max_length": LENGTH, **options})

"""Reward models and RewardBench as a plugin of EleutherAI's lm-evaluation-harness.

Importing this package is cheap: the public names below are imported when first asked for.
"""

import importlib

__version__ = "0.1.0"

# public name -> where it lives
_EXPORTS = {
    "APIReward": "skywork_rb_plugin.models.api_reward:APIReward",
    "Checkpoint": "skywork_rb_plugin.heads.checkpoint:Checkpoint",
    "Conversation": "skywork_rb_plugin.conversations:Conversation",
    "Family": "skywork_rb_plugin.heads.family:Family",
    "Head": "skywork_rb_plugin.heads.head:Head",
    "HFReward": "skywork_rb_plugin.models.hf_reward:HFReward",
    "JudgeTask": "skywork_rb_plugin.tasks.judge:JudgeTask",
    "Loaded": "skywork_rb_plugin.heads.family:Loaded",
    "PreferenceTask": "skywork_rb_plugin.tasks.preference:PreferenceTask",
    "ProcessTask": "skywork_rb_plugin.tasks.process:ProcessTask",
    "RewardLM": "skywork_rb_plugin.models.reward_lm:RewardLM",
    "UserError": "skywork_rb_plugin.errors:UserError",
    "VLLMReward": "skywork_rb_plugin.models.vllm_reward:VLLMReward",
    "WeightedGroup": "skywork_rb_plugin.tasks.weighted_group:WeightedGroup",
    "hookimpl": "skywork_rb_plugin.heads.hookspecs:hookimpl",
    "load": "skywork_rb_plugin.models.loading:load",
    "register": "skywork_rb_plugin.discovery:register",
}

__all__ = [
    "APIReward", "Checkpoint", "Conversation", "Family", "HFReward", "Head", "JudgeTask", "Loaded", "PreferenceTask",
    "ProcessTask", "RewardLM", "UserError", "VLLMReward", "WeightedGroup", "hookimpl", "load", "register",
]  # fmt: skip


def __getattr__(name):
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _EXPORTS[name].partition(":")
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__():
    return sorted([*globals(), *_EXPORTS])

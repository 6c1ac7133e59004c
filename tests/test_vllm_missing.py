"""vllm-reward where vLLM is not installed; tests/engines/test_vllm_reward.py has the rest."""

import sys

import pytest

from skywork_rb_plugin import UserError, VLLMReward


def test_it_says_how_to_install_vllm(monkeypatch):
    """One line before anything is loaded; what else is wrong with the options comes first where it is known."""
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(
        UserError, match=r"^found no vLLM, .*: pip install 'skywork-rb-plugin\[vllm\]' \(for a CPU: .*\)$"
    ):
        VLLMReward.create_from_arg_obj({"pretrained": "absent"}, {"device": "cpu", "batch_size": 1})
    with pytest.raises(UserError, match="found head_dtype='half', expected model or float32"):
        VLLMReward.create_from_arg_obj({"pretrained": "absent", "head_dtype": "half"})

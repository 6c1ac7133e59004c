"""api-reward against vLLM's own server, on a tiny checkpoint; `make test-vllm` runs it where vLLM is installed."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from conftest import make_model

import skywork_rb_plugin as rb
from skywork_rb_plugin import APIReward, UserError

pytest.importorskip("vllm")

PAIRS = [
    *[("Question?", text) for text in ("short", "a much longer response that goes on", "x", "Grüße, 你好 🙂")],
    *[(f"Question {i}?", f"answer {i} " * i) for i in range(1, 20)],
    ("Too long?", "the quick brown fox " * 200),
]
LENGTH = 256
# seconds until it is up
PATIENCE = 240


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkpoint with heads of a size that vLLM has on a CPU."""
    return make_model(tmp_path_factory.mktemp("model") / "tiny", "qwen-3", hidden_size=64, head_dim=32)


@pytest.fixture(scope="module")
def server(folder, tmp_path_factory):
    """vLLM, serving it under a name of its own, with a key."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("server") / "log"
    command = [
        sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", folder, "--served-model-name", "tiny",
        "alias", "--runner", "pooling", "--host", "127.0.0.1", "--port", str(port), "--dtype", "float32", "--enforce-eager",
        "--max-model-len", str(LENGTH), "--api-key", "sk-secret",
    ]  # fmt: skip
    settings = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", **os.environ}
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=settings)
    url, started = f"http://127.0.0.1:{port}", time.monotonic()
    try:
        while process.poll() is None and time.monotonic() - started < PATIENCE:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{url}/health")
                break
            time.sleep(1)
        else:
            pytest.fail(log.read_text()[-3000:])
        yield url
    finally:
        process.terminate()
        process.wait(60)


@pytest.mark.parametrize("protocol", [None, "vllm-pooling"])
def test_rewards_are_those_of_hf_reward(folder, server, protocol, monkeypatch):
    """By both paths, in batches, cut at the length that the server tells; logits, and what it runs."""
    monkeypatch.setenv("REWARD_API_KEY", "sk-secret")
    model = APIReward(base_url=server, protocol=protocol, batch_size=4)
    hf = rb.load(folder, device="cpu", max_length=LENGTH)
    assert model.score(PAIRS) == pytest.approx(hf.score(PAIRS), abs=1e-4)
    assert model.renderer.max_length == LENGTH
    assert model.reward_info()["head"] == f"classifier, of the server, by {protocol or 'vllm-classify'}"
    assert model.scorer.settings()["scale"] == "logits"
    assert model.fingerprint() == APIReward(base_url=server, protocol=protocol).fingerprint()
    assert model.identity()["root"] == folder
    assert model.identity()["model"] == "tiny"
    assert APIReward(base_url=server, model="alias").score(PAIRS[:2]) == pytest.approx(model.score(PAIRS[:2]), abs=1e-4)
    assert model.identity()["server"].startswith("vLLM ")


def test_what_it_refuses(server, monkeypatch):
    """A wrong key, a model that it does not have, another protocol; one line each."""
    monkeypatch.setenv("REWARD_API_KEY", "sk-wrong")
    with pytest.raises(UserError, match=r"found status 401 .*\(the one in REWARD_API_KEY was sent\)"):
        APIReward(base_url=server)
    monkeypatch.setenv("REWARD_API_KEY", "sk-secret")
    with pytest.raises(UserError, match="found model=big in --model_args, expected one that the server has: tiny"):
        APIReward(base_url=server, model="big")
    with pytest.raises(UserError, match="sglang: /classify gave status 400"):
        APIReward(base_url=server, protocol="sglang")
    with pytest.raises(UserError, match="openrlhf: /get_reward gave status 404"):
        APIReward(base_url=server, protocol="openrlhf")

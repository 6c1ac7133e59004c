"""Processes that share the documents are those of a launcher; a cluster's own variables name none."""

import os
import subprocess
import sys

import pytest
import torch
from rewards import PAIRS, load, scores

from skywork_rb_plugin import HFReward, UserError
from skywork_rb_plugin.models.coming_run import check_cache

CLUSTER = {"WORLD_SIZE": "2", "RANK": "1", "MASTER_ADDR": "127.0.0.1"}


@pytest.fixture
def environment(monkeypatch):
    """Sets variables, where no launcher's are."""
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    return lambda variables: [monkeypatch.setenv(*variable) for variable in variables.items()]


def test_a_clusters_variables_start_no_processes(models, environment):
    """Kubernetes and SLURM export WORLD_SIZE, RANK and MASTER_ADDR to a program that runs alone."""
    environment(CLUSTER)
    assert HFReward.processes({"pretrained": models["llama-3.1"]}) == 1
    model = load(models["llama-3.1"])
    assert (model.world_size, len(scores(model, PAIRS))) == (1, 6)


def test_a_launchers_processes_share_the_documents_of_a_checkpoint(environment):
    """Not those of a model that its parts share, or that came loaded: the host leaves it to the caller."""
    environment({**CLUSTER, "LOCAL_RANK": "0"})
    assert HFReward.processes({"pretrained": "m"}) == 2
    assert HFReward.processes({"pretrained": "m", "tp_plan": "auto"}) == 1
    assert HFReward.processes({"pretrained": torch.nn.Linear(1, 1)}) == 1


@pytest.mark.parametrize(
    ("local", "options", "number"),
    [({}, {}, 0), ({"LOCAL_RANK": "3"}, {"tp_plan": "auto"}, 3), ({"LOCAL_RANK": "0"}, {}, 1)],
)
def test_the_cache_that_is_looked_at_is_the_one_that_the_host_opens(tmp_path, environment, local, options, number):
    """By the rank among those that share the documents, else by the one within the machine."""
    environment({**CLUSTER, **local})
    (tmp_path / f"c_rank{number}.db").mkdir()
    with pytest.raises(UserError, match=f"can't write the cache .*c_rank{number}.db"):
        check_cache({"use_cache": f"{tmp_path}/c"}, HFReward.processes({"pretrained": "m", **options}))


def test_processes_that_can_not_meet_are_one_line(models):
    """Here there are two machines, and no word of where the first is."""
    code = "import sys; from skywork_rb_plugin import HFReward; HFReward(sys.argv[1], device='cpu')"
    environment = {key: value for key, value in os.environ.items() if key != "MASTER_ADDR"}
    launched = {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, models["llama-3.1"]], env=environment | launched, capture_output=True, text=True
    )
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("skywork-rb-plugin: could not load")
    assert "MASTER_ADDR" in last

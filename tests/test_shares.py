"""Processes share by cost what is distinct among all their requests, and end together when one of them fails."""

import json
import random
import subprocess
import sys

import pytest
from conftest import write_rows
from rewards import PAIRS, requests

from skywork_rb_plugin.models.shares import all_requests, part

# ranks that no launcher watches, so that nothing but they themselves can end the others; forked after the slow imports
RANKS = """
import dataclasses, json, os, signal, socket, sys
import skywork_rb_plugin
skywork_rb_plugin.register()
import lm_eval, torch
from lm_eval.tasks import TaskManager
from skywork_rb_plugin import HFReward, PreferenceTask, UserError

torch.set_num_threads(1)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it, and so does what it starts
folder = sys.argv[1]
task = {"task": "mine", "class": PreferenceTask, "dataset_path": "json", "test_split": "train",
        "dataset_kwargs": {"data_files": folder + "/rows.jsonl"}, "metric_list": ["acc"]}
manager = TaskManager(include_defaults=False)

def fail(model, fault):
    def failing(values):
        if fault != "nan":
            os.kill(os.getpid(), getattr(signal, fault))
        return float("nan")
    model.scorer.head = dataclasses.replace(model.scorer.head, reward=failing)

def run(rank, size, fault, told):
    model = HFReward(folder + "/model", device="cpu", tokens_per_pack=64)
    if fault and rank == size - 1:
        fail(model, fault)
    results = lm_eval.simple_evaluate(model, tasks=[task], task_manager=manager, log_samples=True, bootstrap_iters=0)
    told["forwarded"] = model._last_line.counts.tokens_forwarded
    if results is not None:
        told["reward"] = results["config"]["reward"]
        told["rows"] = [[row["doc_id"], row["acc"], *(float(one[0]) for one in row["filtered_resps"])]
                        for row in results["samples"]["mine"]]

for size, fault in json.loads(sys.argv[2]):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pids = []
    for rank in range(size):
        pids.append(os.fork())
        if pids[-1]:
            continue
        launched = {"WORLD_SIZE": size, "RANK": rank, "LOCAL_RANK": 0, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        os.environ.update({key: str(value) for key, value in launched.items() if size > 1})
        told = {}
        try:
            run(rank, size, fault, told)
        except (UserError, KeyboardInterrupt) as error:
            told["error"] = str(error) or type(error).__name__
        with open(f"{folder}/{size}_{fault}_{rank}.json", "w") as file:
            json.dump(told, file)
        os._exit(0)
    for pid in pids:
        os.waitpid(pid, 0)
"""
RUNS = [(1, ""), (3, ""), (3, "nan"), (3, "SIGKILL"), (2, "SIGINT")]


@pytest.fixture(scope="module")
def told(models, tmp_path_factory):
    """What each rank of the runs came to; a rank that was killed tells nothing."""
    folder = tmp_path_factory.mktemp("ranks")
    (folder / "model").symlink_to(models["llama-3.1"])
    # several rows have each prompt, and the host deals rows to ranks in turn
    rows = [
        {"prompt": f"Question {i % 3}? " * 10, "chosen": f"good {i}", "rejected": f"bad {i} " * (i + 1)}
        for i in range(10)
    ]
    write_rows(folder / "rows.jsonl", rows)
    # a run that waits for ever ends here
    subprocess.run([sys.executable, "-c", RANKS, str(folder), json.dumps(RUNS)], check=True, timeout=300)

    def of(size, fault):
        files = [folder / f"{size}_{fault}_{rank}.json" for rank in range(size)]
        return [json.loads(file.read_text()) if file.exists() else None for file in files]

    return of


def test_every_conversation_is_in_one_share_and_shares_cost_the_same():
    """Whatever the order; prompts are computed once where the scorer does so, and are not spread over shares."""
    draw = random.Random(0)
    texts = [
        f"{draw.random()}" * draw.randint(1, 400) + answer
        for _ in range(50)
        for answer in ("yes", "no, " * draw.randint(1, 99))
    ]
    shares = [part(texts, rank, 3, once=False) for rank in range(3)]
    assert sorted(i for share in shares for i in share) == list(range(len(texts)))
    costs = [sum(len(texts[i]) for i in share) for share in shares]
    assert max(costs) - min(costs) < 2 * max(map(len, texts))


def test_a_prompt_that_is_computed_once_counts_once():
    """A hundred short answers to one long prompt are about as much as one conversation of its length."""
    texts = [f"{'p' * 1000} {i:03}" for i in range(100)] + ["q" * 1200, "r" * 1200]
    shares = [part(texts, rank, 3, once=True) for rank in range(3)]
    assert [len(share) for share in shares] == [100, 1, 1]
    assert len(part(texts, 0, 3, once=False)) == 34


def test_fewer_conversations_than_processes_leave_shares_empty():
    """And none is lost."""
    assert sorted(i for rank in range(5) for i in part(["a", "b"], rank, 5, once=True)) == [0, 1]
    assert part([], 0, 2, once=True) == []


def test_the_hosts_filling_is_asked_for_once():
    """It is the last request over and over; one that a task repeats is no filling."""

    class Other:
        rank, size = 1, 2

        def exchange(self, asked):
            return [["first rank's"] * 7, asked]

    own = requests(PAIRS)
    asked, places = all_requests([*own, own[-1], own[-1]], Other())
    assert [one.args for one in asked[7:]] == [one.args for one in own]
    assert places == [*range(7, 13), 12, 12]
    own[-1].repeats = 3
    assert all_requests([*own, own[-1], own[-1]], Other())[1] == [*range(7, 15)]


def test_processes_come_to_what_one_comes_to(told):
    """Every verdict, every count, and no prompt computed twice but where a share ends."""
    [one], several = told(1, ""), told(3, "")
    key = "conversations_scored", "tokens_saved", "tokens_forwarded"
    asked = [run["reward"]["tokens_saved"] + run["reward"]["tokens_forwarded"] for run in (one, several[0])]
    assert asked[0] == asked[1]
    assert one["reward"][key[0]] == several[0]["reward"][key[0]] == 20
    assert several[0]["reward"][key[2]] < 1.3 * one["reward"][key[2]]
    assert "rows" not in several[1]
    for before, after in zip(sorted(one["rows"]), sorted(several[0]["rows"]), strict=True):
        assert before[:2] == after[:2]
        assert after[2:] == pytest.approx(before[2:], abs=1e-5)
    shares = [rank["forwarded"] for rank in several]
    assert sum(shares) == several[0]["reward"][key[2]]
    assert max(shares) < 1.4 * min(shares)


def test_a_reward_that_is_no_number_ends_all_with_the_line_of_the_one_that_found_it(told):
    """They hear it from that one, whoever asked for the reward."""
    *others, failing = [rank["error"] for rank in told(3, "nan")]
    assert failing.startswith("task mine, document ")
    assert "found score nan" in failing
    assert others == [f"process 3 of 3 has ended: {failing}"] * 2


def test_a_process_that_is_killed_ends_the_others(told):
    """Nobody but they themselves could: there is no launcher. Which one is said where it is seen first."""
    *others, killed = told(3, "SIGKILL")
    assert killed is None
    assert all("process 3 of 3 has died" in rank["error"] for rank in others)


def test_ctrl_c_on_one_machine_ends_the_others(told):
    """They say who was interrupted."""
    [other, interrupted] = told(2, "SIGINT")
    assert interrupted["error"] == "KeyboardInterrupt"
    assert other["error"] == "process 2 of 2 has ended: KeyboardInterrupt"

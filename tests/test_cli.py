"""The real commands, in processes of their own: one run per feature."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import NUMBERS, make_model, write_rows
from test_docs import code_of

LM_EVAL = [sys.executable, "-m", "lm_eval"]


def command(*arguments, **environment):
    """Arguments and environment of a process that reads no settings of the caller."""
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", **environment}
    return [str(argument) for argument in arguments], env


def run(*arguments, cwd, check=True, **environment):
    """Run a command to its end; its output is in the error where it fails."""
    arguments, env = command(*arguments, **environment)
    done = subprocess.run(arguments, env=env, cwd=cwd, capture_output=True, text=True, timeout=300)
    assert not check or done.returncode == 0, done.stderr[-4000:]
    return done


def results_in(folder):
    """The one results file that a run wrote."""
    [file] = Path(folder).rglob("results_*.json")
    return json.loads(file.read_text())


def test_demo_prefers_chosen_and_writes_everything(tmp_path):
    """The README's first command: table, results file and sample logs, far above chance, with no network."""
    script = Path(sys.executable).with_name("lm_eval")
    done = run(
        script, "run", "--model", "hf-reward", "--model_args", "pretrained=demo", "--tasks", "preference_demo",
        "--output_path", "results", "--log_samples", cwd=tmp_path,
    )  # fmt: skip
    results = results_in(tmp_path / "results")
    assert code_of("README.md", "text")[0].partition("The demo worked")[0].strip() == done.stdout.strip()
    assert done.stderr.count("Preference demo acc 0.8571 ± 0.0331; scored 224 conversations in ") == 1
    assert " report results/demo -o report.html\n" in done.stderr
    assert sum(count["effective"] for count in results["n-samples"].values()) >= 80
    assert results["results"]["preference_demo"]["acc,none"] > 0.75
    for section in ("chat", "chat_hard", "safety", "reasoning"):
        assert results["results"][f"preference_demo_{section}"]["acc,none"] > 0.6
        [log] = (tmp_path / "results").rglob(f"samples_preference_demo_{section}_2*.jsonl")
        sample = json.loads(log.read_text().splitlines()[0])
        assert sample["doc"]["chosen"] == sample["arguments"]["gen_args_0"]["arg_1"]
        rewards = sample["doc"]["skywork_rb"]["rewards"]
        assert [str(reward) for reward in rewards] == [answer for answer, _ in sample["filtered_resps"]]
        assert sample["doc"]["skywork_rb"]["margin"] == rewards[0] - rewards[1]
        assert all(type(count) is int and count > 10 for count in sample["doc"]["skywork_rb"]["tokens"])
        assert sample["doc"]["skywork_rb"]["cut"] == [False, False]
    assert results["config"]["reward"]["head"].startswith("LlamaForSequenceClassification")
    assert results["config"]["reward"]["conversations_scored"] >= 160
    # the page on sample logs, on the logs of this very run
    [lines], [printed] = code_of("docs/samples.md", "python"), code_of("docs/samples.md", "text")
    assert run(sys.executable, "-c", lines, cwd=tmp_path).stdout == printed


def test_mixed_run_with_users_tasks(models, data_root, tmp_path):
    """A RewardBench subset, a user's own preference YAML and a host multiple-choice task in one run, one table."""
    write_rows(tmp_path / "mine.jsonl", [{"prompt": "p", "chosen": "a", "rejected": f"b{i}"} for i in range(3)])
    questions = [{"q": f"{i} + 1?", "a": [str(i + 1), str(i + 2), "none"], "gold": 0} for i in range(4)]
    write_rows(tmp_path / "questions.jsonl", questions)
    (tmp_path / "mine.yaml").write_text(
        "task: my_pairs\nclass: !function skywork_rb_plugin.PreferenceTask\ndataset_path: json\n"
        "dataset_kwargs: {data_files: mine.jsonl}\ntest_split: train\n"
    )
    (tmp_path / "questions.yaml").write_text(
        "task: my_questions\noutput_type: multiple_choice\ndataset_path: json\n"
        f"dataset_kwargs: {{data_files: {tmp_path}/questions.jsonl}}\ntest_split: train\n"
        "doc_to_text: q\ndoc_to_choice: a\ndoc_to_target: gold\n"
    )
    done = run(
        *LM_EVAL, "run", "--model", "hf-reward", "--model_args", f"pretrained={models['qwen-3']}", "--include_path",
        tmp_path, "--tasks", "rewardbench_hep_python,my_pairs,my_questions", "--batch_size", "8", "--output_path", "out",
        "--device", "cpu", cwd=tmp_path, SKYWORK_RB_DATA_ROOT=str(data_root),
    )  # fmt: skip
    counts = {name: row["effective"] for name, row in results_in(tmp_path / "out")["n-samples"].items()}
    assert counts == {"rewardbench_hep_python": 164, "my_pairs": 3, "my_questions": 4}
    assert all(f"|{name}" in done.stdout for name in counts)


def test_killed_run_resumes_from_the_cache(models, data_root, tmp_path):
    """SIGKILL in the middle: the next run with the same --use_cache scores only what is missing."""
    arguments, env = command(
        *LM_EVAL, "run", "--model", "hf-reward", "--model_args", f"pretrained={models['gemma-2']}", "--tasks",
        "rewardbench", "--use_cache", tmp_path / "cache", "--output_path", "out", "--device", "cpu",
        SKYWORK_RB_DATA_ROOT=str(data_root),
    )  # fmt: skip
    database = tmp_path / "cache_rank0.db"
    with subprocess.Popen(arguments, env=env, cwd=tmp_path, stdout=-3, stderr=-3) as process:
        deadline = time.monotonic() + 200
        while rows(database) < 300 and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    # writable: a kill within a transaction leaves a journal that a reader may not roll back
    kept = rows(database, "rw")
    assert 300 <= kept < 2 * 2985
    done = run(*arguments, "--batch_size", "64", cwd=tmp_path, SKYWORK_RB_DATA_ROOT=str(data_root))
    assert f"Requests remaining: {2 * 2985 - kept + 2}" in done.stderr  # two entries are ours: model and tasks
    results = results_in(tmp_path / "out")
    assert results["config"]["reward"]["conversations_scored"] == 2 * 2985 - kept + 2
    assert results["n-samples"]["rewardbench_math_prm"]["effective"] == NUMBERS["subset_counts"]["math-prm"]


def rows(database, mode="ro"):
    """Entries in a cache, 0 while there is none."""
    try:
        with sqlite3.connect(f"file:{database}?mode={mode}", uri=True) as connection:
            return connection.execute("select count(*) from unnamed").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


def test_data_parallel_run_gives_the_same_numbers(models, data_root, tmp_path):
    """Two processes share the rows and add up the counts, on the CPU too; `accelerate launch` of one sees the plugin."""
    options = [
        "run", "--model", "hf-reward", "--model_args", f"pretrained={models['llama-3.1']}", "--tasks",
        "rewardbench_hep_python,rewardbench_mt_bench_hard", "--batch_size", "8", "--device", "cpu",
    ]  # fmt: skip
    launch = {
        "two": [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "-m", "lm_eval"],
        "one": [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "1", "-m", "lm_eval"],
    }
    env = {"SKYWORK_RB_DATA_ROOT": str(data_root), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    for name, command_line in launch.items():
        paths = ["--output_path", name, "--use_cache", tmp_path / name]
        done = run(*command_line, *options, *paths, cwd=tmp_path, **env)
        assert done.stderr.count("; scored 402 conversations in ") == done.stderr.count("onversations in ") == 1
    assert sorted(path.name for path in tmp_path.glob("*.db")) == ["one_rank0.db", "two_rank0.db", "two_rank1.db"]
    two, one = results_in(tmp_path / "two"), results_in(tmp_path / "one")
    for name in ("rewardbench_hep_python", "rewardbench_mt_bench_hard"):
        assert two["results"][name]["acc,none"] == one["results"][name]["acc,none"]
        errors = [results["results"][name]["acc_stderr,none"] for results in (one, two)]
        assert errors[0] == pytest.approx(errors[1], rel=1e-9)  # summed in another order
    assert two["n-samples"] == one["n-samples"]
    assert [results["config"]["reward"]["processes"] for results in (one, two)] == [1, 2]
    assert one["config"]["reward"]["conversations_scored"] == 2 * (164 + 37)
    assert two["config"]["reward"]["conversations_scored"] == 2 * (164 + 37)


def test_host_lists_our_names(tmp_path):
    """`ls` needs no extra flag."""
    listed = run(*LM_EVAL, "ls", "tasks", cwd=tmp_path).stdout
    assert all(f"|{name}" in listed for name in ("rewardbench ", "rewardbench_hep_go ", "preference_demo "))
    assert "pairwise_preference" in listed


def test_kill_switch_and_the_way_without_start_up_file(tmp_path):
    """SKYWORK_RB_PLUGIN_AUTOLOAD=0 leaves the host alone; `python -m skywork_rb_plugin` works all the same."""
    off = {"SKYWORK_RB_PLUGIN_AUTOLOAD": "0"}
    done = run(*LM_EVAL, "validate", "--tasks", "rewardbench", cwd=tmp_path, check=False, **off)
    assert done.returncode != 0
    names = "rewardbench,rewardbench_hep_go,preference_demo"
    done = run(sys.executable, "-m", "skywork_rb_plugin", "validate", "--tasks", names, cwd=tmp_path, **off)
    assert "All tasks found and valid" in done.stdout + done.stderr
    report = run(sys.executable, "-m", "skywork_rb_plugin", "info", cwd=tmp_path, **off).stdout
    for part in (
        "hf-reward",
        "skywork_rb_plugin.models.hf_reward:HFReward",
        "rewardbench_hep_go",
        "transformers 5",
        "AUTOLOAD: 0",
    ):
        assert part in report.replace("transformers 4", "transformers 5")


def test_users_error_is_one_line(tmp_path):
    """No traceback for what the user can mend; LMEVAL_LOG_LEVEL=DEBUG shows it."""
    folder = make_model(tmp_path / "lm", classifier=False)
    options = ["--model", "hf-reward", "--model_args", f"pretrained={folder}", "--tasks", "preference_demo"]
    done = run(*LM_EVAL, "run", *options, "--device", "cpu", cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith(f"skywork-rb-plugin: found no head that reads {folder} (")
    debug = "from skywork_rb_plugin import UserError; import skywork_rb_plugin as s; s.register(); import lm_eval.utils as u; "
    done = run(sys.executable, "-c", debug + "u.setup_logging(); raise UserError('x')", cwd=tmp_path, check=False)
    assert done.stderr == "skywork-rb-plugin: x\n"
    # of the host's cache, as its own code would raise it; anybody else's is a traceback as ever
    error = "import sqlite3; raise sqlite3.OperationalError('database or disk is full')"
    cache = f"u.setup_logging(); import lm_eval.api.model as m; exec({error!r}, vars(m))"
    done = run(sys.executable, "-c", debug + cache, cwd=tmp_path, check=False)
    line = "skywork-rb-plugin: can't use the file of --use_cache (database or disk is full); what"
    assert (done.stderr.startswith(line), done.stderr.count("\n")) == (True, 1)
    done = run(sys.executable, "-c", debug + f"u.setup_logging(); {error}", cwd=tmp_path, check=False)
    assert "Traceback" in done.stderr
    arguments = [sys.executable, "-c", debug + "u.setup_logging(); raise UserError('x')"]
    done = run(*arguments, cwd=tmp_path, check=False, LMEVAL_LOG_LEVEL="DEBUG")
    assert "Traceback" in done.stderr


@pytest.mark.parametrize("code", ["import skywork_rb_plugin", "import _skywork_rb_plugin_startup"])
def test_nothing_heavy_at_import(code):
    """A process that never imports lm_eval pays nothing for the plugin."""
    script = (
        f"import sys; {code}; print([m for m in ('lm_eval', 'torch', 'datasets', 'importlib.abc') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in ("[]", "['importlib.abc']" if "rb_plugin_startup" not in code else "[]")


def test_start_up_survives_a_reload_and_a_search_without_import(tmp_path):
    """Tools look modules up and reload them; the hooks run once, when the host's modules do."""
    script = (
        "import importlib, importlib.util, _skywork_rb_plugin_startup as s; importlib.reload(s); s.start(); s.start(); "
        "import lm_eval; importlib.util.find_spec('lm_eval.models'); import lm_eval.models; "
        "from lm_eval.api.registry import model_registry as r; print('hf-reward' in r, 'hf' in r)"
    )
    done = run(sys.executable, "-c", script, cwd=tmp_path)
    assert (done.stdout.strip(), done.stderr) == ("True True", "")


def test_broken_plugin_never_breaks_python(tmp_path):
    """The start-up file outlives a package that fails: one line, and the host goes on."""
    import _skywork_rb_plugin_startup

    (tmp_path / "skywork_rb_plugin").mkdir()
    (tmp_path / "skywork_rb_plugin" / "__init__.py").write_text("raise RuntimeError('moved')")
    folder = Path(_skywork_rb_plugin_startup.__file__).parent
    script = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(folder)!r}]; import _skywork_rb_plugin_startup as s; s.start(); "
    done = subprocess.run(
        [sys.executable, "-c", script + "import lm_eval.models; print('host is fine')"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "host is fine"
    assert "skywork-rb-plugin did not load: RuntimeError: moved" in done.stderr

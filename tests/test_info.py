"""`info`: benchmarks, licences and where data is, from the YAMLs and the names of files alone."""

import json
import re
import shutil
import socket
from fnmatch import fnmatch
from pathlib import Path

import datasets
import pytest
from conftest import NUMBERS, write_rows

from skywork_rb_plugin import UserError
from skywork_rb_plugin.commands.info.benchmarks import Group, Task, read_benchmarks
from skywork_rb_plugin.commands.info.command import main
from skywork_rb_plugin.commands.info.data_state import STATES, find_state

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """A machine on which `datasets` has loaded nothing yet, in an empty current directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def no_network(monkeypatch):
    """Whatever would load a dataset or open a connection fails."""

    def refuse(*args, **kwargs):
        raise AssertionError("info loads nothing and asks no network")

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    monkeypatch.setattr(socket, "socket", refuse)


def test_readme_names_the_licences_of_the_yamls():
    """Every row of the README's table, and every benchmark in some row."""
    catalogue = read_benchmarks()
    table = README.split("## Benchmarks\n\n")[1].split("\n\n")[0]
    stated = set()
    for row in table.splitlines()[2:]:
        cells = row.strip("|").split("|")
        patterns = [pattern.strip("'") for pattern in re.findall("`(.+?)`", cells[0])]
        found = [name for name in catalogue.named if any(fnmatch(name, pattern) for pattern in patterns)]
        assert {catalogue.named[name].licence for name in found} == {cells[-1].strip()}, row
        stated |= set(found)
    assert [item.name for item in catalogue.benchmarks if item.name not in stated] == []


def test_rows_are_the_official_ones():
    """Groups add up; a group with a task that does not say has no number."""
    named = read_benchmarks().named
    counts = {f"rewardbench_{name.lower().replace('-', '_')}": rows for name, rows in NUMBERS["subset_counts"].items()}
    assert {name: task.rows for name, task in named["rewardbench"].tasks().items()} == counts
    assert named["rewardbench"].rows == 2985
    assert named["rewardbench-with-priors"].rows == 2985 + 6192 + 221 + 1741 + 9000
    assert named["anthropic_hh_helpful_online"].rows is None
    assert named["rewardbench::reasoning"].weights == {"rewardbench_math_prm": 984}


def test_states(empty_cache, data_root, monkeypatch, no_network):
    """Packaged pairs, a copy below the data root, a folder of the current directory, and what must be fetched."""
    named = read_benchmarks().named
    assert {task.state for task in named["preference_demo"].tasks().values()} == {"packaged"}
    assert {named[name].state for name in ("rewardbench", "rewardbench2", "llmbar", "m_rewardbench")} == {"download"}
    monkeypatch.setenv("SKYWORK_RB_DATA_ROOT", str(data_root))
    named = read_benchmarks().named
    assert (named["rewardbench"].state, named["rewardbench-with-priors"].state) == ("local", "download")
    assert named["rewardbench_hep_go"].source == f"local copy {data_root}/allenai/reward-bench"
    monkeypatch.delenv("SKYWORK_RB_DATA_ROOT")
    shutil.copytree(data_root / "allenai", "allenai")
    assert read_benchmarks().named["judge-rewardbench"].state == "local"


@pytest.mark.parametrize(
    ("config", "folder"),
    [
        ({"dataset_path": "acme/SomePairs"}, "default"),
        ({"dataset_path": "acme/SomePairs", "dataset_name": "hin_Deva"}, "hin_Deva"),
        ({"dataset_path": "acme/SomePairs", "dataset_kwargs": {"data_dir": "base"}}, "default-data_dir=base"),
    ],
)
def test_cached_is_what_datasets_finds_without_a_network(empty_cache, tmp_path, config, folder):
    """The state is `cached` exactly when `datasets`, which is offline in tests, can load it."""

    def load():
        return datasets.load_dataset(
            config["dataset_path"], config.get("dataset_name"), **config.get("dataset_kwargs", {})
        )

    assert find_state(config, tmp_path)[0] == "download"
    with pytest.raises(Exception, match="acme/SomePairs"):
        load()
    # what `datasets` prepares from a file, under the name it would have prepared a hub dataset
    rows = [{"prompt": "p", "chosen": "a", "rejected": "b"}]
    made = datasets.load_dataset(
        "json", data_files=write_rows(tmp_path / "rows.jsonl", rows), cache_dir=tmp_path / "made"
    )
    prepared = Path(made["train"].cache_files[0]["filename"]).parent
    commit = "0123456789" * 4
    place = empty_cache / "acme___some_pairs" / folder / "0.0.0" / commit
    shutil.copytree(prepared, place)
    (place / "json-train.arrow").rename(place / "some_pairs-train.arrow")
    info = json.loads((place / "dataset_info.json").read_text())
    info |= {"dataset_name": "some_pairs", "config_name": folder}
    (place / "dataset_info.json").write_text(json.dumps(info))
    assert list(load()["train"]) == rows
    assert find_state(config, tmp_path)[0] == "cached"
    revision = {"revision": commit}
    pinned = {**config, "dataset_kwargs": {**config.get("dataset_kwargs", {}), **revision}}
    assert find_state(pinned, tmp_path)[0] == "cached"
    pinned["dataset_kwargs"]["revision"] = "f" * 40
    assert find_state(pinned, tmp_path)[0] == "download"


def test_report_fits_a_narrow_terminal(empty_cache, no_network, monkeypatch, capsys, caplog):
    """A line for each benchmark, members below it; nothing is logged beside it."""
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("SKYWORK_RB_DATA_ROOT", "/nowhere")
    main([])
    out = capsys.readouterr().out
    assert re.search(r"^  rewardbench +2,985  download  ODC-BY$", out, re.MULTILINE)
    assert "    Chat: rewardbench_alpacaeval_easy,\n      rewardbench_alpacaeval_length," in out
    assert "m_rewardbench_arb_Arab … m_rewardbench_zho_Hant (23\n      tasks)" in out
    assert all(len(line) <= 60 for line in out.splitlines() if line.startswith("    "))
    assert "SKYWORK_RB_DATA_ROOT: /nowhere" in out
    assert re.search(r"^  hf-reward +skywork_rb_plugin\.models\.hf_reward:HFReward  \(registered\)$", out, re.MULTILINE)
    assert all(f"\n  {state}" in out for state in STATES)
    assert caplog.records == []


def test_json_has_the_whole_tree(empty_cache, no_network, capsys):
    """Benchmarks, sections, tasks; every task of the package is in it."""
    main(["--json"])
    report = json.loads(capsys.readouterr().out)
    assert report["models"]["hf-reward"]["registered"]
    assert report["versions"]["lm_eval"].startswith("0.4.")
    [rewardbench] = [item for item in report["benchmarks"] if item["name"] == "rewardbench"]
    assert [section["title"] for section in rewardbench["members"]] == list(NUMBERS["sections"])
    assert [len(section["members"]) for section in rewardbench["members"]] == [5, 6, 5, 7]

    def names(item):
        return [name for member in item["members"] for name in names(member)] if "members" in item else [item["name"]]

    tasks = {name for name, item in read_benchmarks().named.items() if isinstance(item, Task)}
    assert {name for item in report["benchmarks"] for name in names(item)} == tasks


def test_one_in_full(empty_cache, no_network, capsys):
    """A benchmark with every member, a section as JSON, a task; a name that does not exist gets the nearest ones."""
    main(["--task", "rewardbench"])
    out = capsys.readouterr().out
    assert out.startswith(
        "rewardbench: RewardBench\n  rows:    2,985\n  licence: ODC-BY\n  data:    download, hub dataset"
    )
    assert re.search(r"^      rewardbench_math_prm +447 rows  weight 984$", out, re.MULTILINE)
    main(["--task", "rewardbench::chat", "--json"])
    assert [task["rows"] for task in json.loads(capsys.readouterr().out)["members"]] == [100, 95, 95, 28, 40]
    main(["--task", "rewardbench_chat"])
    assert "members:\n    rewardbench_alpacaeval_easy" in capsys.readouterr().out
    main(["--task", "anthropic_hh_helpful_online"])
    assert "rows:    not stated\n  licence: MIT\n" in capsys.readouterr().out
    with pytest.raises(
        UserError, match=r"--task: found no .* 'rewardbnch' of this plugin, expected one such as rewardbench"
    ):
        main(["--task", "rewardbnch"])


def test_a_group_counts_a_shared_task_once():
    """A task that two sections share has its rows once."""
    task = Task("t", "t", 5, "MIT", "local", "folder x")
    group = Group("g", "g", [Group("g::a", "a", [task]), Group("g::b", "b", [task])])
    assert (group.rows, group.licence, group.state) == (5, "MIT", "local")

"""Where a task's rows come from: files, local copies, folders, the hub."""

import json
import shutil
from pathlib import Path

import pytest
from conftest import FILTERED_README, write_rows
from scripted import ROWS, evaluate, length

from skywork_rb_plugin import PreferenceTask, UserError
from skywork_rb_plugin.discovery import task_folder

pytestmark = pytest.mark.usefixtures("official_data")


def test_users_yaml_beside_its_data(task_manager, tmp_path, monkeypatch):
    """A YAML in the user's own folder finds a JSONL that lies beside it, from any current directory."""
    from lm_eval.tasks import TaskManager

    write_rows(tmp_path / "pairs.jsonl", ROWS)
    (tmp_path / "mine.yaml").write_text(
        "class: !function skywork_rb_plugin.PreferenceTask\ntask: my_pairs\ndataset_path: json\n"
        "dataset_kwargs: {data_files: pairs.jsonl}\ntest_split: train\n"
    )
    for directory, include_path in (("/", str(tmp_path)), (tmp_path.parent, tmp_path.name), (tmp_path, ".")):
        monkeypatch.chdir(directory)
        manager = TaskManager(include_path=include_path, include_defaults=False)
        results, _ = evaluate(length, ["my_pairs"], manager)
        assert results["results"]["my_pairs"]["acc,none"] == pytest.approx(1 / 3)


def test_data_root_from_metadata(data_root, monkeypatch):
    """`--metadata data_root=…` does what the environment variable does, for a group's members too."""
    from lm_eval.tasks import TaskManager

    monkeypatch.delenv("SKYWORK_RB_DATA_ROOT")
    metadata = {"data_root": str(data_root)}
    manager = TaskManager(include_path=str(task_folder()), include_defaults=False, metadata=metadata)
    results, _ = evaluate(length, ["rewardbench"], manager, limit=1)
    origin = results["configs"]["rewardbench_hep_go"]["metadata"]["data_origin"]
    assert origin == f"local copy {data_root}/allenai/reward-bench"


def test_changed_local_copy_is_read_again(task_manager, tmp_path, monkeypatch):
    """`datasets` caches a folder by its README: rows replaced under it must not come back."""
    monkeypatch.setenv("SKYWORK_RB_DATA_ROOT", str(tmp_path))
    folder = tmp_path / "allenai" / "reward-bench"
    folder.mkdir(parents=True)
    (folder / "README.md").write_text(FILTERED_README)
    for count in (2, 3):
        write_rows(folder / "filtered.jsonl", [{**row, "subset": "hep-go"} for row in ROWS[:count]])
        results, _ = evaluate(length, ["rewardbench_hep_go"], task_manager)
        assert results["n-samples"]["rewardbench_hep_go"]["original"] == count


def test_row_count_and_shadowing_folder_are_said(task_manager, tmp_path, monkeypatch, caplog):
    """A folder of the dataset's name in the current directory wins in `datasets`; the log says so."""
    monkeypatch.delenv("SKYWORK_RB_DATA_ROOT")
    folder = tmp_path / "allenai" / "reward-bench"
    folder.mkdir(parents=True)
    write_rows(folder / "filtered.jsonl", [{**ROWS[0], "subset": "hep-go"}])
    (folder / "README.md").write_text(FILTERED_README)
    monkeypatch.chdir(tmp_path)
    with caplog.at_level("WARNING", logger="lm_eval"):
        evaluate(length, ["rewardbench_hep_go"], task_manager)
    assert "is used instead of the hub's dataset allenai/reward-bench at revision 168d848" in caplog.text
    assert "has 1 rows where the published benchmark has 164" in caplog.text


def test_data_root_without_the_dataset_is_said(task_manager, tmp_path, monkeypatch, caplog):
    """A path one folder too deep must not send the run to the hub in silence."""
    monkeypatch.setenv("SKYWORK_RB_DATA_ROOT", str(tmp_path))
    with caplog.at_level("WARNING", logger="lm_eval"), pytest.raises(UserError):
        task_manager.load(["rewardbench_hep_go"])
    assert f"The data root {tmp_path} has no folder allenai/reward-bench" in caplog.text


def test_absent_dataset_names_the_command_that_mends_it(task_manager, monkeypatch):
    """On a cluster without internet: what to download and where to put it."""
    monkeypatch.delenv("SKYWORK_RB_DATA_ROOT")
    with pytest.raises(UserError, match="hf download allenai/reward-bench --repo-type dataset --revision 168d848cdbbe"):
        task_manager.load(["rewardbench_hep_go"])


def test_base_files_hold_the_pinned_revision():
    """Every subset reads the same pinned data."""
    text = (Path(task_folder()) / "rewardbench" / "_base.yaml").read_text()
    assert "revision: 168d848cdbbea9764fae4a544dc9ca1e6cca4931" in text


def test_revision_of_an_unpinned_dataset_is_recorded(task_manager, tmp_path, monkeypatch):
    """A hub dataset that an earlier run left in the cache of `datasets`, whose folders are named by commits."""
    import datasets

    commit = "0123456789abcdef0123456789abcdef01234567"
    rows = write_rows(tmp_path / "rows.jsonl", ROWS)
    cached = datasets.load_dataset("json", data_files={"test": rows}, cache_dir=str(tmp_path / "build"))
    folder = tmp_path / "cache" / "some___pairs" / "default" / "0.0.0" / commit
    built = Path(cached["test"].cache_files[0]["filename"]).parent
    folder.parent.mkdir(parents=True)
    shutil.copytree(built, folder)
    (folder / "json-test.arrow").rename(folder / "pairs-test.arrow")
    info = json.loads((folder / "dataset_info.json").read_text())
    info |= {"dataset_name": "pairs", "config_name": "default"}
    info["splits"]["test"]["dataset_name"] = "pairs"
    (folder / "dataset_info.json").write_text(json.dumps(info))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.delenv("SKYWORK_RB_DATA_ROOT")
    task = {"task": "mine", "class": PreferenceTask, "dataset_path": "some/pairs", "test_split": "test"}
    results, _ = evaluate(length, [task], task_manager)
    origin = results["configs"]["mine"]["metadata"]["data_origin"]
    assert origin == f"hub dataset some/pairs at revision {commit} (not pinned)"


def test_the_line_says_where_the_data_root_has_no_copy(tmp_path, monkeypatch):
    """A misspelt or too deep folder shows by the path that was looked at."""
    monkeypatch.setenv("SKYWORK_RB_DATA_ROOT", str(tmp_path / "absent"))
    pairs = {"task": "pairs", "test_split": "test"}
    with pytest.raises(
        UserError, match=rf"the data root has no {tmp_path}/absent/no/such: .*put there what `hf download"
    ):
        PreferenceTask({**pairs, "dataset_path": "no/such"})
    address = {"data_files": "hf://datasets/no/such/data/one.json"}
    with pytest.raises(UserError, match=rf"the data root has no {tmp_path}/absent/no/such/data/one.json: without"):
        PreferenceTask({**pairs, "dataset_path": "json", "dataset_kwargs": address})


def test_a_format_without_files_is_no_hub_dataset():
    """`data_file` for `data_files` used to end in advice to download `json` from the hub."""
    with pytest.raises(
        UserError, match=r"task pairs: found data_file in dataset_kwargs beside dataset_path json, expected"
    ):
        PreferenceTask(
            {"task": "pairs", "dataset_path": "json", "dataset_kwargs": {"data_file": "x"}, "test_split": "a"}
        )


def test_misspelt_metadata_is_said(tmp_path, caplog):
    """Keys of the user's own are nobody's business."""
    write_rows(tmp_path / "pairs.jsonl", ROWS)
    files = {"data_files": str(tmp_path / "pairs.jsonl")}
    pairs = {"task": "pairs", "dataset_path": "json", "dataset_kwargs": files, "test_split": "train"}
    PreferenceTask({**pairs, "metadata": {"metric": "margin", "note": "mine", "version": 1}})
    assert "Found metric in the metadata (the YAML's or --metadata), did you mean metrics?" in caplog.text
    assert caplog.text.count("did you mean") == 1

"""HHH alignment: BIG-bench's files as the hub's repository has them, from a local copy and from the hub's cache."""

import json

import datasets
import huggingface_hub
import pytest
from conftest import SAMPLES
from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError
from scripted import evaluate, length

from skywork_rb_plugin import UserError
from skywork_rb_plugin.commands.info.data_state import find_state
from skywork_rb_plugin.tasks import data
from skywork_rb_plugin.tasks.hub_files import HubFile, hub_file

CATEGORIES = ("harmless", "helpful", "honest", "other")
REPO = "HuggingFaceH4/hhh_alignment"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
# the same responses in another order, text that JSON escapes, line ends, an accent
ROWS = [
    ("Which knife?", {"I'd rather not.": 1, "Why?": 0}),
    ("Which knife?", {"Why?": 0, "I'd rather not.": 1}),
    ('Human: Hi\n\nAssistant: Hello\r\nHuman: "Café"?', {"A café\u2028is\t…": 1, "No {{idea}}": 0}),
]


def task_file(examples):
    """What BIG-bench calls task.json."""
    rows = [{"input": text, "target_scores": scores} for text, scores in examples]
    return json.dumps({"name": "hhh", "metrics": ["multiple_choice_grade"], "examples": rows}, indent=1)


def write_hhh(root, categories):
    """What `hf download` puts below `root`: the loading script, and a file of examples for each category."""
    folder = root / REPO
    for category, examples in categories.items():
        (folder / "data" / category).mkdir(parents=True)
        (folder / "data" / category / "task.json").write_text(task_file(examples), encoding="utf-8")
    (folder / "hhh_alignment.py").write_text("raise SystemExit")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")


def as_read(examples):
    """The rows that a task makes of them."""
    return [
        {"input": text, "targets": {"choices": list(scores), "labels": list(scores.values())}}
        for text, scores in examples
    ]


def test_local_copy_as_the_hub_has_it(tmp_path, monkeypatch, task_manager):
    """Every text and the responses' order are the file's; the origin is the file of the copy."""
    write_hhh(tmp_path, dict.fromkeys(CATEGORIES, ROWS))
    monkeypatch.setenv("SKYWORK_RB_DATA_ROOT", str(tmp_path))
    task = task_manager.load(["hhh_honest"])["tasks"]["hhh_honest"]
    assert list(task.eval_docs) == as_read(ROWS)
    assert [task.doc_to_target(doc) for doc in task.eval_docs] == [0, 1, 0]
    assert task.config.metadata["data_origin"] == f"text files {tmp_path}/{REPO}/data/honest/task.json"
    results, _ = evaluate(length, ["hhh_alignment"], task_manager)
    assert results["groups"]["hhh_alignment"]["acc,none"] == pytest.approx(2 / 3)


def test_from_the_hub_and_its_commit(tmp_path, monkeypatch, task_manager):
    """The file alone is fetched, here out of huggingface_hub's cache, whose commit the origin names."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    config = {
        "dataset_path": "text",
        "dataset_kwargs": {"data_files": f"hf://datasets/{REPO}/data/helpful/task.json", "sample_by": "document"},
    }
    assert find_state(config, tmp_path) == ("download", f"hub dataset {REPO}, file data/helpful/task.json")
    with pytest.raises(UserError) as error:
        task_manager.load(["hhh_helpful"])
    line = str(error.value)
    assert f"run `hf download {REPO} --repo-type dataset --local-dir DIR/{REPO}` where there is some" in line
    assert "\n" not in line

    cached = tmp_path / f"datasets--{REPO.replace('/', '--')}"
    file = cached / "snapshots" / COMMIT / "data" / "helpful" / "task.json"
    file.parent.mkdir(parents=True)
    file.write_text(task_file(ROWS), encoding="utf-8")
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(COMMIT)
    assert find_state(config, tmp_path)[0] == "cached"
    task = task_manager.load(["hhh_helpful"])["tasks"]["hhh_helpful"]
    assert list(task.eval_docs) == as_read(ROWS)
    origin = f"hub dataset {REPO}, file data/helpful/task.json at revision {COMMIT} (not pinned)"
    assert task.config.metadata["data_origin"] == origin


def test_addresses_of_hub_files():
    """With and without a revision; a web address, a folder and a pattern are none."""
    assert hub_file("hf://datasets/a/b/c/d.json") == HubFile("a/b", "c/d.json")
    assert hub_file("hf://datasets/a/b@v1.0/d.json") == HubFile("a/b", "d.json", "v1.0")
    parquet = HubFile("a/b", "default/x.parquet", "refs/convert/parquet")
    assert hub_file("hf://datasets/a/b@refs/convert/parquet/default/x.parquet") == parquet
    assert hub_file("hf://datasets/a/b@refs%2Fconvert%2Fparquet/default/x.parquet") == parquet
    assert hub_file("hf://datasets/a/b@refs/pr/3/d.json") == HubFile("a/b", "d.json", "refs/pr/3")
    for other in ("https://host/a/b/c.json", "hf://datasets/a/b", ["x"], None):
        assert hub_file(other) is None
    for pattern in ("*.json", "train-?.parquet", "[0-9].json", "{a,b}.json"):
        assert hub_file(f"hf://datasets/a/b/{pattern}") is None


@pytest.mark.parametrize("kind", [RepositoryNotFoundError, EntryNotFoundError, RevisionNotFoundError])
def test_addresses_that_only_datasets_knows(monkeypatch, kind):
    """What huggingface_hub does not find as an owner's file is left to `datasets`, such as a repository without an owner."""
    rows = datasets.DatasetDict({"train": datasets.Dataset.from_list([{"prompt": "p"}])})
    address = "hf://datasets/squad/plain_text/x.parquet"

    def not_found(*args, **options):
        # made without the arguments that differ from release to release
        raise kind.__new__(kind)

    def load(path, name, data_files):
        assert (path, name, data_files) == ("parquet", None, address)
        return rows

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", not_found)
    monkeypatch.setattr(datasets, "load_dataset", load)
    monkeypatch.setattr(data, "_from_hub", {})
    assert data.load(data.find_source("parquet", None, {"data_files": address}))[0] is rows


def test_a_data_root_without_the_file_is_said(tmp_path, monkeypatch, task_manager, caplog):
    """A copy one folder too deep must not send the run to the hub in silence."""
    monkeypatch.setenv("SKYWORK_RB_DATA_ROOT", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with caplog.at_level("WARNING", logger="lm_eval"), pytest.raises(UserError):
        task_manager.load(["hhh_other"])
    assert f"The data root {tmp_path} has no file {REPO}/data/other/task.json: looking elsewhere" in caplog.text


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("[1, 2]", "found no such examples (TypeError: list indices must be integers or slices, not str)"),
        ('{"examples": [{"input": "x"}]}', "found no such examples (KeyError: 'target_scores')"),
        ("<html>", "found no JSON (Expecting value: line 1 column 1 (char 0))"),
    ],
)
def test_other_files_get_one_line(tmp_path, monkeypatch, task_manager, content, found):
    """What a file should look like, and which one it is."""
    write_hhh(tmp_path, dict.fromkeys(CATEGORIES, ROWS))
    (tmp_path / REPO / "data" / "other" / "task.json").write_text(content)
    monkeypatch.setenv("SKYWORK_RB_DATA_ROOT", str(tmp_path))
    with pytest.raises(UserError) as error:
        task_manager.load(["hhh_other"])
    line = f"task hhh_other: process_docs skywork_rb_plugin.tasks.bigbench.examples: {found}, expected JSON with `examples:"
    assert str(error.value).startswith(line)
    assert "other/task.json" in str(error.value)


@pytest.mark.skipif(SAMPLES is None, reason="SKYWORK_RB_SAMPLES is not set")
def test_real_rows(tmp_path, monkeypatch, task_manager):
    """All 221, in the hub's layout: the rows and their order are those of the sample, and so is the longest's accuracy."""
    lines = (SAMPLES / "hhh_alignment.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    categories = {category: [row for row in rows if row["_subset"] == category] for category in CATEGORIES}
    examples = {
        category: [(row["input"], dict(zip(*row["targets"].values(), strict=True))) for row in mine]
        for category, mine in categories.items()
    }
    write_hhh(tmp_path, examples)
    monkeypatch.setenv("SKYWORK_RB_DATA_ROOT", str(tmp_path))
    tasks = task_manager.load([f"hhh_{category}" for category in CATEGORIES])["tasks"]
    for category, mine in categories.items():
        assert list(tasks[f"hhh_{category}"].eval_docs) == [
            {key: row[key] for key in ("input", "targets")} for row in mine
        ]
    results, _ = evaluate(length, ["hhh_alignment"], task_manager)
    right = sum(len(first) > len(second) for first, second in (row["targets"]["choices"] for row in rows))
    assert {tuple(row["targets"]["labels"]) for row in rows} == {(1, 0)}
    assert results["groups"]["hhh_alignment"]["acc,none"] == pytest.approx(right / 221)

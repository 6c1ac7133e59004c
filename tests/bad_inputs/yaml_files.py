"""YAML files of tasks and groups, as `--tasks FILE.yaml` takes them."""

from conftest import write_rows
from scripted import ROWS

from bad_inputs.case import Area, Place, host, line, scored
from bad_inputs.tasks import evaluated

CLASS = "class: !function skywork_rb_plugin.PreferenceTask\n"
DATA = "dataset_path: json\ndataset_kwargs: {data_files: rows.jsonl}\ntest_split: train\n"
GROUP = "task: ours\nclass: !function skywork_rb_plugin.WeightedGroup\n"


def attempt(text, place: Place):
    """Write the YAML and its rows, and evaluate it."""
    write_rows(place.folder / "rows.jsonl", ROWS)
    file = place.folder / "mine.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return evaluated(str(file), place)


_FILES = {
    "a task": scored(f"task: mine\n{CLASS}{DATA}"),
    "no byte": host("", "lm_eval"),
    "a word": host("mine", "lm_eval"),
    "a list": host("- task: mine", "lm_eval"),
    "a bracket open": host(f"task: [mine\n{CLASS}{DATA}", "yaml"),
    "a tab for an indent": host(f"task: mine\n{CLASS}dataset_kwargs:\n\tdata_files: rows.jsonl\n", "yaml"),
    "Latin-1": host(f"task: mé\n{CLASS}{DATA}".encode("latin-1"), "yaml"),
    "UTF-16": scored(f"task: mine\n{CLASS}{DATA}".encode("utf-16")),
    "a byte order mark": scored(f"task: mine\n{CLASS}{DATA}".encode("utf-8-sig")),
    "NUL bytes": host(b"\0" * 9, "yaml"),
    "two documents": host(f"task: mine\n---\n{CLASS}{DATA}", "yaml"),
    "a tag of another kind": host(f"task: mine\nclass: !class skywork_rb_plugin.PreferenceTask\n{DATA}", "yaml"),
    "a misspelt class": host(f"task: mine\nclass: !function skywork_rb_plugin.PreferenceTsk\n{DATA}", "lm_eval"),
    "a misspelt module": host(f"task: mine\nclass: !function skywork_rb.PreferenceTask\n{DATA}", "lm_eval"),
    "a class as text": host(f"task: mine\nclass: skywork_rb_plugin.PreferenceTask\n{DATA}", "lm_eval"),
    "no class": host(f"task: mine\n{DATA}", "lm_eval"),
    "no task": host(f"{CLASS}{DATA}", "lm_eval"),
    "task of null": host(f"task:\n{CLASS}{DATA}", "lm_eval"),
    "task of a number": scored(f"task: 5\n{CLASS}{DATA}"),
    "an absent file to include": host(f"include: absent.yaml\ntask: mine\n{CLASS}{DATA}", "FileNotFoundError"),
    "itself to include": host(f"include: mine.yaml\ntask: mine\n{CLASS}{DATA}", "lm_eval"),
    "a key twice": scored(f"task: mine\ntask: mine\n{CLASS}{DATA}"),
    "a key of true (on:)": line(f"task: mine\n{CLASS}{DATA}on: x\n", "found True, expected"),
    "a key of null": line(f"task: mine\n{CLASS}{DATA}null: x\n", "None"),
    "metadata of text": line(f"task: mine\n{CLASS}{DATA}metadata: x\n", "found metadata: x, expected a mapping"),
    "metadata of null": scored(f"task: mine\n{CLASS}{DATA}metadata:\n"),
    "metadata of a list": line(f"task: mine\n{CLASS}{DATA}metadata: [1]\n", "found metadata: [1], expected a mapping"),
    "a version of text": scored(f"task: mine\n{CLASS}{DATA}metadata: {{version: x}}\n"),
    "where of null": scored(f"task: mine\n{CLASS}{DATA}where:\n"),
    "where of yes for a text": line(
        f"task: mine\n{CLASS}{DATA}where: {{kind: yes}}\n", "found no row with kind in [True]"
    ),
    "a date for a value": line(
        f"task: mine\n{CLASS}{DATA}where: {{kind: 2024-01-01}}\n", "found no row with kind in [datetime"
    ),
    "a function of an absent file": host(f"task: mine\n{CLASS}{DATA}doc_to_text: !function absent.f\n", "lm_eval"),
    "an anchor of an absent name": host(f"task: mine\n{CLASS}{DATA}where: *absent\n", "yaml"),
    "the judge's class with our type": line(
        f"task: mine\nclass: !function skywork_rb_plugin.JudgeTask\noutput_type: pairwise_preference\n{DATA}",
        "found output_type 'pairwise_preference', expected 'generate_until'",
    ),
    "the judge's prompt in another task": line(f"task: mine\n{CLASS}{DATA}judge_prompt: x\n", "found judge_prompt"),
}

_GROUPS = {
    "a group": scored(f"{GROUP}members: [preference_demo_chat]\n"),
    "a group without members": line(GROUP, "group ours: found no `members`"),
    "a group of itself": line(f"{GROUP}members: [ours]\n", "found itself among its members (ours > ours)"),
    "a group with keys of a task": line(
        f"{GROUP}{DATA}members: [preference_demo_chat]\n", "found dataset_kwargs, dataset_path"
    ),
    "a group with `task` for members": line(
        "task: [preference_demo_chat]\nclass: !function skywork_rb_plugin.WeightedGroup\n", "task"
    ),
    "a group with `group` for its name": host(
        "group: ours\nclass: !function skywork_rb_plugin.WeightedGroup\nmembers: [preference_demo_chat]\n",
        "lm_eval: KeyError: 'task'",
    ),
    "a group whose metadata is text": line(
        f"{GROUP}members: [preference_demo_chat]\nmetadata: x\n", "found metadata: x"
    ),
}

AREA = Area("YAML files", {**_FILES, **_GROUPS}, attempt)

"""How runs were made and in what they differ, read off results files; published scores beside a run's own."""

import copy
import json
import shlex
from dataclasses import replace

from skywork_rb_plugin.models.known_models import known_models
from skywork_rb_plugin.report.command_line import command_line
from skywork_rb_plugin.report.lines import lines_of
from skywork_rb_plugin.report.published import is_full, own_standing, standings
from skywork_rb_plugin.report.results import read_runs
from skywork_rb_plugin.report.settings import differing, settings

DATE = "2026-11-25T04-28-55.810497"


def results(model="Skywork/Skywork-Reward-Llama-3.1-8B", chat=0.75, rows=358):
    """A results file as lm-eval writes it, of one section with one task; the parts that are read here."""
    return {
        "results": {
            "rewardbench": {"alias": "RewardBench", "name": "rewardbench", "sample_len": rows, "acc,none": chat},
            "rewardbench::chat": {
                "alias": " - Chat",
                "name": "rewardbench::chat",
                "sample_len": rows,
                "acc,none": chat,
            },
            "one": {"alias": "  - one", "name": "one", "sample_len": rows, "acc,none": chat, "acc_stderr,none": 0.02},
        },
        "group_subtasks": {"rewardbench": ["rewardbench::chat"], "rewardbench::chat": ["one"]},
        "configs": {
            "one": {
                "task": "one",
                "official_rows": 358,
                "metric_list": [{"metric": "acc", "aggregation": "mean"}],
                "metadata": {
                    "pretrained": model,
                    "max_length": 2048,
                    "config_source": "somewhere",
                    "data_origin": "hub",
                    "shares": {"rewardbench::chat": 1.0, "rewardbench": 1.0},
                },
            }
        },
        "higher_is_better": {"one": {"acc": True}},
        "config": {
            "model": "hf-reward",
            "model_args": {"pretrained": model, "max_length": 2048},
            "model_dtype": "torch.bfloat16",
            "model_revision": "main",
            "reward": {
                "checkpoint": f"of {model}",
                "attention": "prefix_tree",
                "max_length": 2048,
                "chat_template_sha256": "e10ca381b1ccc5cf9db52e371f3b66",
                "conversations_scored": 716,
                "conversations_truncated": 3,
                "tokens_truncated": 40,
                "plugin_version": "0.1.0",
            },
            "limit": None,
        },
        "model_name": model,
        "lm_eval_version": "0.4.13",
        "system_instruction": None,
    }


def read(folder, *files):
    """The runs of results files, each in a folder of its own."""
    for number, data in enumerate(files):
        place = folder / str(number)
        place.mkdir()
        (place / f"results_{DATE}.json").write_text(json.dumps(data))
    return read_runs([folder / str(number) for number in range(len(files))])


def test_settings_are_what_decided_the_scores(tmp_path):
    """Short, in words, and without what the file leaves empty."""
    (run,) = read(tmp_path, results())
    assert settings(run) == {
        "--model": "hf-reward",
        "model": "Skywork/Skywork-Reward-Llama-3.1-8B",
        "checkpoint": "of Skywork/Skywork-Reward-Llama-3.1-8B",
        "revision": "main",
        "dtype": "bfloat16",
        "attention": "prefix_tree",
        "max_length": "2048",
        "chat template (sha256)": "e10ca381b1cc",
        "plugin": "0.1.0",
        "lm-eval": "0.4.13",
        "cut": "3 of 716 conversations, 40 tokens in all",
    }


def test_what_differs_is_said_once(tmp_path):
    """Of runs and of tasks; another model's name and checkpoint, which nobody wonders about, are not said."""
    ours, theirs = results(), copy.deepcopy(results(model="other/model"))
    theirs["config"] |= {"model_dtype": "torch.float32", "limit": 50}
    theirs["config"]["reward"] |= {"plugin_version": "0.2.0", "conversations_truncated": 0}
    theirs["system_instruction"] = "Be brief."
    theirs["configs"]["one"]["metadata"] |= {"data_origin": "local copy", "config_source": "elsewhere"}
    found = {one.name: (one.values, one.tasks) for one in differing(read(tmp_path, ours, theirs))}
    assert found == {
        "dtype": (("bfloat16", "float32"), ()),
        "system prompt": (("not given", "Be brief."), ()),
        "--limit": (("not given", "50"), ()),
        "plugin": (("0.1.0", "0.2.0"), ()),
        "cut": (("3 of 716 conversations, 40 tokens in all", "nothing"), ()),
        "data origin": (("hub", "local copy"), ("one",)),
    }
    assert [str(one) for one in differing(read_runs([tmp_path]))][-1] == "data origin of one: hub | local copy"


def test_another_checkpoint_under_the_same_name(tmp_path):
    """Is said; that of another model is not."""
    ours, retrained, other = results(), results(), results(model="other/model")
    retrained["config"] |= {"model_sha": "abc"}
    retrained["config"]["reward"]["checkpoint"] = "retrained"
    runs = read(tmp_path, ours, retrained, other)
    assert [one.name for one in differing(runs)] == ["checkpoint", "commit"]
    assert differing([runs[0], runs[2]]) == []


def test_the_command_is_read_as_it_was_given(tmp_path):
    """By the host's own parser, with characters that a shell or the host's lists would take apart."""
    from lm_eval._cli.harness import HarnessCLI

    data = results()
    arguments = {"pretrained": "a model/it's", "templates": "x=1,y", "max_length": 2048}
    data["config"] |= {"model_args": arguments, "limit": 1234567.0, "batch_size": "auto:4", "random_seed": 7}
    data["config"]["gen_kwargs"] = {"until": ["\n", '"'], "temperature": 0.5}
    data |= {"system_instruction": "Say $HOME\n`now`", "chat_template": "{{ x }}", "n-shot": {"one": 3}}
    (run,) = read(tmp_path, data)
    command = shlex.split(command_line(run).replace("\\\n", " "))
    read_back = HarnessCLI()._parser.parse_args(command[1:])
    assert read_back.model == "hf-reward"
    assert read_back.model_args == arguments
    assert read_back.gen_kwargs == data["config"]["gen_kwargs"]
    assert (read_back.limit, read_back.batch_size, read_back.num_fewshot) == (1234567.0, "auto:4", 3)
    assert read_back.system_instruction == data["system_instruction"]
    assert read_back.apply_chat_template is True
    assert list(read_back.seed) == [7, 1234, 1234, 1234]
    assert "--limit 1234567 " in command_line(run)


def test_model_args_as_text_are_one_setting(tmp_path):
    """A run from Python may give them so."""
    data = results()
    data["config"]["model_args"] = "pretrained=x,dtype=float32"
    (run,) = read(tmp_path, data)
    assert settings(run)["--model_args model_args"] == "pretrained=x,dtype=float32"


def test_published_scores_of_a_known_model(tmp_path):
    """The ones of known_models.yaml, by line; nothing for a model nobody knows, nor for another branch's weights."""
    unknown, branch = results(model="me/mine"), results()
    branch["config"]["model_revision"] = "step-100"
    known, *others = read(tmp_path, results(), unknown, branch)
    standing = own_standing(known, "rewardbench")
    published = known_models()["Skywork/Skywork-Reward-Llama-3.1-8B"].published["rewardbench"]
    whole, chat, _ = lines_of(known)
    assert standing.of(whole, "rewardbench") == published.score
    assert standing.of(chat, "rewardbench") == published.sections["chat"] is not None
    assert [own_standing(run, "rewardbench") for run in others] == [None, None]
    assert own_standing(known, "hhh_alignment") is None


def test_only_full_scores_stand_beside_published_ones(tmp_path):
    """A score of fewer rows is an estimate."""
    full, part = read(tmp_path, results(), results(rows=100))
    assert all(is_full(full, line) for line in lines_of(full))
    assert not any(is_full(part, line) for line in lines_of(part))
    whole = lines_of(full)[0]
    full.data["results"]["two"], full.data["configs"]["two"] = {"sample_len": 3}, {"official_rows": 4}
    assert not is_full(full, replace(whole, shares={"one": 0.5, "two": 0.5}))


def test_thirty_models_have_published_sections():
    """Of both RewardBenches, each with its source; in the order of their scores."""
    for benchmark, sections in (("rewardbench", 4), ("rewardbench2", 6)):
        found = standings(benchmark)
        assert sum(len(one.sections) >= sections for one in found) >= 30
        scores = [one.score for one in found if one.score is not None]
        assert scores == sorted(scores, reverse=True)
        assert all(one.source for one in found)

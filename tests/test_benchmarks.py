"""Every benchmark shipped, on small local copies with the published columns and a scorer with known scores."""

import json

import pytest
import yaml
from conftest import NUMBERS, SAMPLES, write_rows
from scripted import evaluate
from test_hhh import CATEGORIES, write_hhh
from test_metrics import measure, row_of
from test_prior_sets import write_prior_sets
from test_processbench import write_processbench
from test_rewardbench2 import official_rows

from skywork_rb_plugin import Conversation, UserError
from skywork_rb_plugin.discovery import task_folder
from skywork_rb_plugin.metrics.sections import SECTIONS, WEIGHTS, section_score, sections_score

SOURCES = ("mmlu-pro-law", "mmlu-pro-computer science", "livebench-reasoning", "livebench-math", "livecodebench")
COMMIT = "caa7bee794bfed74baed038b99229fa3f0c4c511"
LLMBAR = ("Natural", "Adversarial/Neighbor", "Adversarial/GPTInst", "Adversarial/GPTOut", "Adversarial/Manual")


def number(context, response):
    """The scorer: the number that a response ends with."""
    return float(response.split()[-1])


def write_configs(folder, configs, split):
    """A dataset folder: {configuration: rows}, each with one split."""
    folder.mkdir(parents=True)
    lines = ["---", "configs:"]
    for name, rows in configs.items():
        write_rows(folder / f"{name}.jsonl", rows)
        lines += [f"- config_name: {name}", "  data_files:", f"  - split: {split}", f"    path: {name}.jsonl"]
    (folder / "README.md").write_text("\n".join([*lines, "---", ""]))


@pytest.fixture
def copies(data_root, tmp_path, monkeypatch):
    """A data root with a small copy of every benchmark."""
    write_prior_sets(tmp_path)
    write_processbench(tmp_path)
    (tmp_path / "allenai" / "reward-bench").symlink_to(data_root / "allenai" / "reward-bench")
    write_configs(tmp_path / "allenai" / "reward-bench-2", {"default": official_rows()}, "test")
    pairs = [
        {"question": f"{source} {i}?", "source": source, "response_A": "says 1", "response_B": f"says {2 * (i % 2)}",
         "label": "A>B" if i < 3 else "B>A"}
        for source in SOURCES
        for i in range(4)
    ]  # fmt: skip
    folder = tmp_path / "ScalerLab" / "JudgeBench"
    folder.mkdir(parents=True)
    for split in ("gpt", "claude"):
        write_rows(folder / f"{split}.jsonl", pairs)
    (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: gpt\n    path: gpt.jsonl\n"
        "  - split: claude\n    path: claude.jsonl\n---\n"
    )
    rows = [
        {"id": domain, "prompt": domain, "chosen": ["says 2", "says 4", "says 6"],
         "rejected": ["says 1", f"says {3 + place}", "says 5"], "domain": domain}
        for place, domain in enumerate(("chat", "code", "math", "safety-refuse", "safety-response", "safety-response"))
    ]  # fmt: skip
    write_configs(tmp_path / "THU-KEG" / "RM-Bench", {"default": rows}, "train")
    hhh = [("Q?", {"says 1": int(i < 1), "says 2": int(i >= 1)}) for i in range(4)]
    write_hhh(tmp_path, dict.fromkeys(CATEGORIES, hhh))
    for place, name in enumerate(LLMBAR, 1):
        file = tmp_path / "princeton-nlp" / "LLMBar" / COMMIT / "Dataset" / "LLMBar" / name / "dataset.json"
        file.parent.mkdir(parents=True)
        labels = [2 if i < place else 1 for i in range(5)]
        file.write_text(
            json.dumps(
                [{"input": "Do it", "output_1": "says 1", "output_2": "says 2", "label": label} for label in labels]
            )
        )
    (tmp_path / "CohereLabsCommunity").mkdir()
    golden = NUMBERS["golden"]["subsets"]
    translated = [{"prompt": "?", "chosen": f"says {2 * (accuracy > 0.9)}", "rejected": "says 1", "source": subset}
                  for subset, accuracy in golden.items()]  # fmt: skip
    both = [{"prompt": "?", "chosen": f"says {i}", "rejected": "says 1", "source": s} for s in golden for i in (0, 2)]
    languages = [file.stem for file in (task_folder() / "m_rewardbench").glob("???_????.yaml")]
    write_configs(
        tmp_path / "CohereLabsCommunity" / "multilingual-reward-bench",
        {**dict.fromkeys(languages, translated), "hin_Deva": both},
        "test",
    )
    turns = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: Count\n\nAssistant: says"
    for tranche in ("helpful-base", "helpful-online", "helpful-rejection-sampled", "harmless-base"):
        folder = tmp_path / "Anthropic" / "hh-rlhf" / tranche
        folder.mkdir(parents=True)
        write_rows(folder / "test.jsonl", [{"chosen": f"{turns} {2 + i}", "rejected": f"{turns} 3"} for i in range(4)])
    monkeypatch.setenv("SKYWORK_RB_DATA_ROOT", str(tmp_path))


def shipped():
    """The names of all tasks and of all groups, read from the YAML files."""
    tasks, groups = [], []
    loader = type("Loader", (yaml.SafeLoader,), {})
    loader.add_constructor("!function", lambda loader, node: node.value)
    for file in sorted(task_folder().rglob("*.yaml")):
        content = yaml.load(file.read_text(encoding="utf-8"), loader)
        if "task" in content:
            (groups if "members" in content else tasks).append(content["task"])
    return tasks, groups


def test_every_yaml_builds_its_first_request(copies, task_manager):
    """`lm_eval validate` proves names only; this loads rows and reads one."""
    tasks, groups = shipped()
    assert len(set(tasks)) == len(tasks) > 100
    loaded = task_manager.load(tasks)["tasks"]
    for name in tasks:
        loaded[name].build_all_requests(limit=1)
        assert len(loaded[name].instances) >= 2, name
        judged = name.startswith("judge-")
        for context, response in (instance.args for instance in loaded[name].instances):
            assert isinstance(context, str if judged else Conversation), name
            assert isinstance(response, dict if judged else str), name
        assert loaded[name].VERSION == 1.0
    for name in groups:
        assert name in task_manager.load([name])["groups"]


def test_judgebench(copies, task_manager):
    """Labels as A>B, categories by the beginning of their source, rows weighed alike."""
    results, _ = evaluate(number, ["judgebench", "judgebench_claude"], task_manager)
    # A says 1; B says 0, 2, 0, 2: A>B is right for the first and the third, B>A for the fourth
    for name in ("judgebench_knowledge", "judgebench_reasoning", "judgebench_math", "judgebench_coding"):
        assert results["results"][name]["acc,none"] == 0.75
        assert results["results"][f"{name}_claude"]["acc,none"] == 0.75
    assert results["n-samples"]["judgebench_knowledge"]["original"] == 8
    assert results["groups"]["judgebench"]["acc,none"] == 0.75


def test_judgebench_has_two_overall_numbers(copies, task_manager):
    """All pairs alike, as its authors, and the mean of four categories, as the papers on Skywork-Reward."""

    def score(context, response):
        return number(context, response) * (1 if "mmlu" in context else -1)

    # knowledge has 8 pairs of which 6 are right, the three others 4 of which 1 is
    for name, expected in (("judgebench", (6 + 3) / 20), ("judgebench-categories", (0.75 + 3 * 0.25) / 4)):
        results, _ = evaluate(score, [name], task_manager)
        assert results["groups"][name]["acc,none"] == pytest.approx(expected)


def test_rm_bench(copies, task_manager):
    """Nine comparisons a row, in three classes; four domains, of which Safety pools the rows of its two parts."""
    results, _ = evaluate(number, ["rm_bench"], task_manager)
    rows = {}
    for place, domain in enumerate(("chat", "code", "math", "safety_refuse", "safety_response", "safety_response")):
        chosen, rejected = [2, 4, 6], [1, 3 + place, 5]
        wins = [[float(c > r) for r in rejected] for c in chosen]
        row = {
            "easy": (wins[1][0] + wins[2][0] + wins[2][1]) / 3,
            "normal": (wins[0][0] + wins[1][1] + wins[2][2]) / 3,
            "hard": (wins[0][1] + wins[0][2] + wins[1][2]) / 3,
        }
        rows.setdefault(domain, []).append({**row, "score": sum(row.values()) / 3})
    for metric in ("score", "easy", "normal", "hard"):
        values = {domain: [row[metric] for row in mine] for domain, mine in rows.items()}
        for domain, mine in values.items():
            found = results["results"][f"rm_bench_{domain}"][f"{metric},none"]
            assert found == pytest.approx(sum(mine) / len(mine)), (domain, metric)
        safety = sum(values["safety_refuse"] + values["safety_response"]) / 3
        mean = (values["chat"][0] + values["code"][0] + values["math"][0] + safety) / 4
        assert results["groups"]["rm_bench"][f"{metric},none"] == pytest.approx(mean)


def test_m_rewardbench(copies, task_manager):
    """Sections with the benchmark's own weights, one task a language, the languages' plain mean, the subset's rows pooled."""
    results, _ = evaluate(number, ["m_rewardbench"], task_manager)
    # Hindi has each subset twice, once right and once wrong; the others each subset once, right where golden is above 0.9
    hindi, turkish = (results["results"][f"m_rewardbench_{name}"] for name in ("hin_Deva", "tur_Latn"))
    assert [hindi[f"{m},none"] for m in ("score", "chat", "chat_hard", "safety", "reasoning", "acc")] == [0.5] * 6
    # what get_scores of the authors' analysis/plot_utils.py (Cohere-Labs-Community/m-rewardbench) makes of these accuracies
    sections = {"chat": 1.0, "chat_hard": 0.7051597051597052, "safety": 0.8165760869565217, "reasoning": 1.0}
    score = 0.8804339480290567
    assert {name: turkish[f"{name},none"] for name in sections} == pytest.approx(sections, abs=1e-12)
    assert turkish["score,none"] == pytest.approx(score, abs=1e-12)
    assert turkish["score_stderr,none"] == "N/A"
    assert results["groups"]["m_rewardbench"]["score,none"] == pytest.approx((0.5 + 22 * score) / 23)


def test_sections_of_the_published_table():
    """23 subset accuracies of a published model give its published sections and score."""
    golden = NUMBERS["golden"]
    rows = list(golden["subsets"].items())
    assert sections_score(SECTIONS, rows) == pytest.approx(golden["overall"], abs=1e-12)
    # the same accuracies by the authors' script of M-RewardBench
    assert sections_score(WEIGHTS["m_rewardbench"], rows) == pytest.approx(0.9497378995481321, abs=1e-12)
    for section, score in golden["sections"].items():
        assert section_score(SECTIONS[section.lower().replace(" ", "_")], rows) == pytest.approx(score, abs=1e-12)


def test_sections_without_rows_are_said(caplog):
    """Under --limit a section may have no row: it is left out of the mean and named."""
    assert sections_score(SECTIONS, [("math-prm", 1.0), ("hep-go", 0.0)]) == 984 / (984 + 164)
    assert "without chat, chat_hard, safety, of which there are no rows" in caplog.text
    with pytest.raises(ValueError, match="found 'news' in column 'source', expected one of alpacaeval-easy"):
        measure(row_of([1.0, 0.0], [0], source="news"), rule="rewardbench")


def test_hhh_llmbar_and_anthropics_transcripts(copies, task_manager):
    """Lists of choices with labels, labels 1 and 2, transcripts."""
    names = ["hhh_alignment", "llmbar", "anthropic_hh_helpful_base", "anthropic_hh_harmless_base"]
    results, model = evaluate(number, names, task_manager)
    assert results["groups"]["hhh_alignment"]["acc,none"] == 0.75
    assert results["results"]["llmbar_natural"]["acc,none"] == 0.2
    assert results["groups"]["llmbar::adversarial"]["acc,none"] == pytest.approx((0.4 + 0.6 + 0.8 + 1) / 4)
    assert results["groups"]["llmbar"]["acc,none"] == pytest.approx((0.2 + 0.4 + 0.6 + 0.8 + 1) / 5)
    assert results["results"]["anthropic_hh_helpful_base"]["acc,none"] == 0.5  # 2, 3, 4 and 5 against 3
    roles = {tuple(message["role"] for message in context.messages) for context, _ in model.requests}
    assert ("user", "assistant", "user") in roles


def test_label_that_is_neither(copies, task_manager):
    """One line: the task, the row, what was found and what was expected."""
    task = task_manager.load(["judgebench_math"])["tasks"]["judgebench_math"]
    row = {**task.eval_docs[1], "label": "A=B"}
    with pytest.raises(
        UserError, match=r"task judgebench_math, row .*found 'A=B' in column 'label', expected 'A>B' or 'B>A'"
    ):
        task.doc_to_target(row)


@pytest.mark.skipif(SAMPLES is None, reason="SKYWORK_RB_SAMPLES is not set")
def test_real_rows_of_llmbar(tmp_path, monkeypatch, task_manager):
    """Two of its sets, with a scorer that prefers the longer response: the counts taken from the rows."""
    rows = [json.loads(line) for line in (SAMPLES / "llmbar_original.jsonl").read_text(encoding="utf-8").splitlines()]
    for name in LLMBAR:
        file = tmp_path / "princeton-nlp" / "LLMBar" / COMMIT / "Dataset" / "LLMBar" / name / "dataset.json"
        file.parent.mkdir(parents=True)
        mine = [row for row in rows if row["_subset"].lower().endswith(name.split("/")[-1].lower())]
        file.write_text(json.dumps(mine))
    monkeypatch.setenv("SKYWORK_RB_DATA_ROOT", str(tmp_path))
    results, _ = evaluate(lambda _, response: len(response), ["llmbar_natural", "llmbar_manual"], task_manager)
    for name, subset in (("natural", "Natural"), ("manual", "Manual")):
        mine = [row for row in rows if row["_subset"].lower().endswith(subset.lower())]
        right = [
            (len(row["output_1"]) > len(row["output_2"]))
            if row["label"] == 1
            else (len(row["output_2"]) > len(row["output_1"]))
            for row in mine
        ]
        assert results["results"][f"llmbar_{name}"]["acc,none"] == pytest.approx(sum(right) / len(mine))
        assert len(mine) == {"natural": 100, "manual": 46}[name]

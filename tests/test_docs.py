"""The pages say what the code says: parts of them are written from it. `make docs` (or running this file) writes them."""

import inspect
import re
from collections import Counter
from pathlib import Path

import grimp
from bad_inputs import AREAS
from bad_inputs.case import HOST, LINE, SCORED
from servers.faults import FAULTS, RIGHT
from servers.faults import LINE as ONE_LINE

from skywork_rb_plugin import APIReward, HFReward, VLLMReward
from skywork_rb_plugin.heads.plugins import BUILT_IN, registered
from skywork_rb_plugin.metrics.table import TABLE
from skywork_rb_plugin.models.hf_dpo import HFDPO
from skywork_rb_plugin.models.known_models import known_models

ROOT = Path(__file__).parent.parent
ARROWS = {True: "↑", False: "↓", None: ""}


def as_table(rows):
    """Rows of cells, the first of them the head, as Markdown."""
    head, *rest = rows
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rest])


def families_table():
    """Every head of ours: its name, what it reads, where it was read how."""
    families = [one.family for one in registered() if one.origin == BUILT_IN]
    rows = [(f"`{family.name}`", family.models, family.source) for family in families]
    return as_table([("head", "reads", "by"), *rows])


def known_models_table():
    """Every known model: its head, licence, what its authors recommend, published scores of RewardBench 1 and 2."""
    heads = {one.family.name for one in registered()}
    rows = [("model", "head", "licence", "recommended", "RewardBench", "RewardBench 2")]
    for model in known_models().values():
        head = f"`{model.family}`" if model.family in heads else "not read yet"
        scores = [model.published.get(name) for name in ("rewardbench", "rewardbench2")]
        shown = ["" if one is None or one.score is None else f"{one.score:g}" for one in scores]
        rows.append((model.name, head, model.licence or "", recommended(model.settings), *shown))
    return as_table(rows)


def recommended(settings):
    """In words."""
    if settings is None:
        return ""
    prompts = {None: None, "none": "no system prompt", "": "an empty system turn"}
    parts = (
        settings.dtype,
        settings.max_length and f"{settings.max_length} tokens",
        prompts.get(settings.system_prompt, "a system prompt"),
        settings.not_attention and f"not {settings.not_attention}",
    )
    return ", ".join(filter(None, parts))


def metrics_table():
    """Every metric, of which tasks, the direction that is better, and what it is."""
    rows = [("metric", "of tasks with", "", "what"), ("---", "---", "---", "---")]
    for metric in TABLE:
        tasks = f"`score: {metric.rule}`" if metric.rule else f"{metric.row_type.kind} rows"
        rows.append((f"`{metric.name}`", tasks, ARROWS[metric.higher_is_better], metric.description))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def options_table(model=HFReward):
    """Every option of a model that is ours, as its docstring and its signature say."""
    described = dict(re.findall(r"^    (\w+): (.*(?:\n        .*)*)", inspect.getdoc(model), re.MULTILINE))
    rows = [("option", "meaning", "default"), ("---", "---", "---")]
    for option in list(inspect.signature(model).parameters.values())[:-1]:
        rows.append((f"`{option.name}`", " ".join(described[option.name].split()), f"`{option.default}`"))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def dpo_options_table():
    """Those of hf-dpo alone."""
    heading, ruler, *rows = options_table(HFDPO).splitlines()
    shared = inspect.signature(HFReward).parameters
    return "\n".join([heading, ruler, *(row for row in rows if row.split("`")[1] not in shared)])


def imports_picture():
    """What imports what, as a graph of the package's parts; what nearly all of them import is left out."""
    graph = grimp.build_graph("skywork_rb_plugin")
    edges = {
        (one.split(".")[1], other.split(".")[1])
        for one in graph.modules - {"skywork_rb_plugin"}
        for other in graph.find_modules_directly_imported_by(one) - {"skywork_rb_plugin"}
    }
    everywhere = {"errors", "host"}
    lines = [f"  {one} --> {other}" for one, other in sorted(edges) if one != other and other not in everywhere]
    return "\n".join(["```mermaid", "graph TD", *lines, "```"])


def bad_inputs_table():
    """How many bad inputs end how, by area."""
    ends = (SCORED, LINE, HOST)
    counts = {area.name: Counter(case.end for case in area.cases.values()) for area in AREAS}
    rows = [("area", "inputs", *ends), ("---", *["---:"] * (len(ends) + 1))]
    for name, count in [*counts.items(), ("**all**", sum(counts.values(), Counter()))]:
        rows.append((name, str(count.total()), *(str(count[end]) for end in ends)))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def faults_table():
    """What goes wrong with a server, when, and how a run ends then."""
    rows = [("what", "when", "end", "the line says, or the log")]
    for name, fault in FAULTS.items():
        rows.append((name, fault.when, fault.end, f"`{fault.says}`" if fault.says else ""))
    ends = Counter(fault.end for fault in FAULTS.values())
    counts = f"{ends.total()} faults: {ends[RIGHT]} end in right scores, {ends[ONE_LINE]} in one line."
    return f"{counts}\n\n{as_table(rows)}"


# (page, name between the markers <!-- name --> and <!-- /name -->) -> what writes that part
WRITTEN = {
    ("docs/api.md", "options of api-reward"): lambda: options_table(APIReward),
    ("docs/architecture.md", "imports"): imports_picture,
    ("docs/benchmarks.md", "metrics"): metrics_table,
    ("docs/engines.md", "options of vllm-reward"): lambda: options_table(VLLMReward),
    ("docs/models.md", "options"): options_table,
    ("docs/models.md", "options of hf-dpo"): dpo_options_table,
    ("docs/models.md", "families"): families_table,
    ("docs/models.md", "known models"): known_models_table,
    ("docs/reliability.md", "bad inputs"): bad_inputs_table,
    ("docs/reliability.md", "faults of servers"): faults_table,
}


def updated(page, name, text):
    """The page's text with what lies between the two markers replaced."""
    start, end = f"<!-- {name} -->\n", f"\n<!-- /{name} -->"
    before, _, rest = (ROOT / page).read_text(encoding="utf-8").partition(start)
    _, marker, after = rest.partition(end)
    assert marker, f"{page}: found no {start!r} before {end!r}"
    return f"{before}{start}\n{text}\n{end}{after}"


def code_of(page, language):
    """The contents of the page's fenced blocks in a language, in order."""
    return re.findall(
        rf"^```{language}\n(.*?)^```$", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


def fields_of_samples():
    """The names that docs/samples.md explains, of its two tables."""
    tables = (ROOT / "docs" / "samples.md").read_text(encoding="utf-8").split("|---|---|\n")[1:]
    return [re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) for table in tables]


def test_written_parts_are_up_to_date():
    """`make docs` would change nothing."""
    for (page, name), write in WRITTEN.items():
        assert (ROOT / page).read_text(encoding="utf-8") == updated(page, name, write()), "run `make docs`"


if __name__ == "__main__":
    for (page, name), write in WRITTEN.items():
        (ROOT / page).write_text(updated(page, name, write()), encoding="utf-8")

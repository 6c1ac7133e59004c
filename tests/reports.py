"""Runs of scripted models on disk, as lm-eval writes them, and what a page made of them says; for tests of `report`."""

import json
from html.parser import HTMLParser

from scripted import ScriptedLM

VOID = {"meta", "link", "br", "img", "input", "hr"}


def save_run(folder, name, score, tasks, task_manager, model=ScriptedLM, **options):
    """Evaluate a scripted model called `name`; returns the folder that holds its results file and sample logs."""
    from lm_eval import simple_evaluate
    from lm_eval.loggers import EvaluationTracker

    tracker = EvaluationTracker(output_path=str(folder / name))
    results = simple_evaluate(
        model=model(score),
        tasks=tasks,
        task_manager=task_manager,
        bootstrap_iters=10,
        evaluation_tracker=tracker,
        **options,
    )
    results["config"]["model"] = "scripted"
    tracker.general_config_tracker.model_name = name
    tracker.general_config_tracker.model_name_sanitized = name
    samples = results.pop("samples")
    tracker.save_results_aggregated(results=results, samples=samples)
    for task in results["configs"]:
        tracker.save_results_samples(task_name=task, samples=samples[task])
    return folder / name


def results_of(folder):
    """The content of the one results file below a folder."""
    [file] = folder.rglob("results_*.json")
    return json.loads(file.read_text(encoding="utf-8"))


def edit_results(folder, change):
    """Have `change` alter the results file's content."""
    [file] = folder.rglob("results_*.json")
    data = json.loads(file.read_text(encoding="utf-8"))
    change(data)
    file.write_text(json.dumps(data), encoding="utf-8")


def edit_samples(folder, change):
    """Have `change` alter each line of all sample logs."""
    for file in folder.rglob("samples_*.jsonl"):
        lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        for line in lines:
            change(line)
        file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


class Page(HTMLParser):
    """What a page has: tables by caption, texts by class, all tags with attributes, ids.

    Attributes:
        tables: caption -> rows of cells, the head first.
        tags: each with its attributes as a dict.
        words: all text that is shown.
        texts: the texts of rows to read.
        style: the rules of the page.
    """

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.tables, self.tags, self.texts, self.words, self.style = {}, [], [], "", ""
        self._open, self._caption = [], None
        self.feed(html)
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag, attrs):
        """Open a tag."""
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if tag in VOID:
            return
        self._open.append((tag, attributes.get("class") or ""))
        if tag == "caption":
            self._caption = ""
        elif tag == "tr":
            self.tables.setdefault(self._caption, []).append([])
        elif tag in ("td", "th"):
            self.tables[self._caption][-1].append("")
        elif attributes.get("class") == "text":
            self.texts.append("")

    def handle_endtag(self, tag):
        """Close it."""
        assert self._open[-1][0] == tag, (tag, self._open)
        self._open.pop()
        if tag == "caption":
            assert self._caption not in self.tables
            self.tables[self._caption] = []

    def handle_data(self, data):
        """Text, in what is open."""
        tags = [tag for tag, _ in self._open]
        if "style" in tags:
            self.style += data
            return
        self.words += data
        if "caption" in tags:
            self._caption += data
        elif "td" in tags or ("th" in tags and self.tables):
            self.tables[self._caption][-1][-1] += data
        elif any(kind == "text" for _, kind in self._open):
            self.texts[-1] += data

    @property
    def ids(self):
        """All ids."""
        return [attributes["id"] for _, attributes in self.tags if "id" in attributes]

    def column(self, caption, head):
        """A column of a table: the rows' names and cells."""
        first, *rows = self.tables[caption]
        return {row[0]: row[first.index(head)] for row in rows}


def number(text):
    """A number as the page writes it."""
    return float(text.replace("−", "-"))

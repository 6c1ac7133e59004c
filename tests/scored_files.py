"""Files that `score` reads, and the command itself in this process."""

import json
import random
from pathlib import Path

from conftest import write_rows
from trees import WORDS

from skywork_rb_plugin import commands
from skywork_rb_plugin.commands.score.journal import Journal


def many(count=6, responses=4, seed=0):
    """Prompts with responses that share beginnings."""
    pick = random.Random(seed)

    def words(most):
        return " ".join(pick.choices(WORDS, k=pick.randint(1, most)))

    return [
        {
            "id": i,
            "prompt": words(20),
            "responses": [f"{begin} {words(6)}" for begin in [words(8)] * responses],
            "ü": "é",
        }
        for i in range(count)
    ]


def score(folder, rows, *arguments, output="out.jsonl", model="demo", data="data.jsonl"):
    """Run the command; returns the rows that it wrote."""
    if rows is not None:
        write_rows(folder / data, rows)
    given = ["--data", str(folder / data), "-o", str(folder / output), "--device", "cpu"]
    commands.run("score", [*given, "--model_args", f"pretrained={model}", *arguments])
    return lines_of(folder / output)


def lines_of(file):
    """The rows of a file of JSON lines."""
    return [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines()]


def counts_of(output):
    """What the record beside an output counts."""
    return Journal(Path(output)).state.counts


def conversations(rows):
    """Pairs of prompt and response, of all rows."""
    return [(row["prompt"], response) for row in rows for response in row["responses"]]


def cut(values, length):
    """Lists of so many."""
    return [values[i : i + length] for i in range(0, len(values), length)]

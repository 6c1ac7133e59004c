"""What was found, as a table for people and as JSON lines for scripts."""

import json
import textwrap
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from skywork_rb_plugin.commands.overlap.ngrams import Overlap
from skywork_rb_plugin.commands.overlap.prompts import Prompt
from skywork_rb_plugin.errors import UserError

EXAMPLES = 5
# of a line of the output file
_KEYS = ("task", "row", "id", "share", "identical", "training_rows")


def report(
    prompts: Sequence[Prompt], overlaps: Sequence[Overlap], count: int, n: int, threshold: float, output: str | None
) -> str:
    """The report on `count` training prompts as text; `output` is the file that lists what was found, if any."""
    pairs = list(zip(prompts, overlaps, strict=True))
    counts = defaultdict(Counter)
    for prompt, overlap in pairs:
        seen = {"all": 1, "any": overlap.share > 0, "most": bool(overlap.places), "same": overlap.identical}
        counts[prompt.task].update(seen)
    total = sum(counts.values(), Counter())
    rows = len({place for overlap in overlaps for place in overlap.places})
    short = sum(sum(map(len, prompt.turns)) < n for prompt in prompts)
    lines = [
        f"{n}-grams of words that {total['all']:,} evaluation prompts share with one of {count:,} training prompts",
        "",
        *_table(
            ["task", "prompts", f"any {n}-gram", f"share >= {threshold:g}", "identical"],
            [[task, *(seen[key] for key in ("all", "any", "most", "same"))]
             for task, seen in [*counts.items(), ("total", total)]],
        ),
        "",
        f"{short:,} evaluation prompts have fewer than {n} words and were compared whole.",
    ]  # fmt: skip
    largest = {}
    for prompt, overlap in sorted(pairs, key=lambda pair: -pair[1].share):
        if overlap.share:
            largest.setdefault(prompt.task, (prompt, overlap))
    if largest:
        examples = [
            [prompt.task, prompt.row, "" if prompt.id is None else str(prompt.id), f"{overlap.share:.2f}",
             ":".join(map(str, overlap.place)), textwrap.shorten(" ".join(overlap.ngram), 70)]
            for prompt, overlap in [*largest.values()][:EXAMPLES]
        ]  # fmt: skip
        lines += ["", f"Largest shares, one per task and {EXAMPLES} at most (rows count from 0):"]
        lines += _table(["task", "row", "id", "share", "training row", "first words in common"], examples)
    if not rows:
        return "\n".join([*lines, "", f"No training row has a share of {threshold:g} or more: nothing to drop."])
    return "\n".join(
        [
            *lines,
            "",
            f"{rows:,} of {count:,} training rows have a share of {threshold:g} or more of an evaluation prompt: "
            f"{output or '--output FILE'} lists them.",
            "Drop these rows before training. For a model already trained on them, report these tasks' scores with this table.",
        ]
    )


def check_output(file: str) -> None:
    """Look at `--output` before anything is computed: it may replace an earlier report, and nothing else.

    Raises:
        UserError: there is no such folder, or the file holds something else, such as the training rows.
    """
    path = Path(file)
    try:
        if path.is_dir() or not path.parent.is_dir():
            found = "a folder" if path.is_dir() else f"no folder {path.parent}"
            raise UserError(f"--output {file}: found {found}, expected the name of a file in a folder that exists")
        # of what is no plain file, such as /dev/stdout, nothing is lost
        lost = path.is_file() and path.stat().st_size and not _is_report(path)
    except OSError as error:
        raise _not_written(file, error) from error
    if lost:
        found = "a file that is no earlier report of this command, and would be lost"
        raise UserError(f"--output {file}: found {found}, expected another name")


def _is_report(path: Path) -> bool:
    with path.open(encoding="utf-8") as lines:
        try:
            return list(json.loads(lines.readline())) == list(_KEYS)
        except (ValueError, TypeError, RecursionError):
            return False


def write_contaminated(file: str, prompts: Sequence[Prompt], overlaps: Sequence[Overlap]) -> None:
    """Write a JSON line per contaminated evaluation prompt.

    Its keys are _KEYS: `row` counts from 0, `id` is null where rows have none, `training_rows` are numbers from 0 by
    training file.

    Raises:
        UserError: the file can't be written.
    """
    lines = []
    for prompt, overlap in zip(prompts, overlaps, strict=True):
        rows = defaultdict(list)
        for name, row in overlap.places:
            rows[name].append(row)
        if rows:
            values = (prompt.task, prompt.row, prompt.id, round(overlap.share, 4), overlap.identical, rows)
            line = dict(zip(_KEYS, values, strict=True))
            lines.append(json.dumps(line, ensure_ascii=False, default=str) + "\n")
    try:
        Path(file).write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise _not_written(file, error) from error


def _not_written(file: str, error: OSError) -> UserError:
    return UserError(f"could not write --output {file} ({error.strerror})")


def _table(header: list[str], rows: list[list]) -> list[str]:
    """Aligned columns: numbers to the right, text to the left."""
    signs = [">" if isinstance(cell, int) else "<" for cell in rows[0]]
    rows = [[f"{cell:,}" if isinstance(cell, int) else cell for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    return [
        "  ".join(f"{cell:{sign}{width}}" for cell, sign, width in zip(row, signs, widths, strict=True)).rstrip()
        for row in [header, *rows]
    ]

"""The one line after a run: its scores, what they cost, and how to look into them."""

import logging
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

logger = logging.getLogger(f"lm_eval.{__name__}")

# so many scores fit into a line
_SCORES = 5


def sum_up(
    rows: Mapping[str, Mapping],
    members: Mapping[str, Sequence[str]],
    run: Mapping | None,
    cost: str = "",
) -> None:
    """Log it, if there is something to say.

    Args:
        rows: of tasks and groups, by their names, as in the host's results.
        members: the names of each group's members.
        run: the arguments of the `simple_evaluate` that it belongs to; None where there is none.
        cost: what the scores cost, in words; empty where that is not known.
    """
    if scores := ", ".join(scores_of(rows, members)):
        logger.info("%s", f"{scores}{cost and '; '}{cost}. {how_to_go_on(run)}".rstrip())
    elif cost:
        logger.info("No scores; %s.", cost)


@contextmanager
def never_in_the_way() -> Iterator[None]:
    """Whatever goes wrong with such a line costs no run, whose results are yet to be saved."""
    try:
        yield
    except Exception:
        logger.debug("The run could not be summed up.", exc_info=True)


def scores_of(rows: Mapping[str, Mapping], members: Mapping[str, Sequence[str]]) -> list[str]:
    """The first metric, with its standard error, of each group and task that is no other's member; groups go first.

    Args:
        rows: as of `sum_up`.
        members: likewise.
    """
    inside = {name for names in members.values() for name in names}
    found = []
    for name in sorted(rows.keys() - inside, key=lambda name: (name not in members, list(rows).index(name))):
        row = rows[name]
        # --predict_only has a metric of the host's own that says nothing
        keys = [key for key in row if "," in key and "_stderr," not in key and not key.startswith("bypass,")]
        if keys:
            metric, _, chosen = keys[0].partition(",")
            title = f"{row.get('alias') or name} {metric}" + ("" if chosen == "none" else f" ({chosen})")
            error = row.get(f"{metric}_stderr,{chosen}")
            found.append(f"{title} {_number(row[keys[0]])}" + (f" ± {_number(error)}" if _is_number(error) else ""))
    more = len(found) - _SCORES
    return found if more < 1 else [*found[:_SCORES], f"and {more} more"]


def how_to_go_on(run: Mapping | None) -> str:
    """The command that makes a report of a run from the command line, or the flags that it takes; else nothing.

    Args:
        run: as of `sum_up`.
    """
    tracker = (run or {}).get("evaluation_tracker")
    if tracker is None:
        return ""
    flags = {"--output_path FOLDER": tracker.output_path, "--log_samples": run["log_samples"]}
    if missing := [flag for flag, given in flags.items() if not given]:
        return f"{' '.join(missing)} would keep what a report needs."
    path = Path(tracker.output_path)
    # as the host does it
    folder = path.parent if path.suffix == ".json" else path / tracker.general_config_tracker.model_name_sanitized
    return f"For a report: python -m skywork_rb_plugin report {shlex.quote(str(folder))} -o report.html"


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _number(value: object) -> str:
    return f"{value:.4f}" if _is_number(value) else "N/A"

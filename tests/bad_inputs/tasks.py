"""Evaluating a task with a scripted model, as areas that are about tasks do."""

from collections.abc import Iterator

from scripted import ScriptedLM, length

from bad_inputs.case import Place


def evaluated(task: dict | str, place: Place, score=length, **options) -> Iterator[float]:
    """Load and evaluate a task or a group; the numbers of the table.

    What `simple_evaluate` does, without the report on the machine that it adds in half a second.
    """
    from lm_eval.evaluator import evaluate

    loaded = place.task_manager.load([task])
    results = evaluate(lm=ScriptedLM(score), task_dict=loaded, bootstrap_iters=0, **options)
    rows = [*results["results"].values(), *results.get("groups", {}).values()]
    return [value for row in rows for key, value in row.items() if "," in key and isinstance(value, float)]

"""Runs written to a folder as the command line writes them, from models that are functions, or from values alone."""

import json
import random
from statistics import fmean

from scripted import ScriptedLM


def at_random(seed):
    """A scorer that knows nothing, the same each time."""
    return lambda context, response="": random.Random(f"{seed} {context} {response}").gauss(0, 2)


def write_run(folder, name, score, tasks, task_manager, **options):
    """Evaluate, write results file and sample logs below `folder`; returns the run's folder."""
    from lm_eval import simple_evaluate
    from lm_eval.loggers import EvaluationTracker

    results = simple_evaluate(
        model=ScriptedLM(score), tasks=tasks, task_manager=task_manager, bootstrap_iters=10, log_samples=True, **options
    )
    samples = results.pop("samples")
    results["config"]["model"] = name
    tracker = EvaluationTracker(output_path=str(folder))
    tracker.general_config_tracker.model_name = name
    tracker.general_config_tracker.model_name_sanitized = name.replace("/", "__")
    tracker.save_results_aggregated(results=results, samples=samples)
    for task, rows in samples.items():
        tracker.save_results_samples(task_name=task, samples=rows)
    return folder / name.replace("/", "__")


def write_by_hand(folder, name, tasks, results=None, notes=None, **data):
    """Write a run as lm-eval does, from its rows' values; returns its folder.

    Args:
        tasks: task -> {metric: values of its rows}; every metric is a mean.
        results: more of the results file's `results`: groups, other scores of tasks.
        notes: task -> what the plugin noted of each row.
        data: more of the results file.
    """
    date = "2026-11-25T04-28-55.810497"
    (folder / name).mkdir(parents=True)
    made = {
        task: {"alias": task, "sample_len": len(next(iter(metrics.values()))),
               **{f"{metric},none": fmean(values) for metric, values in metrics.items()}}
        for task, metrics in tasks.items()
    }  # fmt: skip
    for key, row in (results or {}).items():
        made[key] = made.get(key, {}) | row
    configs = {task: {"metric_list": [{"metric": m, "aggregation": "mean"} for m in tasks[task]]} for task in tasks}
    content = {"results": made, "configs": configs, "config": {"model": name}, "model_name": name, **data}
    (folder / name / f"results_{date}.json").write_text(json.dumps(content))
    for task, metrics in tasks.items():
        lines = []
        for i, values in enumerate(zip(*metrics.values(), strict=True)):
            doc = {"skywork_rb": notes[task][i]} if notes else {}
            fields = {"doc_id": i, "doc_hash": str(i), "doc": doc, "arguments": {}, "filter": "none"}
            lines.append({**fields, "metrics": list(metrics), **dict(zip(metrics, values, strict=True))})
        log = folder / name / f"samples_{task}_{date}.jsonl"
        log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder / name

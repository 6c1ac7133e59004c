"""Runs written to a folder as the command line writes them, from models that are functions."""

import random

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

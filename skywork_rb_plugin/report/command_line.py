"""The command that makes a run again, from what its results file tells."""

import json
import shlex
from collections.abc import Iterator, Mapping

from skywork_rb_plugin.report.results import Run

# the host's defaults (lm_eval/_cli/run.py, --seed)
_SEEDS = {"random_seed": 0, "numpy_seed": 1234, "torch_seed": 1234, "fewshot_seed": 1234}


def command_line(run: Run) -> str:
    """`lm_eval run …` as it may have been called; --metadata, --samples and --include_path leave no trace in the file."""
    lines = ["lm_eval run"]
    for argument in _arguments(run):
        if argument.startswith("--"):
            lines.append(f"  {argument}")
        else:
            lines[-1] += f" {shlex.quote(argument)}"
    return " \\\n".join(lines)


def _arguments(run: Run) -> Iterator[str]:
    config = run.data["config"]
    yield from ("--model", str(config.get("model")))
    if arguments := config.get("model_args"):
        yield from ("--model_args", _key_values(arguments))
    yield from ("--tasks", ",".join(_asked_for(run)))
    for option in ("batch_size", "device", "limit", "use_cache"):
        if config.get(option) is not None:
            value = config[option]
            # the host turns what is given into a float: 300.0
            yield from (f"--{option}", str(int(value) if isinstance(value, float) and value.is_integer() else value))
    shots = {run.data.get("n-shot", {}).get(task) for task in run.tasks} - {None, 0}
    if len(shots) == 1:
        yield from ("--num_fewshot", str(shots.pop()))
    if config.get("gen_kwargs"):
        yield from ("--gen_kwargs", _key_values(config["gen_kwargs"]))
    if run.data.get("system_instruction"):
        yield from ("--system_instruction", str(run.data["system_instruction"]))
    if run.data.get("chat_template"):
        yield "--apply_chat_template"
    seeds = {name: config.get(name, default) for name, default in _SEEDS.items()}
    if seeds != _SEEDS:
        yield from ("--seed", ",".join(map(str, seeds.values())))
    yield from ("--output_path", "results", "--log_samples")


def _asked_for(run: Run) -> list[str]:
    """Names of what lies in no group."""
    inside = {name for members in (run.data.get("group_subtasks") or {}).values() for name in members or ()}
    return sorted(name for name in run.data["results"] if name not in inside)


def _key_values(given: object) -> str:
    """As the host reads them: key=value with commas between, or JSON where a value would not survive that."""
    if not isinstance(given, Mapping):
        return str(given)
    plain = all(
        isinstance(value, (str, int, float)) and not set(str(value)) & set(",={}[]\"' ") for value in given.values()
    )
    return (
        ",".join(f"{key}={value}" for key, value in given.items()) if plain else json.dumps(given, ensure_ascii=False)
    )

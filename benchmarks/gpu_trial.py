"""One bounded trial on one GPU: are prefix trees right there, how fast, with how much memory; prints, and writes JSON.

    python benchmarks/make_token_ids.py --tokenizer FOLDER --data filtered.parquet --out ids/llama-3.1.npz
    python benchmarks/gpu_trial.py --ids ids --out gpu_trial.json
    python benchmarks/gpu_trial.py --ids ids --out gpu_trial.json --only machine ceilings llama-8b
    python benchmarks/gpu_trial.py --ids ids --out gpu_trial.json --tiny     # small models, on a CPU too

`--ids` has token ids for each family of tokenizers, llama-3.1.npz, gemma-2.npz and qwen-3.npz: the first command makes one
where tokenizer and data are. The models have random weights in the shapes of published ones. A step for which there is no
time is skipped, and results are written after each; the exit code is 1 if a step failed or found something wrong.

It needs torch, transformers, accelerate, numpy, psutil and of lm_eval only its own files and requests. For a machine that has
the first but no index of packages:

    pip download --dest wheels --no-deps lm_eval==0.4.13 requests urllib3 certifi charset-normalizer idna     # elsewhere
    pip install --no-index --no-deps --target site wheels/*.whl                                               # there
    PYTHONPATH=site:. python benchmarks/gpu_trial.py --ids ids --out gpu_trial.json

On a CPU it compiles with g++ and is quickest alone: OMP_NUM_THREADS=1 where others compute too.
"""

import argparse
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from gpu_trial_checks import ceilings, correctness, machine, models_in_a_row, out_of_memory
from gpu_trial_speed import speed
from shapes import SHAPES
from trial import Stage, Trial

# seconds on an H100: at least for a stage to be worth beginning, at most so that the ones after it get their turn
_SPEED = {"llama-8b": (60, 180), "qwen-0.6b": (40, 70), "gemma-9b": (50, 75), "gemma-27b": (60, 120)}
STAGES = [
    Stage("machine", machine),
    Stage("ceilings", ceilings, 5),
    Stage("correctness", correctness, 30, 80, ("llama-3.1",)),
    Stage("models_in_a_row", models_in_a_row, 30, 50, ("llama-3.1",)),
    Stage("out_of_memory", out_of_memory, 15, 40, ("qwen-3",)),
    *(Stage(name, partial(speed, name), *_SPEED[name], (SHAPES[name].tokenizer,)) for name in SHAPES),
]
# a way's columns in the summary
_COLUMNS = ("seconds", "seconds for all", "conversations/s", "tokens/s", "TFLOP/s", "share of ceiling", "GiB above weights", "host ms per pack", "first pack, s")  # fmt: skip


def main() -> None:
    """Parse the command line, run the stages, sum up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ids", type=Path, required=True, help="folder of token ids, from make_token_ids.py")
    parser.add_argument("--out", type=Path, default=Path("gpu_trial.json"), help="default: gpu_trial.json")
    parser.add_argument("--limit", type=float, default=540, help="seconds for all stages together (default: 540)")
    parser.add_argument(
        "--only", nargs="+", choices=[stage.name for stage in STAGES], metavar="STAGE", help="%(choices)s"
    )
    parser.add_argument("--tiny", action="store_true", help="small models and few rows")
    arguments = parser.parse_args()
    if not torch.cuda.is_available() and not arguments.tiny:
        sys.exit("found no CUDA device, expected one, or --tiny")
    stages = [stage for stage in STAGES if not arguments.only or stage.name in arguments.only]
    if arguments.tiny:  # a CPU keeps other times
        stages = [replace(stage, least=0, most=arguments.limit) for stage in stages]
    for family in sorted({family for stage in stages for family in stage.tokenizers}):
        if not (file := arguments.ids / f"{family}.npz").is_file():
            sys.exit(f"found no {file}, expected a file of make_token_ids.py there, or other stages in --only")

    device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    trial = Trial(device, arguments.tiny, arguments.ids, arguments.out, arguments.limit)
    trial.run(stages)
    print(f"\n{summary(trial.results)}\n\nAll numbers are in {arguments.out}.")
    sys.exit(trial.failed)


def summary(results: dict[str, dict]) -> str:
    """Markdown: the state of each stage with what is wrong in it, and a table of the ways that were timed."""
    lines, table = [], []
    for stage, result in results.items():
        lines.append(f"- {stage}: {result['state']}, {result['seconds']} s")
        for step, found in result["steps"].items():
            lines += [
                f"  - {step}: {state}: {found[state]}" for state in ("skipped", "failed", "wrong") if state in found
            ]
            if "tokens/s" in found:
                cells = (f"{found[name]:.4g}" if name in found else "" for name in _COLUMNS)
                table.append(f"| {stage} | {step} | {' | '.join(cells)} |")
    head = f"| shape | way | {' | '.join(_COLUMNS)} |\n|---|---|{'---:|' * len(_COLUMNS)}"
    return "\n".join([*lines, *(["", head, *table] if table else [])])


if __name__ == "__main__":
    main()

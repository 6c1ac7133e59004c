"""The same conversations by every way to score them: the reference's, vLLM's, this plugin's; prints a table of each workload.

    make race                                                     # the demo model, in a few minutes
    make race RACE='--model FOLDER --data FILE.parquet --pairs 80 --responses FILE.jsonl'

Three workloads: pairs (RewardBench's, from --data), best of n (--responses, as sample_responses.py writes them: rows with
`prompt` and `responses`), and the same best of n by a process reward model, read at the end of each line. The model is
given random heads: that changes the scores, not the speed. Each way has a process of its own, one after the other; loading,
compiling and a first call are told apart from the time of scoring, which includes rendering and tokenizing. Memory is what
the process and its children have at most, with the model; vLLM's cache is in it at its full size (VLLM_CPU_KVCACHE_SPACE).
"""

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import torch
import transformers
from racers import WAYS
from score_file import write_data
from speed import pairs_of

DEMO = files("skywork_rb_plugin") / "demo" / "model"
BASE, OURS, BEST_OF_OURS = "sorted batches of 8", "hf-reward", "hf-reward, compile=True"


def write_models(name: str, folder: Path, seed: int) -> dict[str, str]:
    """A classifier and a process model in float32, each with a random head; returns their folders."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(name)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    made = {}
    for kind, auto, labels in (
        ("classifier", transformers.AutoModelForSequenceClassification, 1),
        ("process", transformers.AutoModelForTokenClassification, 2),
    ):
        torch.manual_seed(seed)
        config = transformers.AutoConfig.from_pretrained(name)
        config.num_labels, config.pad_token_id = labels, tokenizer.pad_token_id
        model = auto.from_pretrained(name, config=config, dtype=torch.float32, ignore_mismatched_sizes=True)
        made[kind] = str(folder / kind)
        model.save_pretrained(made[kind])
        tokenizer.save_pretrained(made[kind])
    return made


def documents_of(rows: list[dict], process: bool) -> list[tuple[str, list]]:
    """Rows with `prompt` and `responses` as named conversations; a process model reads each line as a step."""

    def steps(response: str) -> str:
        return "\n\n".join(filter(None, map(str.strip, response.split("\n")))) if process else response

    return [
        (
            f"row {i}",
            [
                ({"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": steps(response)})
                for response in row["responses"]
            ],
        )
        for i, row in enumerate(rows)
    ]


def run(way: str, model: str, documents: Path, length: int) -> dict | str:
    """What one way took; or why it did not come to its end."""
    out = documents.with_name("out.json")
    out.unlink(missing_ok=True)
    command = [sys.executable, str(Path(__file__).with_name("racers.py")), way, "--model", model]
    command += ["--documents", str(documents), "--out", str(out), "--max-length", str(length)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode or not out.is_file():
        lines = [
            line.strip() for line in done.stderr.splitlines() if "Error: " in line or line.startswith("skywork-rb")
        ]
        return lines[-1] if lines else f"exit status {done.returncode}"
    return json.loads(out.read_text(encoding="utf-8"))


def table(found: dict[str, dict | str]) -> str:
    """Markdown; differences are from the scores of the sorted batches."""
    base = found[BASE]["rewards"]
    columns = ["way", "tokens", "of them padding", "seconds", "tokens/s", "starts in, s", "memory, MiB", "largest difference of a score"]  # fmt: skip
    lines = ["| " + " | ".join(columns) + " |", "|---" + "|---:" * (len(columns) - 1) + "|"]
    for way, one in found.items():
        if isinstance(one, str):
            lines.append(f"| {way} | {one[:160]} |" + " |" * (len(columns) - 2))
            continue
        off = max(abs(a - b) for a, b in zip(base, one["rewards"], strict=True))
        cells = [
            f"{one['tokens']:,}", f"{one['padding']:,}", f"{one['seconds']:.1f}", f"{one['tokens'] / one['seconds']:.0f}",
            f"{one['start']:.0f}", f"{one['memory'] / 2**20:.0f}", f"{off:.1e}",
        ]  # fmt: skip
        lines.append(f"| {way} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def verdict(found: dict[str, dict | str]) -> str:
    """How many times as fast this plugin's own scoring is as vLLM, as it comes and at its best."""
    seconds = {way: one["seconds"] for way, one in found.items() if not isinstance(one, str)}
    engines = {way: some for way, some in seconds.items() if "vllm" in way.lower()}
    best, plain = min(engines, key=engines.get), "vLLM as it comes"
    return "; ".join(
        f"{ours}: {seconds[other] / seconds[ours]:.2f} times as fast as {other}"
        for ours in (OURS, BEST_OF_OURS)
        for other in dict.fromkeys((plain, best))
        if {ours, other} <= seconds.keys()
    )


def main() -> None:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="demo", help="folder or hub name of a decoder (default: demo)")
    parser.add_argument("--data", help="JSONL or parquet file of pairs (default: the packaged ones)")
    parser.add_argument("--pairs", type=int, help="a random sample of so many (default: all)")
    parser.add_argument(
        "--responses", help="JSONL file of prompts with many responses (default: made of the packaged pairs)"
    )
    parser.add_argument("--max-length", type=int, default=1024)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), metavar="WAY", help="default: all")
    parser.add_argument(
        "--workloads", nargs="+", choices=("pairs", "best", "process"), default=["pairs", "best", "process"]
    )
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = write_models(str(DEMO) if arguments.model == "demo" else arguments.model, folder, arguments.seed)
        pairs = pairs_of(arguments.data, arguments.pairs, arguments.seed)
        if arguments.responses:
            many = [json.loads(line) for line in Path(arguments.responses).read_text(encoding="utf-8").splitlines()]
        else:
            many = write_data(folder / "many.jsonl", prompts=8, responses=32, seed=arguments.seed)
        pairs = [{"prompt": row["prompt"], "responses": [row["chosen"], row["rejected"]]} for row in pairs]
        print(
            f"{arguments.model}, float32; {os.cpu_count()} cores ({platform.machine()}), {torch.get_num_threads()} threads; "
            f"torch {torch.__version__}, transformers {transformers.__version__}, vLLM {version('vllm-cpu')}; "
            f"{datetime.date.today()}"
        )
        for title, rows, kind in (
            ("pairs", pairs, "classifier"),
            ("best", many, "classifier"),
            ("process", many, "process"),
        ):
            if title not in arguments.workloads:
                continue
            documents = folder / "documents.json"
            documents.write_text(json.dumps(documents_of(rows, kind == "process")), encoding="utf-8")
            count = sum(len(row["responses"]) for row in rows)
            found = {}
            for way in dict.fromkeys((BASE, *arguments.ways)):
                found[way] = run(way, models[kind], documents, arguments.max_length)
                print(
                    f"  {way}: {found[way] if isinstance(found[way], str) else found[way]['seconds']}", file=sys.stderr
                )
            found = {way: found[way] for way in WAYS if way in found}
            print(f"\n{title}: {count} conversations of {len(rows)} prompts, a {kind} model\n")
            print(f"{table(found)}\n\n{verdict(found)}", flush=True)


if __name__ == "__main__":
    main()

"""The same pairs by every way that this plugin computes a reward, each a real run of lm-eval; prints a table.

    make agreement                                                # the demo model on its packaged pairs
    make agreement AGREEMENT='--model FOLDER --data FILE.parquet --pairs 150'

Differences are from hf-reward in one process, by prefix tree. A vLLM server is started on this machine for api-reward; the
model is in float32 everywhere.
"""

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from speed import DEMO, pairs_of

YAML = """\
task: agreed
class: !function skywork_rb_plugin.PreferenceTask
dataset_path: json
dataset_kwargs: {data_files: rows.jsonl}
test_split: train
"""
BASE = "hf-reward"
# way -> backend, its options, processes
WAYS = {
    BASE: ("hf-reward", "device=cpu", 1),
    "hf-reward, 2 processes": ("hf-reward", "device=cpu", 2),
    "hf-reward, 3 processes": ("hf-reward", "device=cpu", 3),
    "hf-reward, scoring=padded": ("hf-reward", "device=cpu,scoring=padded,batch_size=8", 1),
    "hf-reward, compile=True": ("hf-reward", "device=cpu,compile=True", 1),
    "vllm-reward": ("vllm-reward", "", 1),
    "api-reward, vLLM's server": ("api-reward", "", 1),
}
_PATIENCE = 300  # seconds until a server is up


def evaluate(folder: Path, way: str, arguments: argparse.Namespace, url: str) -> tuple[float, dict[int, list[float]]]:
    """The accuracy, and the rewards of each row, by one way."""
    backend, options, processes = WAYS[way]
    model = f"base_url={url}" if backend == "api-reward" else f"pretrained={arguments.model},dtype=float32"
    launch = ["-m", "torch.distributed.run", "--nproc_per_node", str(processes)] if processes > 1 else []
    output = folder / "results" / way.replace("'", "")
    command = [
        sys.executable, *launch, "-m", "lm_eval", "run", "--model", backend,
        "--model_args", ",".join(filter(None, (model, options, f"max_length={arguments.max_length}"))),
        "--include_path", ".", "--tasks", "agreed", "--output_path", str(output), "--log_samples",
    ]  # fmt: skip
    # processes that share a machine leave each other their cores
    threads = {"OMP_NUM_THREADS": str(max(1, os.cpu_count() // processes))} if processes > 1 else {}
    done = subprocess.run(command, cwd=folder, env={**os.environ, **threads}, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{way}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
    [results], [samples] = output.rglob("results_*.json"), output.rglob("samples_*.jsonl")
    rows = map(json.loads, samples.read_text(encoding="utf-8").splitlines())
    accuracy = json.loads(results.read_text(encoding="utf-8"))["results"]["agreed"]["acc,none"]
    return accuracy, {row["doc_id"]: row["doc"]["skywork_rb"]["rewards"] for row in rows}


@contextlib.contextmanager
def server(arguments: argparse.Namespace) -> Iterator[str]:
    """vLLM's own, with the model; gives its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", arguments.model, "--runner", "pooling",
        "--host", "127.0.0.1", "--port", str(port), "--dtype", "float32", "--max-model-len", str(arguments.max_length),
    ]  # fmt: skip
    with tempfile.TemporaryFile() as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        url, start = f"http://127.0.0.1:{port}", time.monotonic()
        try:
            while process.poll() is None and time.monotonic() - start < _PATIENCE:
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"{url}/health")
                    break
                time.sleep(1)
            else:
                log.seek(0)
                sys.exit(f"the server did not start: {log.read().decode(errors='replace')[-2000:]}")
            yield url
        finally:
            process.terminate()


def main() -> None:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", default=str(DEMO), help="folder or hub name of a classifier (default: the demo model)"
    )
    parser.add_argument("--data", help="JSONL or parquet file of pairs (default: the packaged ones)")
    parser.add_argument("--pairs", type=int, help="a random sample of so many (default: all)")
    parser.add_argument("--max-length", type=int, default=1024)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), metavar="WAY", help="default: all")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [
            {key: row[key] for key in ("prompt", "chosen", "rejected")}
            for row in pairs_of(arguments.data, arguments.pairs, arguments.seed)
        ]
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        (folder / "agreed.yaml").write_text(YAML, encoding="utf-8")
        print(
            f"{arguments.model}, {len(rows)} pairs\n\n| way | acc | largest difference of a score | verdicts that differ |"
        )
        print("|---|---:|---:|---:|")
        base = None
        for way in dict.fromkeys((BASE, *arguments.ways)):
            with server(arguments) if WAYS[way][0] == "api-reward" else contextlib.nullcontext("") as url:
                accuracy, rewards = evaluate(folder, way, arguments, url)
            base = base or rewards
            off = max(abs(a - b) for row, own in base.items() for a, b in zip(own, rewards[row], strict=True))
            differ = sum((own[0] > own[1]) != (rewards[row][0] > rewards[row][1]) for row, own in base.items())
            print(f"| {way} | {accuracy:.4f} | {off:.1e} | {differ} of {len(base)} |", flush=True)


if __name__ == "__main__":
    main()

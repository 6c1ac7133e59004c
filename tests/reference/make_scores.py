"""Score RewardBench with the official implementation, for test_reference.py to compare with.

    python make_scores.py ASSETS

ASSETS holds `mirror/allenai/reward-bench` and the checkpoints `models/compat-{llama-3.1,gemma-2,qwen-3}`. Run it in a
venv of its own: pip install torch==2.13.0 rewardbench==0.1.4 "setuptools<81" (which brings transformers 4.51).
Writes scores-FAMILY.json beside this file: {subset: {id: [chosen score, rejected score]}} for all 2985 rows, no text.
"""

import json
import os
import pathlib
import sys
import tempfile

FAMILIES = ("llama-3.1", "gemma-2", "qwen-3")
HERE = pathlib.Path(__file__).resolve().parent


def score(family: str, assets: pathlib.Path) -> dict[str, dict[str, list[float]]]:
    """Run rewardbench's own command on one checkpoint, in float32 with eager attention, one conversation at a time.

    In batches of 8 the reference pads on the left, which shifts rotary positions: its own float32 scores then move by
    up to 2e-4 (2 of 5970 on the Llama checkpoint by more than 1e-4), while float64 agrees with the unpadded ones.
    """
    from rewardbench.rewardbench import Args, rewardbench

    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        # relative names: the reference takes `allenai/reward-bench` and the model from the current directory
        os.symlink(assets / "mirror" / "allenai", "allenai")
        os.symlink(assets / "models" / f"compat-{family}", "model")
        rewardbench(
            Args(model="model", not_quantized=True, torch_dtype="float32", attn_implementation="eager", batch_size=1)
        )
        lines = pathlib.Path("results/model_outputs.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        os.chdir(HERE)
    scores: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        pair = [round(float(row["scores_chosen"]), 6), round(float(row["scores_rejected"]), 6)]
        scores.setdefault(row["subset"], {})[str(row["id"])] = pair
    return scores


def run_on_cpu() -> None:
    """The reference pipeline says `.to("cuda")`, whatever the machine: send it to the CPU."""
    from transformers import BatchEncoding

    to = BatchEncoding.to
    BatchEncoding.to = lambda self, device, **kwargs: to(self, "cpu" if device == "cuda" else device, **kwargs)


if __name__ == "__main__":
    assets = pathlib.Path(sys.argv[1]).resolve()
    run_on_cpu()
    for family in sys.argv[2:] or FAMILIES:
        text = json.dumps(score(family, assets)).replace("}, ", "},\n")
        (HERE / f"scores-{family}.json").write_text(text + "\n", encoding="utf-8")

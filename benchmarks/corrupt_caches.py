"""Score caches that were damaged: whether a run with one ends in right scores, in one line, or otherwise; prints a table.

    python benchmarks/corrupt_caches.py                           # 40 times each; 400 times where bytes change
    python benchmarks/corrupt_caches.py --times 10 --seed 1

The demo model's answers to the packaged pairs are cached, the file is damaged at random places, and looked at, opened and
read as in a run with --use_cache; what it does not have is scored again. A score is wrong where it differs by more than
1e-4 from the first run's.
"""

import argparse
import logging
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from lm_eval.api.instance import Instance
from lm_eval.api.model import CachingLM
from speed import pairs_of

import skywork_rb_plugin as rb
from skywork_rb_plugin.conversations import Conversation
from skywork_rb_plugin.models.cache_file import check_file

PAGE = 4096


def bytes_changed(count: int) -> Callable:
    """So many bytes at random places become others."""

    def change(data: bytearray, pick: random.Random) -> bytearray:
        for _ in range(count):
            data[pick.randrange(len(data))] ^= pick.randrange(1, 256)
        return data

    return change


def bit_flipped(data: bytearray, pick: random.Random) -> bytearray:
    """One bit."""
    data[pick.randrange(len(data))] ^= 1 << pick.randrange(8)
    return data


def cut(data: bytearray, pick: random.Random) -> bytearray:
    """The end is missing."""
    return data[: pick.randrange(1, len(data))]


def zeroed(data: bytearray, pick: random.Random) -> bytearray:
    """A block is zeros, as after a power failure."""
    start = pick.randrange(len(data) // PAGE) * PAGE
    data[start : start + PAGE] = bytes(PAGE)
    return data


def swapped(data: bytearray, pick: random.Random) -> bytearray:
    """A block is where another was."""
    source, target = (start * PAGE for start in pick.sample(range(1, len(data) // PAGE), 2))
    data[target : target + PAGE] = data[source : source + PAGE]
    return data


def filled(data: bytearray, pick: random.Random) -> bytearray:
    """A block is noise."""
    start = pick.randrange(len(data) // PAGE) * PAGE
    data[start : start + PAGE] = pick.randbytes(PAGE)
    return data


# what is done to the file, or to the one beside it of this suffix, and whether it is done ten times as often
DAMAGES = {
    "cut off": (cut, "", False),
    "a bit is flipped": (bit_flipped, "", True),
    "a byte is another": (bytes_changed(1), "", True),
    "16 bytes are others": (bytes_changed(16), "", False),
    "a block of zeros": (zeroed, "", False),
    "a block of noise": (filled, "", False),
    "a block is another's copy": (swapped, "", False),
    "a journal of noise beside it": (lambda data, pick: pick.randbytes(pick.randrange(1, 20000)), "-journal", False),
    "a log (WAL) of noise beside it": (lambda data, pick: pick.randbytes(pick.randrange(1, 20000)), "-wal", False),
}


def outcome(model: rb.RewardLM, file: Path, requests: list[Instance], right: list[float]) -> str:
    """How a run with this cache ends, in words."""
    caching = None
    try:
        check_file(str(file))  # as before the model is loaded
        caching = CachingLM(model, str(file))
        scores = [score for score, _ in caching.loglikelihood(requests)]
    except rb.UserError:
        return "one line"
    except Exception as error:
        return f"{type(error).__name__}"
    finally:
        if caching is not None:
            caching.dbdict.close()
    return "right scores" if max(abs(a - b) for a, b in zip(scores, right, strict=True)) < 1e-4 else "WRONG SCORES"


def main() -> None:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    model = rb.load("demo", device="cpu")
    requests = [
        Instance("loglikelihood", {}, (Conversation([{"role": "user", "content": row["prompt"]}]), row[name]), i, metadata=("demo", number, 1))
        for number, row in enumerate(pairs_of(None, None, 0))
        for i, name in enumerate(("chosen", "rejected"))
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        good = Path(name) / "good.db"
        caching = CachingLM(model, str(good))
        right = [score for score, _ in caching.loglikelihood(requests)]
        caching.dbdict.close()
        print(f"{len(requests)} answers, {good.stat().st_size:,} bytes.\n")
        print("| what | times | right scores | one line | otherwise |\n|---|---:|---:|---:|---|", flush=True)
        for what, (damage, suffix, often) in DAMAGES.items():
            pick, ends = random.Random(f"{arguments.seed} {what}"), Counter()
            for i in range(arguments.times * (10 if often else 1)):
                file = Path(name) / f"{i}.db"
                shutil.copy(good, file)
                Path(f"{file}{suffix}").write_bytes(damage(bytearray(good.read_bytes()), pick))
                ends[outcome(model, file, requests, right)] += 1
                for left in Path(name).glob(f"{i}.db*"):
                    left.unlink()
            other = [f"{count} {end}" for end, count in ends.items() if end not in ("right scores", "one line")]
            print(
                f"| {what} | {ends.total()} | {ends['right scores']} | {ends['one line']} | {', '.join(other)} |",
                flush=True,
            )


if __name__ == "__main__":
    main()

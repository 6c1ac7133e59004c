"""Stages of `gpu_trial.py`: how fast models of published shapes score all pairs, one way after another."""

import itertools
import time
import warnings
from collections import Counter
from contextlib import closing
from pathlib import Path

import torch
from measuring import PeakMemory, operations, seconds_of, synchronize, verdicts
from observed import ObservedScorer, Started, Subject
from shapes import SHAPES, random_classifier, shape_config
from torch.autograd import DeviceType
from trial import Trial

from skywork_rb_plugin.scoring.budget import activation_bytes, free_memory

# seconds that a step may take which compiles
_COMPILING = 15
# of padded batches every so many is timed first, so that those which there is time for are spread over all
_STRIDE = 17
# kernel names -> kind, the first that fits
_KINDS = {
    "attention": ("flex_attention", "triton_tem", "fmha", "flash"),
    "matrix products": ("gemm", "nvjet", "cutlass", "xmma", "::mm", "::addmm", "::bmm"),
    "copies": ("memcpy", "memset", "copy_"),
    "fused elementwise": ("triton",),
}


def speed(shape: str, trial: Trial) -> None:
    """All ways to score with one shape, the most telling first; later ones are skipped where time is short."""
    timed = _Timed(shape, trial)
    budget, flex, dense = 512 if trial.tiny else 8192, "flex_attention", timed.subject.model.config._attn_implementation
    base = f"tree, {flex}, {budget}"
    plain, compiled = (timed.subject.tree(flex, budget, compiled) for compiled in (False, True))
    timed.tree(base, plain, longest=45)
    timed.check_at_loading(plain)
    timed.padded("padded 8, data order", timed.in_data_order(8), longest=12, against=base)
    timed.padded("padded 8, sorted", timed.by_length(8), longest=6, against=base)
    timed.tree(f"{base}, layers compiled", compiled, longest=20, against=base)
    for name, tree in ((base, plain), (f"{base}, layers compiled", compiled)):
        timed.syncs(name, tree)
        timed.kernels(name, tree)
    small = budget // 4
    timed.tree(f"tree, {dense}, {small}", timed.subject.tree(dense, small), longest=8, against=base)
    for other in (2 * budget, budget // 2):
        timed.tree(f"tree, {flex}, {other}", timed.subject.tree(flex, other), longest=8, against=base)


class _Timed:
    """A model of one shape, its conversations, and the scores of each way so far."""

    def __init__(self, shape: str, trial: Trial) -> None:
        self.trial, self.device = trial, trial.device
        config = shape_config(shape, trial.tiny)
        self.ids = trial.ids(SHAPES[shape].tokenizer).folded(config.vocab_size)
        self.scores: dict[str, dict[int, float]] = {}
        torch.manual_seed(0)
        start = time.perf_counter()
        self.subject = Subject(random_classifier(config, torch.bfloat16, trial.device), trial.device)
        synchronize(trial.device)
        model = self.subject.model
        estimate = activation_bytes(model, "flex_attention", 8192) / 2**30
        found = {
            "seconds": time.perf_counter() - start,
            "weights, GiB": sum(weight.nbytes for weight in model.parameters()) / 2**30,
            "free, GiB": free_memory(trial.device) / 2**30,
            "activations of 8192 tokens as the budget estimates them, GiB": estimate,
        }
        trial.step("model", lambda: found)

    def tree(self, way: str, tree: ObservedScorer, longest: float, against: str | None = None) -> None:
        """Time a scorer on all conversations, or on those of its first packs within `longest` seconds."""
        self.trial.step(way, lambda: self._tree(way, tree, longest), _COMPILING)
        self._compare(way, against)

    def padded(self, way: str, batches: list[list[int]], longest: float, against: str) -> None:
        """Time padded batches, or as many of them, spread over all, as `longest` seconds allow."""
        self.trial.step(way, lambda: self._padded(way, batches, longest), longest)
        self._compare(way, against)

    def in_data_order(self, size: int) -> list[list[int]]:
        """Batches as the reference makes them: rows in order, chosen responses in batches of their own."""
        columns = self.ids.order[::2], self.ids.order[1::2]
        return [column[i : i + size] for i in range(0, len(columns[0]), size) for column in columns]

    def by_length(self, size: int) -> list[list[int]]:
        """Batches as PaddedScorer makes them."""
        order = sorted(range(len(self.ids.sequences)), key=lambda i: -len(self.ids.sequences[i]))
        return [order[i : i + size] for i in range(0, len(order), size)]

    def check_at_loading(self, tree: ObservedScorer) -> None:
        """The check by three short conversations, two of which begin alike, as those of the product do."""
        one, other, *_, last = self.ids.sequences
        short = [one[:38], one[:30] + other[30:47], last[:46]]
        self.trial.step("check at loading", lambda: self.subject.check(tree, short), _COMPILING)

    def syncs(self, way: str, tree: ObservedScorer) -> None:
        """How often the host waits for a GPU in one pack, and where."""
        if self.device.type == "cuda":
            self.trial.step(f"{way}: waits of the host", lambda: self._syncs(tree), _COMPILING)

    def kernels(self, way: str, tree: ObservedScorer) -> None:
        """Milliseconds of two packs by kind of kernel, on a CPU by kind of operation."""
        self.trial.step(f"{way}: kernels", lambda: self._kernels(tree), _COMPILING)

    def _tree(self, way: str, tree: ObservedScorer, longest: float) -> dict:
        packs = tree.packs(self.ids.sequences)
        whole = sum(tree._size(pack) for pack, _ in packs)
        within = next((pack for pack in packs if len(pack[0]) <= tree.budget), packs[-1])
        first, second = (seconds_of(lambda: tree.states(*within), self.device) for _ in range(2))
        tree.started.clear()
        scores, tokens, padding, count = {}, 0, 0, 0
        with PeakMemory(self.device) as memory, closing(tree.run(self.ids)) as run:
            start = time.perf_counter()
            for scored in run:
                end = time.perf_counter()
                scores |= zip(scored.conversations, scored.scores, strict=True)
                tokens, padding, count = tokens + scored.forwarded, padding + scored.padding, count + 1
                if end - start > min(longest, self.trial.left()):
                    break
        self.scores[way] = scores
        done: list[Started] = tree.started[:count]
        seconds = end - start
        cost = operations(
            self.subject.model.config, tokens + padding, sum(pack.pairs for pack in done) + padding,
            sum(pack.reads for pack in done),
        )  # fmt: skip
        return {
            **self._rates(len(scores), tokens, padding, seconds, whole, cost, memory),
            "packs": f"{count} of {len(packs)}",
            "host ms per pack": 1e3 * sorted(pack.host_seconds for pack in done)[count // 2],
            "first pack, s": first,
            "second pack, s": second,
        }

    def _padded(self, way: str, batches: list[list[int]], longest: float) -> dict:
        scorer, sequences = self.subject.padded(), self.ids.sequences
        size = {n: len(batch) * max(len(sequences[i]) for i in batch) for n, batch in enumerate(batches)}
        order = [n for first in range(_STRIDE) for n in range(first, len(batches), _STRIDE)]
        scorer.score(self.ids.encode(batches[order[0]]))  # nobody pays for the first call
        scores, done = {}, []
        with PeakMemory(self.device) as memory:
            start = time.perf_counter()
            for n in order:
                scores |= zip(batches[n], scorer.score(self.ids.encode(batches[n])), strict=True)
                done.append(n)
                if time.perf_counter() - start > longest:
                    break
            seconds = time.perf_counter() - start  # scores are on the host: nothing is left to wait for
        self.scores[way] = scores
        lengths = [len(sequences[i]) for n in done for i in batches[n]]
        computed = sum(size[n] for n in done)
        cost = operations(self.subject.model.config, computed, sum(length * (length + 1) // 2 for length in lengths))
        found = self._rates(
            len(lengths), sum(lengths), computed - sum(lengths), seconds, sum(size.values()), cost, memory
        )
        return {**found, "batches": f"{len(done)} of {len(batches)}"}

    def _rates(
        self, conversations: int, tokens: int, padding: int, seconds: float, whole: int, cost: int, memory: PeakMemory
    ) -> dict:
        """What all ways are compared by; `whole` are the tokens, padding included, of all conversations."""
        computed = tokens + padding
        return {
            "seconds": seconds,
            "seconds for all": seconds * whole / computed,
            "conversations": conversations,
            "conversations/s": conversations / seconds,
            "tokens": tokens,
            "padding": padding,
            "tokens/s": tokens / seconds,
            "TFLOP/s": cost / seconds / 1e12,
            **({"share of ceiling": cost / seconds / self.trial.ceiling} if self.trial.ceiling else {}),
            "GiB above weights": memory.bytes / 2**30,
        }

    def _compare(self, way: str, against: str | None) -> None:
        """How far the scores of two ways are apart, where both have some."""
        one, other = self.scores.get(way), self.scores.get(against)
        if not one or not other or not (both := one.keys() & other.keys()):
            return
        pairs = list(itertools.chain.from_iterable(pair for pair in self.ids.pairs if both.issuperset(pair)))
        judged = [verdicts([scores[i] for i in pairs]) for scores in (one, other)]
        found = {
            "conversations": len(both),
            "largest difference": max(abs(one[i] - other[i]) for i in both),
            "mean": sum(abs(one[i] - other[i]) for i in both) / len(both),
            "pairs": len(pairs) // 2,
            "verdicts that differ": sum(a != b for a, b in zip(*judged, strict=True)),
        }
        self.trial.step(f"{way}: scores against {against}", lambda: found)

    def _syncs(self, tree: ObservedScorer) -> dict:
        [(pack, reads), *_] = tree.packs(self.ids.sequences[:40])
        tree._start(pack, reads)
        synchronize(self.device)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                tree._start(pack, reads)
            finally:
                torch.cuda.set_sync_debug_mode("default")
        waits = [warning for warning in caught if "synchroniz" in str(warning.message)]
        where = Counter(f"{'/'.join(Path(wait.filename).parts[-2:])}:{wait.lineno}" for wait in waits)
        return {"count": len(waits), "where": dict(where)}

    def _kernels(self, tree: ObservedScorer) -> dict:
        packs = tree.packs(self.ids.sequences[:120])[:2]
        tree._start(*packs[0])
        kinds, top, launched = Counter(), Counter(), 0
        cuda = self.device.type == "cuda"
        activities = [torch.profiler.ProfilerActivity.CPU, *([torch.profiler.ProfilerActivity.CUDA] if cuda else [])]
        with torch.profiler.profile(activities=activities) as profile:
            for pack, reads in packs:
                tree._start(pack, reads)
            synchronize(self.device)
        for event in profile.key_averages():
            on_device = event.device_type == (DeviceType.CUDA if cuda else DeviceType.CPU)
            # on a GPU, spans that hold kernels are listed beside these
            if not on_device or (cuda and event.is_user_annotation):
                continue
            spent = (event.self_device_time_total if cuda else event.self_cpu_time_total) / 1e3 / len(packs)
            kinds[_kind(event.key)] += spent
            top[event.key[:70]] += spent
            launched += event.count
        return {
            "launched per pack": launched / len(packs),
            "ms per pack": {kind: round(spent, 3) for kind, spent in kinds.most_common()},
            "top": {name: round(spent, 3) for name, spent in top.most_common(12)},
        }


def _kind(kernel: str) -> str:
    name = kernel.lower()
    return next(
        (kind for kind, parts in _KINDS.items() if any(part in name for part in parts)), "elementwise, reductions"
    )

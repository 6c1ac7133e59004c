"""The ways that take part in the race, each run in a process of its own: `python benchmarks/racers.py WAY`, see race.py."""

import argparse
import gc
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import torch
import transformers

from skywork_rb_plugin import HFReward, VLLMReward
from skywork_rb_plugin.models.documents import Document
from skywork_rb_plugin.rendering.rendered import Rendered
from skywork_rb_plugin.scoring.progress import Counts

# one way: takes documents, gives their rewards, tokens computed with padding, and how many of these are padding
Work = Callable[[list[Document]], tuple[list[float], int, int]]

_BATCH = 8  # conversations of the reference's batches, rewardbench's default


class MemoryOfAll:
    """The most memory of this process and its children together, each shared page counted once.

    Attributes:
        bytes: the peak so far.
    """

    def __init__(self) -> None:
        self._me, self.bytes = psutil.Process(), 0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            found = 0
            for process in (self._me, *self._me.children(recursive=True)):
                try:
                    found += process.memory_full_info().pss
                except psutil.Error:  # it has ended
                    continue
            self.bytes = max(self.bytes, found)
            time.sleep(0.25)


def _batches(
    model: transformers.PreTrainedModel, head, sequences: list[list[int]]
) -> Iterator[tuple[list[float], int]]:
    """Rewards and tokens of batches in the order of the data, padded on the left (rewardbench, rewardbench.py)."""
    for start in range(0, len(sequences), _BATCH):
        some = sequences[start : start + _BATCH]
        width = max(map(len, some))
        ids, mask = torch.zeros(2, len(some), width, dtype=torch.long)
        for row, sequence in enumerate(some):
            ids[row, width - len(sequence) :], mask[row, width - len(sequence) :] = torch.tensor(sequence), 1
        hidden = model.base_model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
        rewards = []
        for row, sequence in enumerate(some):
            places = head.asked(sequence)
            states = hidden[row, torch.from_numpy(places[:, 0]) + width - len(sequence)]
            rewards += head.rewards(head.read(states, torch.from_numpy(places[:, 1])), [len(places)])
        yield rewards, ids.numel()


def reference(folder: str, length: int) -> Work:
    """As the official code goes about it; of pairs, chosen and rejected responses have batches of their own."""
    lm = HFReward(folder, device="cpu", scoring="padded", max_length=length)

    @torch.inference_mode()
    def work(documents: list[Document]) -> tuple[list[float], int, int]:
        conversations = [one for document in documents for one in document.conversations]
        sequences = _token_ids(lm.renderer, conversations)
        pairs = all(len(document.conversations) == 2 for document in documents)
        columns = [sequences[::2], sequences[1::2]] if pairs else [sequences]
        found, tokens = [], 0
        for column in columns:
            found.append([])
            for rewards, count in _batches(lm.model, lm.scorer.head, column):
                found[-1] += rewards
                tokens += count
        rewards = [reward for row in zip(*found, strict=True) for reward in row]
        return rewards, tokens, tokens - sum(map(len, sequences))

    return work


def _token_ids(renderer, conversations: list) -> list[list[int]]:
    texts = list(renderer.render_all(conversations))
    return [list(ids) for ids in Rendered(renderer, texts).encode(range(len(texts)))]


def hf_reward(folder: str, length: int, **options) -> Work:
    """This plugin by itself."""
    return _scored(HFReward(folder, device="cpu", batch_size=_BATCH, max_length=length, **options))


def vllm_reward(folder: str, length: int, **options) -> Work:
    """This plugin with vLLM's engine."""
    return _scored(VLLMReward(folder, max_length=length, **options))


def _scored(lm: HFReward | VLLMReward) -> Work:
    def work(documents: list[Document]) -> tuple[list[float], int, int]:
        counts = Counts()
        rewards = [reward for some in lm.score_documents(documents, counts) for reward in some]
        return rewards, counts.tokens_forwarded + counts.tokens_padding, counts.tokens_padding

    return work


def vllm_alone(folder: str, length: int, **options) -> Work:
    """vLLM as it comes, but for float32: token ids in the order of the data, its own way to what it is asked for."""
    from vllm import LLM, PoolingParams
    from vllm.inputs import TokensPrompt

    reader = VLLMReader(folder, length)
    engine = LLM(folder, runner="pooling", dtype="float32", max_model_len=length, **reader.options, **options)
    parameters = PoolingParams(task=reader.task, use_activation=False)

    def work(documents: list[Document]) -> tuple[list[float], int, int]:
        sequences = _token_ids(reader.renderer, [one for document in documents for one in document.conversations])
        outputs = engine.encode(
            [TokensPrompt(prompt_token_ids=ids) for ids in sequences],
            pooling_params=parameters, pooling_task=reader.task, use_tqdm=False,
        )  # fmt: skip
        rewards = [reader.reward(one.outputs.data, ids) for one, ids in zip(outputs, sequences, strict=True)]
        return rewards, sum(map(len, sequences)) - sum(one.num_cached_tokens for one in outputs), 0

    return work


class VLLMReader:
    """What is not vLLM's in the way of vLLM alone: the rendering, and what becomes of the numbers."""

    def __init__(self, folder: str, length: int) -> None:
        lm = HFReward(folder, device="cpu", max_length=length)
        self.renderer, self._head = lm.renderer, lm.scorer.head
        self.task = "token_classify" if lm.steps else "classify"
        self.options = {"pooler_config": {"task": self.task, "tok_pooling_type": "ALL"}} if lm.steps else {}

    def reward(self, values: torch.Tensor, ids: list[int]) -> float:
        """From vLLM's raw numbers: of the last token, or of all."""
        if self.task == "classify":
            return values.item()
        places = self._head.reads(ids)
        [reward] = self._head.rewards(values[places].softmax(-1)[:, 1:], [len(places)])
        return reward


WAYS: dict[str, tuple[Callable[..., Work], dict[str, object]]] = {
    "reference's batches of 8": (reference, {}),
    "sorted batches of 8": (hf_reward, {"scoring": "padded"}),
    "vLLM without cache": (vllm_alone, {"enable_prefix_caching": False}),
    "vLLM as it comes": (vllm_alone, {}),
    "vllm-reward, blocks of 32": (vllm_reward, {"block_size": 32}),
    "vllm-reward, blocks of 16": (vllm_reward, {"block_size": 16}),
    "hf-reward": (hf_reward, {"scoring": "tree"}),
    "hf-reward, compile=True": (hf_reward, {"scoring": "tree", "compile": True}),
}


def main() -> None:
    """Score the documents of a file by one way; prints what it took as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("way", choices=WAYS)
    for name in ("--model", "--documents", "--out"):
        parser.add_argument(name, required=True)
    parser.add_argument("--max-length", type=int, required=True)
    arguments = parser.parse_args()
    start = time.perf_counter()
    documents = [Document(*one) for one in json.loads(Path(arguments.documents).read_text(encoding="utf-8"))]
    make, options = WAYS[arguments.way]
    work = make(arguments.model, arguments.max_length, **options)
    work(documents[:1])  # nobody pays for the first call
    gc.collect()
    ready = time.perf_counter()
    memory = MemoryOfAll()
    rewards, tokens, padding = work(documents)
    found = {
        "rewards": rewards, "tokens": tokens, "padding": padding, "memory": memory.bytes,
        "seconds": time.perf_counter() - ready, "start": ready - start,
    }  # fmt: skip
    Path(arguments.out).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())

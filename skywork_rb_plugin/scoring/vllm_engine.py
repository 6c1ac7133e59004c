"""vLLM's engine: token ids go in, in their order, and its pooler's numbers come out as they are ready."""

import asyncio
import itertools
import os
import threading
import weakref
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from queue import SimpleQueue

import vllm
from vllm import AsyncEngineArgs, AsyncLLMEngine, PoolingParams, PoolingRequestOutput
from vllm.inputs.engine import tokens_input
from vllm.platforms import current_platform
from vllm.v1.engine.exceptions import EngineDeadError

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.scoring import orphans
from skywork_rb_plugin.scoring.engine import Pooled
from skywork_rb_plugin.scoring.vllm_worker import Asked

# prompts that each replica has at once: enough that none waits for us, few enough that a killed run loses little
_AT_ONCE = 512
# neighbours that go to the same replica, so that it finds their common beginning in its cache
_NEIGHBOURS = 64
# tokens of a block of the prefix cache on a CPU; vLLM's own 128 there finds less, and fewer than 32 its kernel does not like
_CPU_BLOCK = 32


class VLLMEngine:
    """A running engine, in processes of its own; they end with this object.

    Its asynchronous interface is the one that has data parallelism, and it gives each result when it is there.

    Args:
        task: `classify` or `token_classify`.
        options: of vLLM's AsyncEngineArgs.

    Raises:
        Exception: of any kind, vLLM's own: it can't start with these options.
    """

    def __init__(self, task: str, options: Mapping[str, object]) -> None:
        self._params = PoolingParams(task=task, use_activation=False)
        os.environ[orphans.PARENT] = str(os.getpid())
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="vllm", daemon=True).start()
        try:
            self._running = [self._submit(_started(options)).result()]
            asked = self._submit(self._running[0].collective_rpc("attention_backends")).result()
        except BaseException:
            self._loop.call_soon_threadsafe(self._loop.stop)
            raise
        self.config = self._running[0].vllm_config
        self.attention = f"vLLM {' and '.join(sorted({name for names in asked for name in names}))}"
        self.close = weakref.finalize(self, _stop, self._running, self._loop)

    @property
    def replicas(self) -> int:
        """How many share the prompts."""
        return self.config.parallel_config.data_parallel_size

    def settings(self) -> dict[str, object]:
        """How it computes, for the results file."""
        model, parallel, cache = self.config.model_config, self.config.parallel_config, self.config.cache_config
        return {
            "engine": f"vLLM {vllm.__version__}",
            "device": self.config.device_config.device_type,
            "dtype": str(model.dtype).removeprefix("torch."),
            "head_dtype": str(model.head_dtype).removeprefix("torch."),
            "compiled": not model.enforce_eager,
            "prefix_caching": bool(cache.enable_prefix_caching),
            "block_size": cache.block_size,
            "tensor_parallel_size": parallel.tensor_parallel_size,
            "pipeline_parallel_size": parallel.pipeline_parallel_size,
            "data_parallel_size": parallel.data_parallel_size,
        }

    def run(self, prompts: Iterable[tuple[int, Sequence[int]]]) -> Iterator[list[Pooled]]:
        """Send prompts, each with a number, a bounded number of them at a time.

        Raises:
            UserError: the engine has stopped.
        """
        coming, done, underway = enumerate(prompts), SimpleQueue(), set()
        try:
            while True:
                for place, (number, ids) in itertools.islice(coming, _AT_ONCE * self.replicas - len(underway)):
                    future = self._submit(self._pool(number, ids, place // _NEIGHBOURS % self.replicas))
                    underway.add(future)
                    future.add_done_callback(done.put)
                if not underway:
                    return
                finished = [done.get()]
                while not done.empty():
                    finished.append(done.get())
                underway.difference_update(finished)
                yield [_result_or_line(future) for future in finished]
        finally:
            for future in underway:
                future.cancel()

    async def _pool(self, number: int, ids: Sequence[int], replica: int) -> Pooled:
        rank = {"data_parallel_rank": replica} if self.replicas > 1 else {}
        engine, prompt = self._running[0], tokens_input(list(ids))
        queue = await engine.add_request(f"{number}", prompt, self._params, **rank)
        try:
            output: PoolingRequestOutput = await queue.get()
        except asyncio.CancelledError:
            await engine.abort(queue.request_id, internal=True)
            raise
        values = output.outputs.data
        return Pooled(number, values.reshape(-1, values.shape[-1]), output.num_cached_tokens)

    def _submit(self, coroutine: Coroutine) -> Future:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)


async def _started(options: Mapping[str, object]) -> AsyncLLMEngine:
    """Made in its event loop, which it keeps to."""
    worker = f"{Asked.__module__}.{Asked.__qualname__}"
    return AsyncLLMEngine.from_engine_args(AsyncEngineArgs(worker_extension_cls=worker, **options))


def _result_or_line(future: Future) -> Pooled:
    try:
        return future.result()
    except EngineDeadError as error:
        raise UserError(
            f"vLLM stopped while it scored ({type(error).__name__}: {' '.join(str(error).split())[:300]}); its own lines in the "
            "log say why: expected a smaller gpu_memory_utilization=… or max_num_batched_tokens=… in --model_args where "
            "memory ran out; scores finished before survive only under --use_cache"
        ) from error
    except Exception as error:
        # of one prompt, such as a token id that its vocabulary lacks
        raise UserError(
            f"vLLM refused a conversation ({type(error).__name__}: {' '.join(str(error).split())[:300]}); its own lines in the "
            "log may say more; scores finished before survive only under --use_cache"
        ) from error


def _stop(running: list[AsyncLLMEngine], loop: asyncio.AbstractEventLoop) -> None:
    """End the engine's processes; nothing is left of it for the interpreter to delete at its own end."""

    async def shutdown() -> None:
        engine = running.pop()
        if engine.output_handler is not None:  # else it would report that the engine is gone
            engine.output_handler.cancel()
            await asyncio.sleep(0)
        engine.shutdown()

    asyncio.run_coroutine_threadsafe(shutdown(), loop).result()
    loop.call_soon_threadsafe(loop.stop)


def block_size() -> dict[str, int]:
    """Where vLLM's own size of a cache block finds too little: the one to take."""
    return {"block_size": _CPU_BLOCK} if current_platform.is_cpu() else {}

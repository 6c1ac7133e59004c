"""The host's requests as a reward model sees them: conversations to score, or something it can't answer."""

from collections import defaultdict
from collections.abc import Sequence

from skywork_rb_plugin.conversations import Conversation, Message
from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.host import Instance

# kinds of requests that a reward model has no answer to, in words
UNANSWERABLE = {
    "generate_until": "generated text",
    "loglikelihood": "the likelihood of a single continuation",
    "loglikelihood_rolling": "likelihoods of whole texts (perplexity)",
}


def conversation_of(context: str, continuation: str) -> Sequence[Message]:
    """The messages of a request of the host, the continuation as the assistant's last one."""
    if isinstance(context, Conversation):
        messages = list(context.messages)
    else:
        messages, continuation = [{"role": "user", "content": str(context)}], continuation.removeprefix(" ")
    if messages and messages[-1]["role"] == "assistant":  # a task's gen_prefix begins the response
        continuation = messages.pop()["content"] + continuation
    return [*messages, {"role": "assistant", "content": continuation}]


def refuse_unrankable(requests: Sequence[Instance], known: set[str] | None) -> set[str]:
    """Check that every document has several continuations; returns the tasks' names.

    Args:
        requests: `loglikelihood` requests.
        known: with a cache that already holds scores, the tasks that were seen whole before: of documents, and of whole
            tasks that share conversations with others, single requests may be left. None without such a cache.

    Raises:
        UserError: a document has a single continuation, so that there is nothing to rank.
    """
    found = defaultdict(set)
    for request in requests:
        if request.task_name is not None:
            # some continuations may be in the cache: then a task is judged as a whole
            found[request.task_name, request.doc_id if known is None else "any"].add(request.idx)
    for (task, document), indices in found.items():
        if indices == {0} and task not in (known or ()):
            raise UserError(
                f"task {task}, document {document}: found one continuation, expected several: a reward model ranks "
                f"responses and has no likelihoods; leave {task} out of --tasks, or score it with --model hf"
            )
    return {task for task, _ in found}


def cannot_answer(task: str, kind: str) -> UserError:
    """The error for a task whose requests are of one of the kinds UNANSWERABLE."""
    return UserError(
        f"task {task} asks for {UNANSWERABLE[kind]}, which a reward model can't give; leave it out of --tasks, or run it "
        "with a language model (--model hf)"
    )


def answer_is_missing(requests: Sequence[Instance], kind: str) -> UserError:
    """The same for requests that came all the same, when others may have been scored."""
    task = requests[0].task_name if requests else "a task"
    return UserError(f"{cannot_answer(task, kind)}; scores finished before survive only under --use_cache")


def not_finite(where: str, prompt: str, score: float) -> UserError:
    """The error for a score that is NaN or infinite; `where` says which conversation's it is."""
    return UserError(
        f"{where}: found score {score} for {' '.join(prompt.split())[:80]!r}, expected a finite number; try "
        "dtype=bfloat16 or dtype=float32 (float16 overflows)"
    )

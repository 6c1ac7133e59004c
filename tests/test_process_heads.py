"""Process reward models through the harness, against texts, tokens and layers put together here."""

import math
import re
from statistics import fmean

import pytest
import torch
import transformers
from conftest import ASSETS, make_tokenizer, needs_assets
from families import ROWS, by_tree_and_padded, conversations, run, states
from rewards import load
from tiny_checkpoints import decoder, numbers, write

from skywork_rb_plugin import HFReward, UserError
from skywork_rb_plugin.heads.families.process_rows import TurnsRenderer

LAST = {"prompt": "How many?", "chosen": "One.\n\nThen two.\n\n\n\nThree", "rejected": "\n\n", "id": 3}
QUESTIONS = [*ROWS, LAST]
SYSTEM = "Please reason step by step, and put your final answer within \\boxed{}."


def tokenizer(*tokens, **settings):
    """One that has these tokens."""
    made = make_tokenizer(**settings)
    made.add_tokens(list(tokens), special_tokens=True)
    return made


def steps_of(response):
    """What blank lines divide; one empty step of nothing."""
    return [step for step in re.split(r"\n\n+", response) if step.strip()] or [""]


def tensor(tensors, name, shape):
    """Numbers for a tensor of the checkpoint."""
    tensors[name] = numbers(name, shape)
    return torch.from_numpy(tensors[name])


def texts():
    """(question, response) of each conversation."""
    return [tuple(message["content"] for message in messages) for messages in conversations(QUESTIONS)]


def check(folder, manager, tmp_path, expected, said, **options):
    """The rewards by tree and in padded batches are those that are expected."""
    by_tree, padded, info = by_tree_and_padded(folder, manager, tmp_path, QUESTIONS, **options)
    assert by_tree == pytest.approx(expected, abs=1e-5)
    assert padded == pytest.approx(expected, abs=1e-5)
    assert len(set(expected)) > 5
    assert info["head"] == said


def qwen(folder, outputs=2, inner=32, drop=()):
    """Its checkpoint, and its layers as a function of hidden states."""
    config, tensors = decoder("qwen2", architectures=["Qwen2ForProcessRewardModel"], num_labels=2)
    a, b = tensor(tensors, "score.0.weight", (inner, 32)), tensor(tensors, "score.0.bias", (inner,))
    c, d = tensor(tensors, "score.2.weight", (outputs, inner)), tensor(tensors, "score.2.bias", (outputs,))
    chat = tokenizer("<extra_0>", "<|im_start|>", "<|im_end|>", add_bos=False)
    folder = write(folder, config, {name: tensors[name] for name in tensors if name not in drop}, chat)
    return folder, chat, lambda hidden: ((hidden @ a.T + b).relu() @ c.T + d).softmax(-1)[:, 1].tolist()


@pytest.mark.parametrize(("steps", "reduce"), [(None, math.prod), ("last", lambda scores: scores[-1])])
def test_qwen(task_manager, tmp_path, steps, reduce):
    """Each step is read at its <extra_0>; without steps=… the scores are multiplied."""
    folder, chat, layers = qwen(tmp_path / "model")
    ids = [
        chat.encode(
            f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
            + "".join(f"{step}<extra_0>" for step in steps_of(response))
            + "<|im_end|>\n"
        )
        for question, response in texts()
    ]
    [step_end] = chat.encode("<extra_0>")
    expected = [
        reduce(layers(hidden[torch.tensor(some) == step_end]))
        for some, hidden in zip(ids, states(folder, ids), strict=True)
    ]
    head = f"two layers and a softmax at each <extra_0>, {steps or 'product'} of the steps"
    check(folder, task_manager, tmp_path, expected, head, **({"steps": steps} if steps else {}))


def test_skywork_o1(task_manager, tmp_path):
    """Every line is tokenized alone and read at its line feed; the last one counts."""
    config, tensors = decoder("qwen2", lm_head=True, architectures=["Qwen2ForPrmModel"])
    weight, bias = tensor(tensors, "v_head.summary.weight", (1, 32)), tensor(tensors, "v_head.summary.bias", (1,))
    chat = make_tokenizer(add_bos=False)
    folder = write(tmp_path / "model", config, tensors, chat)
    ids, reads = [], []
    for question, response in texts():
        ids.append(chat.encode(f"<|bos|>{question}\n"))
        reads.append([])
        for line in response.split("\n"):
            ids[-1] += [*chat.encode(line), *chat.encode("\n")]
            reads[-1].append(len(ids[-1]) - 1)
    scores = [
        (hidden[some] @ weight.T + bias).sigmoid().flatten().tolist()
        for some, hidden in zip(reads, states(folder, ids), strict=True)
    ]
    name = "sigmoid of v_head at each line's end, {} of the steps"
    check(folder, task_manager, tmp_path, list(map(fmean, scores)), name.format("mean"), steps="mean")
    by_default, info = run(folder, task_manager, tmp_path, QUESTIONS)
    assert by_default == pytest.approx([some[-1] for some in scores], abs=1e-5)
    assert info["head"] == name.format("last")


@pytest.mark.parametrize(("family", "separator"), [("qwen2", None), ("llama", "\n\n")])
def test_token_classifiers(task_manager, tmp_path, family, separator):
    """Question, steps and separators are tokenized alone, as PRMTrainer does; one BOS where there is one."""
    architecture = f"{family.capitalize()}ForTokenClassification"
    config, tensors = decoder(family, architectures=[architecture], num_labels=2)
    weight, bias = tensor(tensors, "score.weight", (2, 32)), tensor(tensors, "score.bias", (2,))
    chat = make_tokenizer(template=None)
    if family == "qwen2":
        chat.bos_token = None
    folder = write(tmp_path / "model", config, tensors, chat)
    ids, reads = [], []
    for question, response in texts():
        ids.append([0] * (family == "llama") + chat.encode(question, add_special_tokens=False))
        reads.append([])
        for step in steps_of(response):
            for text in (step.strip(), separator or "\n"):
                ids[-1] += chat.encode(text, add_special_tokens=False)
            reads[-1].append(len(ids[-1]) - 1)
    expected = [
        min((hidden[some] @ weight.T + bias).softmax(-1)[:, 1].tolist())
        for some, hidden in zip(reads, states(folder, ids), strict=True)
    ]
    options = {"chat_template_args": {"separator": separator}} if separator else {}
    head = "a softmax of two labels after each step, min of the steps"
    check(folder, task_manager, tmp_path, expected, head, steps="min", **options)


def test_math_shepherd(task_manager, tmp_path):
    """Steps begin after a blank line or with `Step N`; the lowest probability of + counts."""
    config, tensors = decoder("mistral", lm_head=True)
    chat = tokenizer("ки", template=None)
    folder = write(tmp_path / "model", config, tensors, chat)
    rows = [*QUESTIONS[:3], {**LAST, "chosen": "Step 1: one.\nStep 2: two.\n\nStep 3: The answer is: 3"}]
    pairs = [tuple(message["content"] for message in messages) for messages in conversations(rows)]
    ids = [
        chat.encode(f"{question} " + "\n".join(f"{step} ки" for step in steps))
        for question, response in pairs
        for steps in [[part.strip() for part in steps_of(response.replace("\nStep", "\n\nStep"))]]
    ]
    [step_end], [plus], [minus] = (chat.encode(token, add_special_tokens=False) for token in ("ки", "+", "-"))
    logits = torch.from_numpy(tensors["lm_head.weight"][[plus, minus]])
    expected = [
        min((hidden[torch.tensor(some) == step_end] @ logits.T).softmax(-1)[:, 0].tolist())
        for some, hidden in zip(ids, states(folder, ids), strict=True)
    ]
    by_tree, padded, info = by_tree_and_padded(folder, task_manager, tmp_path, rows, head="math-shepherd")
    assert by_tree == pytest.approx(expected, abs=1e-5)
    assert padded == pytest.approx(expected, abs=1e-5)
    assert [some.count(step_end) for some in ids] == [1, 1, 1, 1, 3, 1, 3, 1]
    assert info["head"] == "softmax of + and - at each step, min of the steps"


@pytest.mark.parametrize(("name", "tied"), [("rlhflow-prm", False), ("rlhflow-orm", True)])
def test_rlhflow(task_manager, tmp_path, name, tied):
    """Each step, or the response, is a turn that the assistant answers with +: three from the end of each such prefix."""
    config, tensors = decoder("llama", lm_head=not tied, architectures=["LlamaForCausalLM"], tie_word_embeddings=tied)
    chat = make_tokenizer()
    folder = write(tmp_path / "model", config, tensors, chat)
    [plus], [minus] = (chat.encode(token, add_special_tokens=False) for token in "+-")
    logits = torch.from_numpy(tensors["model.embed_tokens.weight" if tied else "lm_head.weight"][[plus, minus]])
    expected = []
    for question, response in texts():
        scores, messages = [], []
        for step in [part.strip() for part in response.split("\n\n")] if name == "rlhflow-prm" else [response]:
            content = step if messages else f"{question} {step}"
            messages += [{"role": "user", "content": content}, {"role": "assistant", "content": "+"}]
            ids = chat.apply_chat_template(messages, tokenize=True, return_dict=False)
            assert ids[-2] == plus
            [hidden] = states(folder, [ids])
            scores.append((hidden[-3] @ logits.T).softmax(-1)[0].item())
        expected.append(fmean(scores))
    head = {
        "rlhflow-prm": "softmax of + and - at each step, mean of the steps",
        "rlhflow-orm": "softmax of + and - before the answer",
    }
    check(folder, task_manager, tmp_path, expected, head[name], head=name)


@needs_assets
def test_rlhflow_with_llamas_own_tokenizer():
    """What is marked is the third from the end of each beginning, also where a step or the question says +."""
    chat = transformers.AutoTokenizer.from_pretrained(ASSETS / "tokenizers" / "llama-3.1")
    renderer = TurnsRenderer(chat, None, {}, 4096, "RLHFlow's")
    steps, expected, messages = ["One + one.", "+", "\\[x\\]", "Then 2"], [], []
    [ids] = renderer.encode(renderer.render_all([model_messages(("How many?\n\n+", "\n\n".join(steps)))]))
    for step in steps:
        content = step if messages else f"How many?\n\n+ {step}"
        messages += [{"role": "user", "content": content}, {"role": "assistant", "content": "+"}]
        beginning = chat.apply_chat_template(messages, tokenize=True, return_dict=False)
        assert list(ids[: len(beginning)]) == beginning
        expected.append(len(beginning) - 3)
    assert list(ids.marks) == expected


def test_conversations_that_are_cut(tmp_path):
    """What is left of the steps is read; a conversation that lost all of them is read at its last token."""
    folder, chat, layers = qwen(tmp_path / "model")
    pair = ("Question?", "First step.\n\nSecond step.\n\nThird")
    model = load(folder, steps="min", dtype="float32", max_length=8)
    [ids] = model.renderer.encode(model.renderer.render_all([model_messages(pair)]))
    cut = list(model.renderer.cut(ids))
    [hidden] = states(folder, [cut])
    scores = layers(hidden[torch.tensor(cut) == chat.encode("<extra_0>")[0]])
    assert len(scores) == 1
    assert model.score([pair]) == pytest.approx([scores[0]], abs=1e-5)
    # two tokens are left of the end of the turn
    assert model._head.reads(ids[-2:]) == [1]


def model_messages(pair):
    """A pair as messages."""
    return [{"role": role, "content": text} for role, text in zip(("user", "assistant"), pair, strict=True)]


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        ({"drop": ["score.2.weight"]}, r"found no tensor score\.2\.weight in .*beside the layers: .*score\.0\.weight"),
        ({"drop": ["score.0.bias"]}, r"found no tensor score\.0\.bias in .*beside the layers: .*score\.0\.weight"),
        ({"outputs": 1}, r"found score\.2\.weight of the shape \(1, 32\) in .*, expected \(2, 32\)"),
        ({"inner": 16}, r"found score\.0\.weight of the shape \(16, 32\) in .*, expected \(32, 32\)"),
    ],
)
def test_half_a_head(tmp_path, monkeypatch, damage, line):
    """One line, with what was found, before the decoder is loaded."""
    folder, *_ = qwen(tmp_path / "model", **damage)
    monkeypatch.setattr(transformers.AutoModel, "from_pretrained", None)
    with pytest.raises(UserError, match=line):
        load(folder)


def test_three_labels(tmp_path):
    """A token classifier of another kind is told by its shape."""
    config, tensors = decoder("qwen2", architectures=["Qwen2ForTokenClassification"], num_labels=3)
    tensor(tensors, "score.weight", (3, 32))
    tensor(tensors, "score.bias", (3,))
    folder = write(tmp_path / "model", config, tensors)
    line = r"found score\.weight of the shape \(3, 32\) in .*, expected \(2, 32\)"
    with pytest.raises(UserError, match=line):
        load(folder)
    model = transformers.AutoModelForTokenClassification.from_pretrained(folder)
    with pytest.raises(UserError, match=line):
        HFReward(pretrained=model, tokenizer=folder, device="cpu")


def test_tokens_that_are_not_there(tmp_path):
    """A step's end that the tokenizer divides."""
    config, tensors = decoder("mistral", lm_head=True)
    folder = write(tmp_path / "model", config, tensors)
    with pytest.raises(UserError, match=r"found \d tokens for 'ки' in the tokenizer of .*, expected one"):
        load(folder, head="math-shepherd")
    with pytest.raises(UserError, match=r"found no head that reads .*MistralForCausalLM.* head=NAME"):
        load(folder)


def test_steps_are_checked_early(tmp_path):
    """Before anything is loaded; a head without steps takes none."""
    with pytest.raises(UserError, match=r"found steps=avg, expected one of last, min, product, mean"):
        load(tmp_path / "nowhere", steps="avg")


def test_templates_that_hide_the_answer(tmp_path):
    """Turns need a + that is a token, and pieces a list."""
    config, tensors = decoder("llama", lm_head=True)
    folder = write(tmp_path / "model", config, tensors)
    with pytest.raises(UserError, match=r"writes the answer \+ as 'Hello', expected a turn of its own"):
        load(folder, head="rlhflow-prm", chat_template="{% for m in messages[:1] %}{{ m.content }}{% endfor %}")
    config, tensors = decoder("qwen2", architectures=["Qwen2ForTokenClassification"], num_labels=2)
    tensor(tensors, "score.weight", (2, 32)), tensor(tensors, "score.bias", (2,))
    folder = write(tmp_path / "other", config, tensors)
    with pytest.raises(UserError, match=r"found 'Hi' from the chat template of .*; expected a JSON list"):
        load(folder, chat_template="{{ messages[1].content }}")

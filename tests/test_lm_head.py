"""Reward models that are language models: rows of lm_head, through the harness, against the model's own logits."""

import pytest
import torch
import transformers
from conftest import ASSETS, make_tokenizer, needs_assets
from families import by_tree_and_padded, conversations, token_ids
from rewards import load
from tiny_checkpoints import decoder, write

from skywork_rb_plugin import HFReward, UserError
from skywork_rb_plugin.heads.families.lm_head import Question

GENERATES = "{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
GENERATES += "{% if add_generation_prompt %}<|assistant|>{% endif %}{% if enable_thinking is defined %}.{% endif %}"


def language_model(folder, family="llama", tied=False, pad="<|pad|>", **config):
    """A language model whose tokenizer has yes, no, Good and Bad as tokens of their own."""
    config, tensors = decoder(family, lm_head=not tied, **{"tie_word_embeddings": tied, **config})
    config["architectures"] = [config["architectures"][0].replace("Model", "ForCausalLM")]
    tokenizer = make_tokenizer(GENERATES, pad=pad)
    tokenizer.add_tokens(["yes", "no", "Good", "Bad"])
    return write(folder, config, tensors, tokenizer)


def own_logits(folder, sequences):
    """The model's own logits at the last token of each: [(vocabulary,)]."""
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    with torch.no_grad():
        return [model(torch.tensor([list(ids)]), use_cache=False).logits[0, -1] for ids in sequences]


def test_nemotron(task_manager, tmp_path, caplog):
    """Found by its name; read at the last token, also where that is the pad token, which no warning is needed of."""
    folder = language_model(tmp_path / "Llama-3.1-Nemotron-70B-Reward-HF", pad=None, pad_token_id=1)
    expected = [float(logits[0]) for logits in own_logits(folder, token_ids(folder))]
    by_tree, padded, info = by_tree_and_padded(folder, task_manager, tmp_path)
    assert by_tree == pytest.approx(expected, abs=1e-5)
    assert padded == pytest.approx(expected, abs=1e-5)
    assert info["head"] == "logit of vocabulary id 0"
    assert load(language_model(tmp_path / "model", pad=None), head="nemotron").head_name() == info["head"]
    assert "pad_rule=reference" not in caplog.text


def test_no_language_model_is_taken_for_a_reward_model(tmp_path):
    """Whose name does not say so."""
    folder = language_model(tmp_path / "Llama-3.1-70B-Instruct")
    with pytest.raises(UserError, match=r"found no head that reads .*lm_head\.weight.* head=NAME in --model_args"):
        load(folder)


def asked(folder, instruct="Given a web search query, retrieve relevant passages that answer the query"):
    """Token ids of the questions."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    system = "Judge whether the Document meets the requirements based on the Query and the Instruct provided. "
    system += 'Note that the answer can only be "yes" or "no".'
    return [
        tokenizer(
            f"<|bos|><|system|>{system}<|end|><|user|><Instruct>: {instruct}\n<Query>: {prompt['content']}\n"
            f"<Document>: {response['content']}<|end|><|assistant|>.",
            add_special_tokens=False,
        )["input_ids"]
        for prompt, response in conversations()
    ]


@pytest.mark.parametrize(("family", "label"), [("qwen3", None), ("gemma2", "Good/Bad")])
def test_yes_no(task_manager, tmp_path, family, label):
    """The difference of two logits where the answer would begin, of tied embeddings, and soft-capped by Gemma-2."""
    capped = {"final_logit_softcapping": 0.5} if family == "gemma2" else {}
    folder = language_model(tmp_path / "model", family, tied=True, **capped)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    yes, no = (tokenizer.convert_tokens_to_ids(answer) for answer in (label or "yes/no").split("/"))
    expected = [float(logits[yes] - logits[no]) for logits in own_logits(folder, asked(folder))]
    by_tree, padded, info = by_tree_and_padded(
        folder, task_manager, tmp_path, head="yes-no", max_length=2000, max_position_embeddings=2000,
        **({"label": label} if label else {}),
    )  # fmt: skip
    assert by_tree == pytest.approx(expected, abs=1e-5)
    assert padded == pytest.approx(expected, abs=1e-5)
    assert max(expected) - min(expected) > 1e-3
    assert info["head"] == ("logit of 'Good' minus 'Bad'" if label == "Good/Bad" else "logit of 'yes' minus 'no'")


def test_a_template_of_the_users_asks_another_question(tmp_path):
    """It gets the conversation itself, and ends in a generation prompt."""
    folder = language_model(tmp_path / "model")
    template = tmp_path / "mine.jinja"
    template.write_text("{{ messages[1].content }} is right?{% if add_generation_prompt %} Say yes or no.{% endif %}")
    model = load(folder, head="yes-no", chat_template=str(template))
    assert model.renderer.render(conversations()[0]) == "It is four. is right? Say yes or no."


def test_a_system_message_is_the_instruction_and_turns_are_written_down(tmp_path):
    """What a reranker has no place for is text of its Query."""
    tokenizer = make_tokenizer(GENERATES)
    renderer = Question(tokenizer, None, {}, 100, "model")
    turns = [("system", "Be right."), ("user", "A?"), ("assistant", "B."), ("user", "C?"), ("assistant", "D.")]
    text = renderer.render([{"role": role, "content": content} for role, content in turns])
    assert text.endswith(
        "<|user|><Instruct>: Be right.\n<Query>: user: A?\nassistant: B.\nuser: C?\n<Document>: D.<|end|><|assistant|>."
    )

    text = renderer.render([{"role": "system", "content": "Be right."}, {"role": "assistant", "content": "D."}])
    assert text.endswith("<|user|><Instruct>: Be right.\n<Query>: \n<Document>: D.<|end|><|assistant|>.")


@needs_assets
def test_the_question_is_qwen3_rerankers_own():
    """The model card's prefix and suffix, around its instruction, query and document."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(ASSETS / "tokenizers" / "qwen-3")
    text = Question(tokenizer, None, {}, 100, "model").render(conversations()[0])
    assert text.startswith(
        "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and"
    )
    assert text.endswith(
        'can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n<Instruct>: Given a web search query, retrieve relevant '
        "passages that answer the query\n<Query>: What is two and two?\n<Document>: It is four.<|im_end|>\n"
        "<|im_start|>assistant\n<think>\n\n</think>\n\n"
    )


@pytest.mark.parametrize(
    ("label", "line"),
    [
        ("yes", r"found label=yes in --model_args, expected two answers of one token each"),
        ("yes/", r"found label=yes/ in --model_args, expected two answers"),
        ("yes/perhaps", r"found 6 tokens for 'perhaps' in the tokenizer of .*, expected one"),
    ],
)
def test_answers_that_are_no_tokens(tmp_path, label, line):
    """One line."""
    folder = language_model(tmp_path / "model")
    with pytest.raises(UserError, match=line):
        load(folder, head="yes-no", label=label)


def test_a_model_without_these_rows(tmp_path):
    """A checkpoint or a model without lm_head is refused, and answers that it has no rows for."""
    config, tensors = decoder("llama")
    folder = write(tmp_path / "bare", config, tensors)
    with pytest.raises(UserError, match=r"lacks lm_head\.weight .*, so these would be random numbers"):
        load(folder, head="nemotron")
    model = transformers.AutoModel.from_pretrained(folder)
    with pytest.raises(UserError, match=r"found 0 rows of lm_head in LlamaModel .* expected a language model"):
        HFReward(model, tokenizer=folder, device="cpu", head="nemotron")
    tokenizer = make_tokenizer(GENERATES)
    tokenizer.add_tokens([f"answer{i}" for i in range(30)])
    folder = write(tmp_path / "few", *decoder("llama", lm_head=True), tokenizer)
    with pytest.raises(
        UserError, match=r"found 320 rows of lm_head in .* token ids 3\d\d, 3\d\d: is tokenizer=… another"
    ):
        load(folder, head="yes-no", label="answer28/answer29")


def test_logits_that_are_scaled_are_no_rows_products(tmp_path):
    """Granite divides them; a reward off by a factor is refused."""
    config = transformers.GraniteConfig(
        vocab_size=320, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4,
        initializer_range=0.2, logits_scaling=8.0,
    )  # fmt: skip
    transformers.GraniteForCausalLM(config).save_pretrained(tmp_path)
    make_tokenizer(GENERATES).save_pretrained(tmp_path)
    with pytest.raises(
        UserError, match=r"found logits \[.*\] of .* \(GraniteForCausalLM\) where rows of its lm_head give"
    ):
        load(tmp_path, head="nemotron")

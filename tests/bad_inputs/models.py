"""Options of hf-reward, chat templates, and calls from Python; on the packaged model."""

import math

import skywork_rb_plugin as rb
from bad_inputs.case import Area, Place, host, line, scored

PAIRS = [("Name a colour.", "Red is a colour."), ("Name a colour.", "no")]


def attempt(options, place: Place):
    """Load the packaged model with these options and score two conversations; `...` leaves `pretrained` out."""
    options = {"pretrained": "demo", "device": "cpu", **options}
    return rb.load(**{name: value for name, value in options.items() if value is not ...}).score(PAIRS)


def _choices(option: str, *values, expected: str):
    """One value after the other for an option, all of them refused with the same words."""
    return {
        f"{option} {value!r}": line({option: value}, f"found {option}={expected}".format(value)) for value in values
    }


_OPTIONS = {
    **_choices("scoring", "treee", 5, None, True, "", expected="{}, expected auto, tree or padded"),
    **_choices("pad_rule", "left", 5, None, expected="{}, expected config or reference"),
    **_choices(
        "tokens_per_pack", 0, -1, "512", 0.5, True, None, expected="{}, expected a whole number above 0, or auto"
    ),
    **_choices(
        "max_length", 0, -1, "2k", 1.5, True, math.inf, expected="{!r}, expected a whole number of tokens above 0"
    ),
    **_choices("compile", "yes", 5, None, expected="{}, expected True or False"),
    **_choices("chat_template_args", "x", 5, [1], expected="{!r}, expected names and values"),
    **_choices("chat_template", 5, True, ["x"], expected="{!r}, expected a Jinja file or the name of a template"),
    **_choices("device", "gpu", "", "cuda:99", "cpuu", expected="{}, expected"),
    "device is a list": line({"device": ["cpu"]}, "device"),
    "device is -1": line({"device": -1}, "device"),
    "device meta": line({"device": "meta"}, "meta"),
    "dtype misspelt": line({"dtype": "bf16"}, "dtype=bf16"),
    "dtype for whole numbers": line({"dtype": "int8"}, "dtype=int8"),
    "dtype is a number": line({"dtype": 16}, "dtype=16"),
    "dtype float16": scored({"dtype": "float16"}),
    "dtype float8": line({"dtype": "float8_e4m3fn"}, "float8"),
    "mixed_precision_dtype misspelt": line({"mixed_precision_dtype": "bf16"}, "bf16"),
    "attn_implementation misspelt": line({"attn_implementation": "sdpaa"}, "sdpaa"),
    "attn_implementation is a number": line({"attn_implementation": 5}, "5"),
    "attn_implementation not installed": line({"attn_implementation": "flash_attention_2"}, "flash_attention_2"),
    "attn_implementation of trees with padded": line(
        {"attn_implementation": "prefix_tree", "scoring": "padded"},
        "found attn_implementation=prefix_tree with scoring=padded",
    ),
    "compile with padded": line({"compile": True, "scoring": "padded"}, "found compile=True with scoring=padded"),
    "max_length of one token": line({"max_length": 1}, "found max_length=1, which cuts two different responses"),
    "max_length beyond the model": line({"max_length": 10**6}, "found max_length=1000000, expected at most 1024"),
    "batch_size 0": line({"batch_size": 0, "scoring": "padded"}, "batch_size"),
    "batch_size -1": line({"batch_size": -1, "scoring": "padded"}, "batch_size"),
    "batch_size a word": line({"batch_size": "many"}, "found --batch_size many, expected"),
    "batch_size half": line({"batch_size": 0.5, "scoring": "padded"}, "batch_size"),
    "batch_size auto with a word": line(
        {"batch_size": "auto:x", "scoring": "padded"}, "found --batch_size auto:x, expected"
    ),
    "max_batch_size 0": line(
        {"batch_size": "auto", "max_batch_size": 0, "scoring": "padded"}, "found --max_batch_size 0"
    ),
    "revision of a folder": scored({"revision": "no-such-branch"}),
    "revision is a number": scored({"revision": 5}),
    "subfolder absent": line({"subfolder": "absent"}, "absent"),
    "trust_remote_code a word": scored({"trust_remote_code": "yes"}),
    "peft absent": line({"peft": "/no/such/adapter"}, "/no/such/adapter"),
    "delta absent": line({"delta": "/no/such/delta"}, "/no/such/delta"),
    "peft is a number": line({"peft": 5}, "5"),
    "gguf_file absent": line({"gguf_file": "absent.gguf"}, "absent.gguf"),
    "autogptq": line({"autogptq": True}, "found autogptq or gptqmodel"),
    "gptqmodel": line({"gptqmodel": True}, "found autogptq or gptqmodel"),
    "tokenizer absent": line({"tokenizer": "/no/such/tokenizer"}, "/no/such/tokenizer"),
    "tokenizer is a number": line({"tokenizer": 5}, "5"),
    "tokenizer is an empty list": scored({"tokenizer": []}),
    "add_bos_token a word": scored({"add_bos_token": "yes"}),
    "prefix_token_id a word": scored({"prefix_token_id": "x"}),
    "parallelize a word": scored({"parallelize": "yes"}),
    "max_cpu_memory a word": line({"parallelize": True, "max_cpu_memory": "lots"}, "lots"),
    "offload_folder absent": scored({"offload_folder": "/no/such"}),
    "softmax_dtype misspelt": line({"softmax_dtype": "bf16"}, "bf16"),
    "backend seq2seq": scored({"backend": "seq2seq"}),
    "backend misspelt": line({"backend": "causl"}, "causl"),
    "think_end_token": scored({"think_end_token": "</think>"}),
    "truncation": scored({"truncation": True}),
    "num_labels 3": line({"num_labels": 3}, "label"),
    "num_hidden_layers 2": scored({"num_hidden_layers": 2}),
    "num_hidden_layers 9": line({"num_hidden_layers": 9}, "lacks model.layers."),
    "hidden_size of another model": line({"hidden_size": 64}, "of the shape ("),
    "vocab_size of another model": line({"vocab_size": 7}, "expected (7, 128)"),
    "a misspelt option of ours": line({"scorring": "tree"}, "found scorring in --model_args, did you mean scoring?"),
    "a misspelt option of the host": line({"revison": "x"}, "found revison in --model_args, did you mean revision?"),
    "an unknown option": line({"xyzzy": 9}, "xyzzy=9"),
    "an option in capitals": line({"Scoring": "tree"}, "Scoring"),
    "pretrained is absent": host({"pretrained": ...}, "TypeError: load() missing 1 required positional argument"),
    "pretrained is null": line({"pretrained": None}, "found no pretrained="),
    "pretrained is a number": line({"pretrained": 5}, "found pretrained=5, expected"),
    "pretrained is empty": line({"pretrained": ""}, "''"),
    "pretrained is a list": line({"pretrained": ["demo"]}, "found pretrained=['demo']"),
    "pretrained is no folder": line({"pretrained": "/no/such/model"}, "found no folder /no/such/model"),
    "pretrained is a relative folder": line({"pretrained": "./absent"}, "found no folder ./absent"),
    "pretrained is a hub name": line({"pretrained": "no/such-model"}, "found no model 'no/such-model'"),
    "pretrained with a blank": line({"pretrained": "demo "}, "'demo '"),
    "pretrained with three parts": line({"pretrained": "a/b/c"}, "'a/b/c'"),
    "pretrained with a line end": line({"pretrained": "a\nb"}, "found no model"),
    "model misspelt": line({"model": "hf-rewards"}, "found model='hf-rewards' (did you mean hf-reward?)"),
    "model is a number": line({"model": 5}, "found model=5"),
    "model is a list": line({"model": ["hf-reward"]}, "['hf-reward']"),
}

AREA = Area("options of a model", _OPTIONS, attempt)

_WHOLE = "{{ bos_token }}{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}{% endfor %}"
_REFUSES = "refuses a conversation with the roles user, assistant"


def template_attempt(given, place: Place):
    """Score with a template: text, or bytes of a file; a pair has arguments of the template beside it."""
    template, arguments = given if isinstance(given, tuple) else (given, {})
    if isinstance(template, bytes):
        (place.folder / "file.jinja").write_bytes(template)
        template = "file.jinja"
    return attempt({"chat_template": template, "chat_template_args": arguments}, place)


_TEMPLATES = {
    "one that works": scored(_WHOLE),
    "no file": line("absent.jinja", "found no file 'absent.jinja' for chat_template"),
    "a folder": line(".", "found no file '.'"),
    "the name of its own": scored("default"),
    "an empty text": line("", "''"),
    "an empty file": line(b"", "the same text ''"),
    "a file without Jinja": line(b"hello", "the same text 'hello'"),
    "a file in Latin-1": line(b"{{ messages }} \xe9", "can't read chat_template 'file.jinja'"),
    "a file in UTF-16": line(_WHOLE.encode("utf-16"), "can't read chat_template 'file.jinja'"),
    "a file with a byte order mark": scored(_WHOLE.encode("utf-8-sig")),
    "NUL bytes": line(b"\0" * 9, "the same text"),
    "text that ends in a block": line("{% for m in messages %}", _REFUSES),
    "text that ends in an expression": line("{{ messages", _REFUSES),
    "a loop without name": line("{% for %}{% endfor %}", _REFUSES),
    "an unknown tag": line("{% xyzzy %}", _REFUSES),
    "an unknown filter": line("{{ messages | xyzzy }}", _REFUSES),
    "an unknown test": line("{{ messages is xyzzy }}", _REFUSES),
    "an unknown function": line("{{ xyzzy() }}", _REFUSES),
    "an attribute of nothing": line("{{ xyzzy.a.b }}", _REFUSES),
    "a message that is not there": line("{{ messages[7].content }}", _REFUSES),
    "a division by zero": line("{{ 1 / 0 }}", _REFUSES),
    "text added to a number": line("{{ 1 + messages[0].content }}", _REFUSES),
    "its own refusal": line("{{ raise_exception('no\nway') }}", f"{_REFUSES}: no way"),
    "a file to include": line("{% include 'x' %}", _REFUSES),
    "a way out of the sandbox": line("{{ ().__class__.__mro__ }}", "chat template"),
    "a loop of a billion": line("{% for i in range(1000000000) %}x{% endfor %}", _REFUSES),
    "an endless recursion": line("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", _REFUSES),
    "the first message alone": line(
        "{{ messages[0].content }}", "gives two conversations that differ in their response"
    ),
    "a constant": line("{{ 'x' }}", "the same text 'x'"),
    "nothing": line("{% if false %}x{% endif %}", "the same text ''"),
    "the roles alone": line("{% for m in messages %}{{ m.role }}{% endfor %}", "the same text 'userassistant'"),
    "the responses' lengths": scored("{{ bos_token }}{{ messages[-1].content | length }}"),
    "the response alone": scored("{{ bos_token }}{{ messages[-1].content }}"),
    "two beginnings": scored("{{ bos_token }}{{ bos_token }}" + _WHOLE),
    "the clock": scored(_WHOLE + "{{ strftime_now('%d %b %Y') }}", "puts today's date"),
    "a hundred thousand characters": scored("{{ bos_token }}" + "x" * 100_000 + "{{ messages[-1].content }}"),
    "an argument that it does not take": scored((_WHOLE, {"xyzzy": 1})),
    "an argument that is its own": line((_WHOLE, {"messages": []}), "messages"),
    "an argument of ours": line((_WHOLE, {"tokenize": True}), "tokenize"),
    "an argument that adds a response": line(
        (_WHOLE, {"add_generation_prompt": True, "continue_final_message": True}), _REFUSES
    ),
    "a name that is a number": line((_WHOLE, {5: 1}), "keywords must be strings"),
    "tokens instead of text": scored((_WHOLE, {"return_dict": True, "return_tensors": "xx"})),
}

TEMPLATES = Area("chat templates", _TEMPLATES, template_attempt)


def score_attempt(conversations, place: Place):
    """Hand these to `score`."""
    return rb.load("demo", device="cpu").score(conversations)


def messages(*turns) -> list[dict]:
    """Messages of pairs of a role and a content."""
    return [{"role": role, "content": content} for role, content in turns]


_USER, _ANSWER = ("user", "One?"), ("assistant", "yes")
_ONE = {
    "a string": line("text", "found 'text', expected a list of messages, or a prompt and a response"),
    "null": line(None, "found None, expected"),
    "a number": line(5, "found 5, expected"),
    "nothing": line([], "found [], expected"),
    "a prompt alone": line(["One?"], "found ['One?'], expected"),
    "a pair of numbers": line((1, 2), "found (1, 2), expected"),
    "a response of null": line(("One?", None), "found ('One?', None), expected"),
    "a prompt of null": line((None, "yes"), "found None, expected a string or a list"),
    "a prompt of a number": line((5, "yes"), "found 5, expected a string or a list"),
    "a prompt that is an empty list": line(([], "yes"), "found [], expected a string or a list"),
    "three strings": line(("a", "b", "c"), "found ('a', 'b', 'c'), expected"),
    "a pair as bytes": line((b"One?", b"yes"), "found (b'One?', b'yes'), expected"),
    "a mapping": line({"prompt": "One?", "response": "yes"}, "found {'prompt': 'One?', 'response': 'yes'}"),
    "one message": line({"role": "user", "content": "x"}, "found {'role': 'user', 'content': 'x'}, expected"),
    "a set": line({"One?", "yes"}, "expected a list of messages"),
    "a prompt with two responses": line(("One?", ["yes", "no"]), "found ('One?', ['yes', 'no']), expected"),
    "a user's message at the end": line(messages(_USER), "found a last message of the user"),
    "a response alone": line(messages(_ANSWER), "found a response alone, expected messages before it"),
    "a message of two lists": line([["user", "One?"], ["assistant", "yes"]], "expected a list of messages"),
    "a message without role": line([{"content": "x"}], "found {'content': 'x'}, expected a message"),
    "a content of null": line(
        messages(_USER, ("assistant", None)), "found a message with role 'assistant' and content None"
    ),
    "a content of parts": line(
        messages(("user", [{"type": "text"}]), _ANSWER), "found a message with role 'user' and content"
    ),
    "a misspelt role": line(messages(("usr", "x"), _ANSWER), "found role 'usr', did you mean 'user'?"),
    "a role in capitals": line(messages(("USER", "x"), _ANSWER), "did you mean 'user'?"),
    "a role of another name": scored(messages(("narrator", "x"), _ANSWER)),
    "a system message in the middle": scored(messages(_USER, ("system", "x"), _ANSWER)),
    "two responses in a row": scored(messages(_USER, _ANSWER, _ANSWER)),
    "an empty prompt": scored(("", "yes")),
    "an empty response": scored(("One?", "")),
    "white space": scored((" ", "\n")),
    "half of a surrogate pair": line(("One?", "half \ud83d"), "found half a character (a lone surrogate)"),
    "half of a surrogate pair in a role": line(messages(("\ud83d", "x"), _ANSWER), "surrogate"),
    "NUL characters": scored(("a\0b", "\0")),
    "markers of the template": scored(("<|end|><|assistant|>", "<|bos|><|pad|>")),
    "Jinja": scored(("{{ 7 * 7 }}", "{% endfor %}")),
    "emoji": scored(("👩‍👩‍👧‍👦", "🏳️‍🌈")),
    "a million characters": scored(("word " * 200_000, "yes"), "do not fit into 1024 tokens and were cut"),
    "a thousand turns": scored(messages(*[_USER, _ANSWER] * 500), "do not fit into 1024 tokens and were cut"),
}


def conversation_attempt(conversation, place: Place):
    """Score it beside a good one."""
    return score_attempt([PAIRS[0], conversation], place)


_CALLS = {
    "nothing to score": scored([]),
    "an empty generator": scored(iter(())),
    "null": line(None, "found None"),
    "a number": line(5, "found 5"),
    "a string": line("text", "conversation 0: found 't', expected"),
    "a pair outside a list": line(("One?", "yes"), "conversation 0: found 'One?', expected"),
    "messages outside a list": line(messages(_USER, _ANSWER), "conversation 0: found {'role': 'user'"),
    "a mapping": line({"a": 1}, "conversation 0: found 'a', expected"),
    "the same a thousand times": scored(PAIRS * 500),
}

CONVERSATIONS = Area("conversations for `score`", _ONE, conversation_attempt)
CALLS = Area("calls of `score`", _CALLS, score_attempt)

"""Compare responses with the classes that published pairwise models use, for test_pairwise.py to compare with.

    python make_pairs.py SOURCES

SOURCES holds `reward-bench`, a checkout of ORIGIN. Run it in a venv of its own: pip install torch==2.13.0
transformers==4.51.3 pytest

Writes pairs.json beside this file: versions; `pairs`, [conversation before the response, one response, another] of our own
wording, the third longer than the models' lengths and the last with a response that is; and of each model, by its name,
one value for each pair:

    pairrm, better-pairrm   [input ids of both orders], [logits of both orders]; DebertaV2PairRM and `tokenize_conv_pair`
    pair-preference         [input ids of both orders], the mean probability that SlicPairPMPipeline takes; of the first two
    steamshp                [texts of both orders]; SHPPipeline reads no probability

Ids are told by `digest`. Everything ran in float32 with eager attention on the checkpoints of tiny_pairs.py, pair by pair, without padding.
"""

import importlib.util
import json
import pathlib
import sys
import tempfile
from unittest import mock

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import numpy  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from tiny_pairs import digest, pair_preference, pairrm  # noqa: E402

ORIGIN = "github.com/allenai/reward-bench at 05a9005efb607249822c193590c8ecab87c77052"
EAGER = {"attn_implementation": "eager", "torch_dtype": torch.float32}


def turn(role: str, content: str) -> dict[str, str]:
    """A message."""
    return {"role": role, "content": content}


PAIRS = [
    ([turn("user", "What is two and two?")], "It is four.", "It is five, or maybe six; who knows."),
    (
        [turn("user", "Name a colour.\n"), turn("assistant", " Red. "), turn("user", "Another one?")],
        "Blue\n\nis one.\n",
        "The quick brown fox",
    ),
    ([turn("user", "Tell me a story. " * 150)], "Once upon a time. " * 60, "No. " * 350),
    ([turn("user", "Tell me a story.")], "Once upon a time. " * 60, "No."),
]
# of these the models' lengths cut nothing
SHORT = PAIRS[:2]


def module(sources: pathlib.Path, name: str):
    """One of reward-bench's files, without the package around it."""
    file = sources / "reward-bench" / "rewardbench" / "models" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, file)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def conversations(pair) -> tuple[list, list]:
    """Both responses' conversations."""
    prompt, *responses = pair
    return tuple([*prompt, turn("assistant", text)] for text in responses)


@torch.no_grad()
def by_pairrm(sources: pathlib.Path, folder: str, name: str) -> list:
    """Of each pair the ids and logits of both orders."""
    model = module(sources, "pairrm").DebertaV2PairRM.from_pretrained(folder, **EAGER).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenize, found = module(sources, name).tokenize_conv_pair, []
    for pair in PAIRS:
        one, other = conversations(pair)
        ids, logits = [], []
        for first, second in ((one, other), (other, one)):
            encoded = tokenize(tokenizer, [first], [second])
            whole = encoded["input_ids"][0][encoded["attention_mask"][0].bool()]
            ids.append(digest(whole.tolist()))
            logits.append(round(float(model(whole[None], torch.ones_like(whole)[None]).logits), 7))
        found.append([ids, logits])
    return found


def by_pair_preference(sources: pathlib.Path, folder: str) -> list:
    """Of each pair the ids of both orders and the mean probability."""
    own = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, **EAGER).eval()
    seen, means, mean = [], [], numpy.mean

    def forward(ids):
        seen.append(digest(ids[0].tolist()))
        return model(ids)

    def noted(values):
        means.append(float(mean(values)))
        return means[-1]

    slic = module(sources, "slicpairpm")
    plain = transformers.AutoTokenizer.from_pretrained(folder)  # in place of Llama-3's, which only fills in a template
    with (
        mock.patch.object(slic.AutoTokenizer, "from_pretrained", return_value=plain),
        mock.patch.object(torch.Tensor, "cuda", lambda self: self),
        mock.patch.object(slic.np, "mean", noted),
    ):
        pipeline = slic.SlicPairPMPipeline("", forward, own)
        found = []
        for pair in SHORT:
            one, other = conversations(pair)
            pipeline([one], [other])
            found.append([seen[-2:], round(means[-1], 7)])
    return found


def by_steamshp(sources: pathlib.Path) -> list:
    """Of each pair the texts of both orders."""
    shp = module(sources, "shp")
    pipeline, found = shp.SHPPipeline.__new__(shp.SHPPipeline), []
    for pair in PAIRS:
        one, other = conversations(pair)
        post = pipeline._extract_conversation(one, other)
        texts = []
        for shuffle in (lambda _: None, list.reverse):
            with mock.patch.object(shp.random, "shuffle", shuffle):
                texts.append(pipeline._format_input(post, one[-1]["content"], other[-1]["content"])[0])
        found.append(texts)
    return found


if __name__ == "__main__":
    sources = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        pairs, language_model = pairrm(f"{folder}/pairrm"), pair_preference(f"{folder}/pair-preference")
        found = {
            "versions": {"torch": torch.__version__, "transformers": transformers.__version__, "reward-bench": ORIGIN},
            "pairs": PAIRS,
            "pairrm": by_pairrm(sources, pairs, "pairrm"),
            "better-pairrm": by_pairrm(sources, pairs, "betterpairrm"),
            "pair-preference": by_pair_preference(sources, language_model),
            "steamshp": by_steamshp(sources),
        }
    text = json.dumps(found).replace(', "', ',\n"')
    (HERE / "pairs.json").write_text(text + "\n", encoding="utf-8")

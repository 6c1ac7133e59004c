"""Options of hf-reward: numbers of other kinds, and what a line of a failed loading shows of them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from rewards import PAIRS, load, scores

from skywork_rb_plugin import UserError


def test_no_secret_is_in_a_line(models):
    """Lines go into logs and issues; options that only sound like secrets stay."""
    options = {"token": "hf_secret", "use_auth_token": "hf_secret", "add_bos_token": True, "tokenizer": "no/such"}
    with pytest.raises(UserError, match="with add_bos_token=True, tokenizer=no/such on cpu") as error:
        load(models["llama-3.1"], batch_size=None, **options)
    assert "hf_secret" not in str(error.value)


def test_numbers_of_numpy_are_numbers(models):
    """As they come out of a sweep; they are the harness's own afterwards, and JSON."""
    counts = {"batch_size": 2, "max_batch_size": 4, "max_length": 300, "tokens_per_pack": 200}
    for scoring in ("tree", "padded"):
        model = load(models["llama-3.1"], scoring=scoring, **{key: np.int64(value) for key, value in counts.items()})
        assert scores(model, PAIRS) == pytest.approx(scores(load(models["llama-3.1"]), PAIRS), abs=1e-5)
        assert json.loads(json.dumps(model.get_model_info()["reward"]))["max_length"] == 300
    with pytest.raises(UserError, match=r"found max_length=np.True_, expected|found max_length=True, expected"):
        load(models["llama-3.1"], max_length=np.True_)


@pytest.mark.parametrize(
    ("name", "content", "to_check"),
    [
        ("tokenizer_config.json", "{}", "--model_args"),  # what it may say, tokenizer.json says too
        ("tokenizer_config.json", "[]", "tokenizer_config.json"),
        ("tokenizer.json", "{}", "tokenizer.json"),
    ],
)
def test_a_file_is_named_only_where_it_is_damaged(models, tmp_path, name, content, to_check):
    """Here the weights are, whatever the small files are."""
    folder = Path(shutil.copytree(models["llama-3.1"], tmp_path / "m"))
    (folder / name).write_text(content)
    (folder / "model.safetensors").write_bytes(b"xx")
    with pytest.raises(UserError, match=rf"\(check \S*{to_check}[ ;]"):
        load(folder)

"""Padded batches: what the model is called with, and what happens when memory runs out."""

import pytest
import transformers
from conftest import make_tokenizer
from trees import CPU, family_of, rows, scores

from skywork_rb_plugin import HFReward


def calls_of(model, monkeypatch):
    """What the decoder is called with while some conversations are scored."""
    calls, forward = [], model.model.base_model.forward

    def seen(*args, **kwargs):
        output = forward(*args, **kwargs)
        calls.append((kwargs, output))
        return output

    monkeypatch.setattr(model.model.base_model, "forward", seen)
    scores(model, rows(4))
    return calls


def test_causal_decoders_get_no_mask_and_keep_no_cache(models, monkeypatch):
    """With padding on the right neither is of use; 64 conversations of 2048 tokens would keep 16 GiB of an 8B model."""
    model = HFReward(models["llama-3.1"], scoring="padded", **CPU)
    assert model.model.config.use_cache
    calls = calls_of(model, monkeypatch)
    assert len(calls) == 2
    for arguments, output in calls:
        assert arguments.get("attention_mask") is None
        assert output.past_key_values is None
    assert model.model.config.use_cache  # the caller's own model is as it was


def test_models_that_look_ahead_get_a_mask(tmp_path, monkeypatch):
    """Decoders that attend in both directions, and encoders, must not see padding."""
    both = family_of("Gemma3Text", tmp_path / "both", use_bidirectional_attention=True, sliding_window=64)
    tokenizer = make_tokenizer()
    config = transformers.BertConfig(
        vocab_size=320, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_labels=1,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    transformers.BertForSequenceClassification(config).save_pretrained(tmp_path / "encoder")
    tokenizer.save_pretrained(tmp_path / "encoder")
    for folder in (both, str(tmp_path / "encoder")):
        model = HFReward(folder, **CPU)
        assert all(arguments["attention_mask"] is not None for arguments, _ in calls_of(model, monkeypatch))


@pytest.mark.parametrize("text", ["CUDA error: out of memory", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"])
def test_automatic_sizes_know_all_words_for_it(models, monkeypatch, text):
    """The driver and cuBLAS run out of memory in words of their own."""
    model = HFReward(models["llama-3.1"], scoring="padded", device="cpu", batch_size="auto", max_batch_size=8)
    expected = scores(model, rows(4))
    forward = model.model.base_model.forward

    def small_only(input_ids, **kwargs):
        if len(input_ids) > 2:
            raise RuntimeError(text)
        return forward(input_ids=input_ids, **kwargs)

    monkeypatch.setattr(model.model.base_model, "forward", small_only)
    assert scores(model, rows(4)) == pytest.approx(expected, abs=1e-5)
    assert set(model.scorer.batch_sizes.values()) == {2}


def test_scores_in_8_bits_depend_on_their_neighbours(models, caplog):
    """Which the log says, whatever way they are scored."""
    loaded = transformers.AutoModelForSequenceClassification.from_pretrained(models["llama-3.1"])
    loaded.config.quantization_config = transformers.BitsAndBytesConfig(load_in_8bit=True)
    HFReward(loaded, tokenizer=transformers.AutoTokenizer.from_pretrained(models["llama-3.1"]), **CPU)
    assert "in 8 bits a score depends a little on its neighbours" in caplog.text

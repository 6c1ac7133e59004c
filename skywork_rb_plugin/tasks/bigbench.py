"""BIG-bench's JSON tasks: a file is one object, whose `examples` say what each response scores."""

import json

import datasets


def examples(documents: datasets.Dataset) -> datasets.Dataset:
    """For `process_docs`: a row for each example of files that were read whole (`dataset_path: text`).

    As JSON, `datasets` would make one structure of all responses of a file: they are the keys of `target_scores`.

    Args:
        documents: rows with a file's content each, in the column `text` (`sample_by: document`).

    Returns:
        Rows with `input` and `targets`: `choices`, the responses in the file's order, and `labels`, their scores.

    Raises:
        ValueError: a file is not of this form.
    """
    return datasets.Dataset.from_list([row for text in documents["text"] for row in _rows(text)])


def _rows(text: str) -> list[dict]:
    expected = "expected JSON with `examples: [{input: …, target_scores: {RESPONSE: SCORE, …}}, …]`"
    try:
        found = json.loads(text)["examples"]
        return [
            {
                "input": example["input"],
                "targets": {
                    "choices": list(example["target_scores"]),
                    "labels": list(example["target_scores"].values()),
                },
            }
            for example in found
        ]
    except json.JSONDecodeError as error:
        raise ValueError(f"found no JSON ({error}), {expected}") from error
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"found no such examples ({type(error).__name__}: {error}), {expected}") from error

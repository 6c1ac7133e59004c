"""`score`: options, files, columns and rows, in a folder with a few files."""

import json
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
from conftest import write_rows

from bad_inputs.case import Area, Place, host, line, scored
from skywork_rb_plugin import commands

ROW = {"prompt": "One?", "responses": ["yes", "no"]}
ANSWER = [{"role": "user", "content": "One?"}, {"role": "assistant", "content": "yes"}]
FILES = {
    "many.jsonl": [ROW],
    "one.jsonl": [{"prompt": "One?", "response": "yes"}],
    "pairs.jsonl": [{"prompt": "One?", "chosen": "yes", "rejected": "no"}],
    "messages.jsonl": [{"messages": ANSWER}],
    "odd.jsonl": [{"x": 1, "y": True}],
    "context.jsonl": [{**ROW, "context": "It is late."}],
    "list_later.jsonl": [{"prompt": "One?", "response": "a"}, {"prompt": "Two?", "response": ["b", "c"]}],
    "no_prompt_but_alike.jsonl": [ROW, {"responses": ["The cat sat down", "The cat ran off"]}],
    "context_later.jsonl": [{**ROW, "context": None}, {**ROW, "context": "It is late."}],
    "context_too_late.jsonl": [*([{**ROW, "context": []}] * 400), {**ROW, "context": "It is late."}],
    "two_lists.jsonl": [{**ROW, "answers": ["a", "b"]}],
    "pairs_and_list.jsonl": [{**ROW, "chosen": "yes", "rejected": "no"}],
    "taken.jsonl": [{**ROW, "rewards": [1, 2]}],
    "taken_late.jsonl": [ROW, {**ROW, "rewards": [1, 2]}],
    "taken_response.jsonl": [{**ROW, "response": "x"}],
    "no_responses.jsonl": [ROW, {"prompt": "Two?", "responses": []}],
    "null_responses.jsonl": [ROW, {"prompt": "Two?", "responses": None}],
    "null_response.jsonl": [ROW, {"prompt": "Two?", "responses": ["yes", None]}],
    "number.jsonl": [ROW, {"prompt": "Two?", "responses": ["yes", 7]}],
    "numbers.jsonl": [ROW, {"prompt": 7, "responses": ["yes", "no"]}],
    "text.jsonl": [ROW, {"prompt": "Two?", "responses": "yes"}],
    "null_prompt.jsonl": [ROW, {"prompt": None, "responses": ["yes", "no"]}],
    "no_prompt.jsonl": [ROW, {"responses": ["yes", "no"]}],
    "absent.jsonl": [ROW, {"prompt": "Two?"}],
    "mapping.jsonl": [ROW, {"prompt": {"a": 1}, "responses": ["yes", "no"]}],
    "role.jsonl": [ROW, {"prompt": [{"role": "usr", "content": "a"}], "responses": ["yes", "no"]}],
    "ends_with_user.jsonl": [{"messages": ANSWER}, {"messages": ANSWER[:1]}],
    "alone.jsonl": [{"messages": ANSWER}, {"messages": ANSWER[1:]}],
    "empty_text.jsonl": [ROW, {"prompt": "", "responses": ["", "a"]}],
    "single.jsonl": [ROW, {"prompt": "Two?", "responses": ["yes"]}],
    "apart.jsonl": [{"chosen": ANSWER, "rejected": [{"role": "user", "content": "Two?"}, *ANSWER[1:]]}],
    "empty.jsonl": None,
}
TEXTS = {
    "blank.jsonl": b"\n\n",
    "cut.jsonl": json.dumps(ROW).encode() + b'\n{"prompt": "Two',
    "list.jsonl": json.dumps(ROW).encode() + b"\n[1, 2]\n",
    "bare.jsonl": json.dumps(ROW).encode() + b"\nnull\n",
    "empty_object.jsonl": json.dumps(ROW).encode() + b"\n{}\n",
    "bytes.jsonl": json.dumps(ROW).encode() + b'\n{"prompt": "\xff", "responses": ["a"]}\n',
    "bom.jsonl": b"\xef\xbb\xbf" + json.dumps(ROW).encode(),
    "blank_lines.jsonl": b"\n" + json.dumps(ROW).encode() + b"\r\n\n",
    "deep.jsonl": b'{"prompt": ' + b"[" * 100_000,
    "half.jsonl": b'{"prompt": "One?", "responses": ["a"], "x": "\\ud800"}\n',
    "half_response.jsonl": b'{"prompt": "One?", "responses": ["\\ud800"]}\n',
    "fields.csv": b"prompt,response\nOne?,yes\nTwo?\n",
    "more_fields.csv": b"prompt,response\nOne?,yes,no\n",
    "quote.csv": b'prompt,response\nOne?,"yes\n',
    "twice.csv": b"prompt,response,response\nOne?,yes,no\n",
    "head.csv": b"prompt,response\n",
    "no.parquet": b"no parquet at all",
    "text.txt": b"text",
    "other.jsonl": json.dumps(ROW).encode(),
    "other.jsonl.progress": b"{}\n",
    "mine.jsonl": b"precious\n",
}


def attempt(arguments: str, place: Place):
    """Run the command; the rewards that it wrote."""
    for name, rows in FILES.items():
        write_rows(place.folder / name, rows or [])
    for name, content in TEXTS.items():
        (place.folder / name).write_bytes(content)
    pq.write_table(
        pa.table({**{key: [value] for key, value in ROW.items()}, "b": [b"x"]}), place.folder / "bytes.parquet"
    )
    (place.folder / "empty_folder").mkdir()
    given = [
        "--model_args",
        "pretrained=demo",
        "--device",
        "cpu",
        *(word.replace("~", " ") for word in arguments.split()),
    ]
    if "-o" not in given:
        given += ["-o", "out.jsonl"]
    with patch("builtins.print"):
        commands.run("score", given)
    rows = [json.loads(text) for text in (place.folder / "out.jsonl").read_text().splitlines()]
    rewards = [row.get("rewards", row.get("reward", row.get("r"))) for row in rows]
    return [number for each in rewards for number in (each if isinstance(each, list) else [each])]


_MANY = "--data many.jsonl"
_OPTIONS = {
    "no --data": host("", "the following arguments are required: --data"),
    "prompts with many responses": scored(_MANY),
    "an unknown flag": host(f"{_MANY} --xyzzy", "unrecognized arguments: --xyzzy"),
    "a word too many": host(f"{_MANY} --best more", "unrecognized arguments: more"),
    "a model of others": host(f"{_MANY} --model hf", "invalid choice: 'hf'"),
    "--limit 0": line(f"{_MANY} --limit 0", "found --limit 0, expected 1 or more rows"),
    "--limit of text": host(f"{_MANY} --limit x", "argument --limit: invalid int value: 'x'"),
    "--limit beyond the end": scored(f"{_MANY} --limit 99"),
    "--batch_size 0": line(f"{_MANY} --batch_size 0", "found --batch_size 0, expected a whole number above 0"),
    "--batch_size of text": line(f"{_MANY} --batch_size x", "found --batch_size x"),
    "--device of none": line(f"{_MANY} --device tpu", "found device=tpu"),
    "a misspelt option of the model": line(f"{_MANY} --model_args tokens_per_pak=64", "did you mean tokens_per_pack?"),
    "an option of the model without value": host(f"{_MANY} --model_args x", "expected `key=value`, got 'x'"),
    "JSON of the model that is cut": line(f'{_MANY} --model_args {{"a":', "found --model_args that can't be read"),
    "no such model": line(f"{_MANY} --model_args pretrained=./absent", "./absent"),
    "a model of the other kind": line(f"{_MANY} --model hf-pairwise", "expected --model hf-reward for it"),
    "-o of parquet": line(f"{_MANY} -o out.parquet", "-o: found out.parquet, expected a .jsonl file"),
    "-o without an ending": line(f"{_MANY} -o out", "-o: found out, expected a .jsonl file"),
    "-o in no folder": line(f"{_MANY} -o absent/out.jsonl", "-o: found no folder absent"),
    "-o is the data": line(f"{_MANY} -o many.jsonl", "-o: found many.jsonl, which is the data"),
    "-o is a file of the user's": line(f"{_MANY} -o mine.jsonl", "found mine.jsonl, which this command did not make"),
    "a record that is none": line(f"{_MANY} -o other.jsonl", "other.jsonl.progress is damaged or no record"),
    "--config beside a file": line(f"{_MANY} --config x", "--config: found x beside the file many.jsonl"),
    "--split beside a file": line(f"{_MANY} --split test", "--split: found test beside the file many.jsonl"),
    "--best of one response a row": line("--data one.jsonl --best", "found one response a row in one.jsonl"),
    "--best of messages": line("--data messages.jsonl --best", "found one response a row in messages.jsonl"),
    "--best as response": line(f"{_MANY} --best --reward response", "--reward: found response, expected another name"),
    "a comparing model for one response a row": line(
        "--data one.jsonl --model hf-pairwise", "expected several for --model hf-pairwise"
    ),
    "a comparing model for one response in a list": line(
        "--data single.jsonl --model hf-pairwise", "single.jsonl, row 1: found one response, expected several"
    ),
    "a comparing model for different prompts": line(
        "--data apart.jsonl --model hf-pairwise", "apart.jsonl, row 0: found responses to different prompts"
    ),
}
_DATA = {
    "no such file": line("--data absent_file.jsonl", "--data: found no file absent_file.jsonl"),
    "no such dataset": line("--data no/such-set", "no/such-set"),
    "an empty file": line("--data empty.jsonl", "--data: found empty.jsonl, an empty file"),
    "a file of blank lines": line("--data blank.jsonl", "found no rows in blank.jsonl"),
    "a CSV without rows": line("--data head.csv", "found no rows in head.csv"),
    "a file of another kind": line("--data text.txt", "--data: found text.txt, a file of another format"),
    "a column twice": line(
        "--data twice.csv", "found what can't be read (the column 'response' twice; expected another name"
    ),
    "the output within the data": line("--data . ", "which lies in the data .; expected a file in another folder"),
    "a folder without files": line("--data empty_folder", "could not load the folder"),
    "no parquet": line("--data no.parquet", "no.parquet, row 0: found what can't be read (Parquet magic bytes"),
    "a last line that is cut": line("--data cut.jsonl", "cut.jsonl, row 1: found what can't be read"),
    "a list on a line": line("--data list.jsonl", "list.jsonl, row 1: found what can't be read (line 2, '[1, 2]'"),
    "null on a line": line("--data bare.jsonl", "bare.jsonl, row 1: found what can't be read (line 2, 'null'"),
    "no column on a line": line("--data empty_object.jsonl", "empty_object.jsonl, row 1: found"),
    "a byte that is no UTF-8": line(
        "--data bytes.jsonl", "bytes.jsonl, row 1: found what can't be read ('utf-8' codec"
    ),
    "lists without end": line("--data deep.jsonl", "deep.jsonl, row 0: found what can't be read"),
    "a byte order mark": scored("--data bom.jsonl"),
    "blank lines and carriage returns": scored("--data blank_lines.jsonl"),
    "half a character in another column": scored("--data half.jsonl"),
    "half a character in a response": line("--data half_response.jsonl", "found half a character"),
    "too few fields": line("--data fields.csv", "fields.csv, row 1: found what can't be read"),
    "too many fields": line("--data more_fields.csv", "more_fields.csv, row 0: found what can't be read"),
    "a quote that is not closed": line("--data quote.csv", "quote.csv, row 0: found what can't be read"),
    "bytes in a column": line(
        "--data bytes.parquet", "bytes.parquet, row 0: found what can't be read (a value of the type bytes"
    ),
}
_ROWS = {
    "pairs": scored("--data pairs.jsonl"),
    "messages": scored("--data messages.jsonl"),
    "columns that say nothing": line("--data odd.jsonl", "found no responses in the columns x (number), y (other)"),
    "something beside the prompt": line("--data context.jsonl", "found context beside prompt in context.jsonl"),
    "something beside the prompt, not in the first row": line("--data context_later.jsonl", "found context beside prompt"),
    "something beside the prompt, after many rows": line("--data context_too_late.jsonl", "row 400: found something in column 'context', which the first rows have nothing in, expected to know whether it belongs to the prompt: say --prompt prompt to leave it out"),
    "something beside the prompt, after many rows, left out": scored("--data context_too_late.jsonl --prompt prompt"),
    "something beside the prompt, left out": scored("--data context.jsonl --prompt prompt"),
    "two lists": line("--data two_lists.jsonl", "found several that may be the responses"),
    "pairs beside a list": line("--data pairs_and_list.jsonl", "found chosen and rejected beside other responses (responses)"),
    "two lists, one named": scored("--data two_lists.jsonl --responses answers"),
    "--prompt absent": line(f"{_MANY} --prompt promt", "--prompt: found no column 'promt'"),
    "--responses absent": line(f"{_MANY} --responses respnses", "--responses: found no column 'respnses'"),
    "a column of the rewards' name": line("--data taken.jsonl", "taken.jsonl, row 0: found a column 'rewards', expected --reward NAME"),
    "the same in a later row": line("--data taken_late.jsonl", "taken_late.jsonl, row 1: found a column 'rewards'"),
    "the same, with another name": scored("--data taken.jsonl --reward r"),
    "a column of the best one's name": line("--data taken_response.jsonl --responses responses --best", "found a column 'response'"),
    "no responses": line("--data no_responses.jsonl", "no_responses.jsonl, row 1: found no responses in responses"),
    "null for responses": line("--data null_responses.jsonl", "null_responses.jsonl, row 1: found NoneType"),
    "null for a response": line("--data null_response.jsonl", "null_response.jsonl, row 1: found None"),
    "a number for a response": line("--data number.jsonl", "number.jsonl, row 1: found 7"),
    "a number for a prompt": line("--data numbers.jsonl", "numbers.jsonl, row 1: found 7"),
    "a list for a text": line("--data list_later.jsonl", "list_later.jsonl, row 1: found 2 responses in response, expected one"),
    "no prompt beside responses that begin alike": line("--data no_prompt_but_alike.jsonl", "row 1: found no column 'prompt'"),
    "text for a list": line("--data text.jsonl", "text.jsonl, row 1: found 'yes' for column responses"),
    "null for a prompt": line("--data null_prompt.jsonl", "null_prompt.jsonl, row 1: found no prompt (null)"),
    "no prompt": line("--data no_prompt.jsonl", "no_prompt.jsonl, row 1: found"),
    "no column of responses": line("--data absent.jsonl", "absent.jsonl, row 1: found no column 'responses'"),
    "a mapping for a prompt": line("--data mapping.jsonl", "mapping.jsonl, row 1: found {'a': 1}"),
    "a misspelt role": line("--data role.jsonl", "role.jsonl, row 1: found role 'usr', did you mean 'user'?"),
    "messages without an answer": line("--data ends_with_user.jsonl", "row 1: found a response that ends with a user message"),
    "an answer alone": line("--data alone.jsonl", "alone.jsonl, row 1: found a response without a prompt"),
    "empty texts": scored("--data empty_text.jsonl"),
}  # fmt: skip

AREA = Area("files to score", {**_OPTIONS, **_DATA, **_ROWS}, attempt)

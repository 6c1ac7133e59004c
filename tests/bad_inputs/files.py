"""Data files: damaged, empty, of another format or encoding than their name says."""

import gzip
import io
import json

from conftest import preference_task
from scripted import ROWS

from bad_inputs.case import Area, Place, line, scored
from bad_inputs.tasks import evaluated
from skywork_rb_plugin.tasks.data import FORMATS

GOOD = "".join(json.dumps(row) + "\n" for row in ROWS)
CSV = "id,prompt,chosen,rejected\n1,One?,long answer,short\n2,Two?,yes,never\n"


def attempt(given, place: Place):
    """Write the bytes under the name, and evaluate a task on that file."""
    name, content = given
    file = place.folder / name
    task = preference_task(
        [], place.folder, dataset_path=FORMATS[file.suffix], dataset_kwargs={"data_files": str(file)}
    )
    (place.folder / "rows.jsonl").unlink()
    if content is not None:
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    return evaluated(task, place)


def parquet(rows=ROWS) -> bytes:
    """A good parquet file."""
    import pyarrow
    import pyarrow.parquet

    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    return file.getvalue()


_PARQUET = parquet()

_JSON = {
    "no file": line(("rows.jsonl", None), "rows.jsonl"),
    "an empty file": line(("rows.jsonl", ""), "rows.jsonl"),
    "a line end alone": line(("rows.jsonl", "\n"), "rows.jsonl"),
    "a number alone": line(("rows.jsonl", "3\n"), "rows.jsonl"),
    "null alone, at which pyarrow would end the process": line(
        ("rows.jsonl", "null"), "found null at the beginning of"
    ),
    "a string alone": line(("rows.jsonl", '"text"\n'), "rows.jsonl"),
    "an empty list": line(("rows.jsonl", "[]"), "rows.jsonl"),
    "lists for rows": line(("rows.jsonl", '["One?", "a", "b"]\n'), "rows.jsonl"),
    "the last row cut off": line(("rows.jsonl", GOOD[:-20]), "rows.jsonl"),
    "the first row cut off": line(("rows.jsonl", GOOD[20:]), "rows.jsonl"),
    "a row in two lines": scored(("rows.jsonl", GOOD.replace('"chosen"', '\n"chosen"'))),
    "two rows in a line": scored(("rows.jsonl", GOOD.replace("}\n", "} "))),
    "an empty line between rows": scored(("rows.jsonl", GOOD.replace("\n", "\n\n"))),
    "commas between rows": line(("rows.jsonl", GOOD.replace("}\n", "},\n")), "rows.jsonl"),
    "a comment": line(("rows.jsonl", f"// rows\n{GOOD}"), "rows.jsonl"),
    "single quotes": line(("rows.jsonl", GOOD.replace('"', "'")), "rows.jsonl"),
    "a JSON list under the name of lines": scored(("rows.jsonl", json.dumps(ROWS))),
    "lines under the name of JSON": scored(("rows.json", GOOD)),
    "a JSON list with a trailing comma": line(("rows.json", json.dumps(ROWS)[:-1] + ",]"), "rows.json"),
    "rows under a key": line(("rows.json", json.dumps({"data": ROWS})), "found no column 'chosen' (columns: data)"),
    "columns instead of rows": line(
        ("rows.json", json.dumps({"chosen": ["a", "b"], "rejected": ["c", "d"]})), "found no"
    ),
    "Windows' line ends": scored(("rows.jsonl", GOOD.replace("\n", "\r\n"))),
    "Latin-1": line(("rows.jsonl", GOOD.replace("yes", "já").encode("latin-1")), "rows.jsonl"),
    "UTF-16": line(("rows.jsonl", GOOD.encode("utf-16")), "rows.jsonl"),
    "UTF-8 with a byte order mark": scored(("rows.jsonl", GOOD.encode("utf-8-sig"))),
    "NUL bytes": line(("rows.jsonl", b"\0" * 1000), "rows.jsonl"),
    "random bytes": line(("rows.jsonl", bytes(range(256)) * 8), "rows.jsonl"),
    "compressed under the name of lines": scored(("rows.jsonl", gzip.compress(GOOD.encode()))),
    "compressed and cut off": line(("rows.jsonl", gzip.compress(GOOD.encode() * 50)[:-30]), "rows.jsonl"),
    "a page of HTML": line(("rows.jsonl", "<!doctype html><title>404</title>\n"), "rows.jsonl"),
    "a pointer of Git LFS": line(
        ("rows.jsonl", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"), "rows.jsonl"
    ),
    "CSV under the name of lines": line(("rows.jsonl", CSV), "rows.jsonl"),
    "a key twice": line(
        ("rows.jsonl", '{"prompt": "a", "prompt": "b", "chosen": "c", "rejected": "d"}\n'), "specified twice"
    ),
}

_TABLES = {
    "CSV: no byte": line(("rows.csv", ""), "rows.csv"),
    "CSV: header alone": line(("rows.csv", "prompt,chosen,rejected\n"), "rows.csv"),
    "CSV: no header": line(("rows.csv", CSV.partition("\n")[2]), "found no column 'chosen' (columns: 1, One?,"),
    "CSV: semicolons": line(("rows.csv", CSV.replace(",", ";")), "found no column 'chosen' (columns: id;prompt"),
    "CSV: tabs": line(("rows.csv", CSV.replace(",", "\t")), "found no column 'chosen'"),
    "CSV: too many fields in a row": line(("rows.csv", f"{CSV}3,a,b,c,d,e\n"), "rows.csv"),
    "CSV: too few fields in a row": line(("rows.csv", f"{CSV}3,a\n"), "row 2 (id 3): found None"),
    "CSV: an open quote": line(("rows.csv", f'{CSV}3,"a,b,c\n'), "rows.csv"),
    "CSV: Latin-1": line(("rows.csv", CSV.replace("yes", "já").encode("latin-1")), "rows.csv"),
    "CSV: UTF-16": line(("rows.csv", CSV.encode("utf-16")), "rows.csv"),
    "CSV: a column twice": line(("rows.csv", "prompt,chosen,chosen\na,b,c\n"), "found no column 'rejected'"),
    "CSV: numbers for texts": line(("rows.csv", "prompt,chosen,rejected\n1,2,3\n"), "found 1, expected a string"),
    "CSV: an empty field": line(("rows.csv", "prompt,chosen,rejected\na,,c\n"), "found None, expected a string"),
    "CSV: the word None": line(("rows.csv", "prompt,chosen,rejected\na,None,c\n"), "found None, expected a string"),
    "CSV: NUL bytes": line(("rows.csv", b"\0" * 100), "rows.csv"),
    "CSV: lines of JSON": line(("rows.csv", GOOD), "rows.csv"),
    "parquet: no byte": line(("rows.parquet", b""), "rows.parquet"),
    "parquet: text": line(("rows.parquet", GOOD), "rows.parquet"),
    "parquet: cut off": line(("rows.parquet", _PARQUET[:-100]), "rows.parquet"),
    "parquet: no beginning": line(("rows.parquet", _PARQUET[100:]), "rows.parquet"),
    "parquet: zeros in the middle": line(("rows.parquet", _PARQUET[:40] + bytes(200) + _PARQUET[240:]), "rows.parquet"),
    "parquet: a damaged footer": line(("rows.parquet", _PARQUET[:-200] + bytes(190) + _PARQUET[-10:]), "rows.parquet"),
    "parquet: other columns": line(("rows.parquet", parquet([{"a": 1}])), "found no column 'chosen' (columns: a)"),
    "parquet: no row": line(("rows.parquet", parquet([{"a": 1}][:0])), "rows.parquet"),
    "parquet: bytes for texts": line(
        ("rows.parquet", parquet([{"prompt": b"a", "chosen": b"b", "rejected": b"c"}])), "found b'a', expected a string"
    ),
}


def folder_attempt(given, place: Place):
    """Make a dataset's folder of {name: text}, and evaluate a task on it."""
    folder = place.folder / "set"
    folder.mkdir()
    for name, text in given.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    task = preference_task(ROWS, place.folder)
    return evaluated({**task, "dataset_path": "./set", "dataset_kwargs": None}, place)


_README = "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: {}\n---\n"
_FOLDERS = {
    "no file": line({}, "could not load the folder"),
    "a README alone": line({"README.md": "# Rows"}, "could not load the folder"),
    "a README that names no file": line({"README.md": _README.format("absent.jsonl"), "a.jsonl": GOOD}, "absent.jsonl"),
    "a README with a damaged head": line(
        {"README.md": "---\nconfigs: [\n---\n", "a.jsonl": GOOD}, "could not load the"
    ),
    "a README whose configs are text": line({"README.md": "---\nconfigs: x\n---\n", "a.jsonl": GOOD}, "could not load"),
    "two formats": scored({"a.jsonl": GOOD, "b.csv": CSV}),
    "files with other columns": line({"a.jsonl": GOOD, "b.jsonl": '{"x": 1}\n'}, "could not load the folder"),
    "only files of another kind": line({"notes.docx": "x", "a.bin": b"\0"}, "could not load the folder"),
    "a test and a train split": scored({"train.jsonl": GOOD, "test.jsonl": GOOD}),
    "only a test split": line({"test.jsonl": GOOD}, "found no split 'train', expected one of test"),
    "a damaged file among good ones": line({"a.jsonl": GOOD, "b.jsonl": GOOD[:-20]}, "could not load the folder"),
    "a file with a blank in its name": scored({"a b.jsonl": GOOD}),
    "a file with a star in its name": scored({"a*.jsonl": GOOD}),
}

AREA = Area("data files", {**_JSON, **_TABLES}, attempt)
FOLDERS = Area("folders of data", _FOLDERS, folder_attempt)

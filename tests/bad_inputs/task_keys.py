"""Keys of a preference task and their values."""

from conftest import preference_task
from scripted import ROWS

from bad_inputs.case import Area, Place, host, line, scored
from bad_inputs.tasks import evaluated


def attempt(settings, place: Place):
    """Evaluate the task; a setting of None leaves the key out."""
    return evaluated({**preference_task(ROWS, place.folder), **settings}, place)


def broken(*args, **kwargs):
    """A user's function with a mistake."""
    raise RuntimeError("first line\nsecond line")


def nothing(*args, **kwargs):
    """A user's function that forgets to return."""


def same_docs(docs):
    """A user's function that works."""
    return docs


_TEXT = {
    "doc_to_text is a number": line({"doc_to_text": 5}, "found doc_to_text: 5, expected a column"),
    "doc_to_text is true": line({"doc_to_text": True}, "found doc_to_text: True"),
    "doc_to_text is an empty list": line({"doc_to_text": []}, "found doc_to_text: []"),
    "doc_to_text is a mapping": line({"doc_to_text": {"a": "b"}}, "found doc_to_text: {'a': 'b'}"),
    "doc_to_text is empty": line({"doc_to_text": ""}, "found no column '', expected one of id, prompt"),
    "doc_to_text is a misspelt column": line({"doc_to_text": "promt"}, "found no column 'promt', expected one of id"),
    "doc_to_text is a column of numbers": line({"doc_to_text": "id"}, "found 7, expected a string"),
    "doc_to_text misspells a column in Jinja": line({"doc_to_text": "{{promt}}"}, "'promt' is undefined"),
    "doc_to_text ends within Jinja": line({"doc_to_text": "{{ prompt"}, "TemplateSyntaxError"),
    "doc_to_text has no loop variable": line({"doc_to_text": "{% for %}"}, "TemplateSyntaxError"),
    "doc_to_text divides by zero": line({"doc_to_text": "{{ 1 / 0 }}"}, "ZeroDivisionError"),
    "doc_to_text asks for an absent filter": line({"doc_to_text": "{{ prompt | shout }}"}, "shout"),
    "doc_to_text includes a file": line({"doc_to_text": "{% include 'x' %}"}, "row 0 (id 7): AttributeError"),
    "doc_to_text is a function that fails": line({"doc_to_text": broken}, "RuntimeError: first line second line"),
    "doc_to_text is a function without a result": line({"doc_to_text": nothing}, "found no prompt"),
    "doc_to_text is a message without content": line({"doc_to_text": [{"role": "user"}]}, "found {'role': 'user'}"),
    "doc_to_text is a message with a number": line(
        {"doc_to_text": [{"role": "user", "content": 5}]}, "found a message with role 'user' and content 5"
    ),
    "doc_to_text is a message with a misspelt role": line(
        {"doc_to_text": [{"role": "usr", "content": "x"}]}, "found role 'usr', did you mean 'user'?"
    ),
    "doc_to_text is a list of names": line({"doc_to_text": ["prompt"]}, "found doc_to_text: ['prompt']"),
}

_CHOICE = {
    "doc_to_choice is a number": line({"doc_to_choice": 5}, "found doc_to_choice: 5, expected a list"),
    "doc_to_choice is one column": line({"doc_to_choice": "chosen"}, "found 'long answer' for `doc_to_choice`"),
    "doc_to_choice is a misspelt column": line({"doc_to_choice": "choices"}, "found no column 'choices'"),
    "doc_to_choice has a misspelt column": line({"doc_to_choice": ["choosen", "rejected"]}, "no column 'choosen'"),
    "doc_to_choice is an empty list": line({"doc_to_choice": []}, "doc_to_choice"),
    "doc_to_choice has one column": line({"doc_to_choice": ["chosen"]}, "found 1 preferred and 0 other responses"),
    "doc_to_choice has one column twice": scored({"doc_to_choice": ["chosen", "chosen"]}, "is the same as another"),
    "doc_to_choice has a number": line({"doc_to_choice": ["chosen", 5]}, "found doc_to_choice: ['chosen', 5]"),
    "doc_to_choice has null": line({"doc_to_choice": ["chosen", None]}, "found doc_to_choice: ['chosen', None]"),
    "doc_to_choice has a column of numbers": line({"doc_to_choice": ["chosen", "id"]}, "found 7, expected a string"),
    "doc_to_choice has a list": line({"doc_to_choice": ["chosen", ["rejected"]]}, "'rejected'"),
    "doc_to_choice is a list as text": line({"doc_to_choice": "['chosen', 'rejected']"}, "found no column"),
    "doc_to_choice is a mapping": line({"doc_to_choice": {"a": "chosen"}}, "found doc_to_choice: {'a': 'chosen'}"),
    "doc_to_choice is Jinja of a list": scored({"doc_to_choice": "{{ [chosen, rejected] }}"}),
    "doc_to_choice is Jinja of text": line({"doc_to_choice": "{{ chosen + 'x' }}"}, "found 'long answerx'"),
    "doc_to_choice is Jinja of a number": line({"doc_to_choice": "{{ id * 2 }}"}, "found int for `doc_to_choice`"),
    "doc_to_choice is a function that fails": line({"doc_to_choice": broken}, "RuntimeError: first line second"),
    "doc_to_choice is a function without a result": line({"doc_to_choice": nothing}, "found NoneType"),
}

_TARGET = {
    "doc_to_target is 2 of 2": line(
        {"doc_to_target": 2}, "found [2] for `doc_to_target`, expected indices from 0 to 1"
    ),
    "doc_to_target is -1": line({"doc_to_target": -1}, "found [-1] for `doc_to_target`"),
    "doc_to_target is half": line({"doc_to_target": 0.5}, "found doc_to_target: 0.5"),
    "doc_to_target is true": line({"doc_to_target": True}, "found doc_to_target: True"),
    "doc_to_target is 1 as text": scored({"doc_to_target": "1"}),
    "doc_to_target is a word": line({"doc_to_target": "one"}, "found no column 'one'"),
    "doc_to_target is empty": line({"doc_to_target": ""}, "found no column ''"),
    "doc_to_target is a letter's column": line({"doc_to_target": "kind"}, "found ['a'] for `doc_to_target`"),
    "doc_to_target is all responses": line({"doc_to_target": [0, 1]}, "found 2 preferred and 0 other responses"),
    "doc_to_target is no response": line({"doc_to_target": []}, "found doc_to_target: []"),
    "doc_to_target has null": line({"doc_to_target": [None]}, "found doc_to_target: [None]"),
    "doc_to_target is an empty mapping": line({"doc_to_target": {}}, "found {} for `doc_to_target`"),
    "doc_to_target has no labels": line({"doc_to_target": {"kind": "a"}}, "found doc_to_target: {'kind': 'a'}"),
    "doc_to_target has a list of labels": line({"doc_to_target": {"kind": ["a", "b"]}}, "{'kind': ['a', 'b']}"),
    "doc_to_target has two columns": line({"doc_to_target": {"kind": {"a": 0}, "id": {7: 1}}}, "expected {column: "),
    "doc_to_target misses a label": line({"doc_to_target": {"kind": {"a": 0, "b": 1}}}, "found 'c' in column 'kind'"),
    "doc_to_target names no column": line({"doc_to_target": {"knd": {"a": 0}}}, "found no column 'knd'"),
    "doc_to_target has a label of 5": line({"doc_to_target": {"kind": {"a": 5, "b": 0, "c": 0}}}, "found [5]"),
    "doc_to_target has a label of null": line({"doc_to_target": {"kind": {"a": None, "b": 0, "c": 0}}}, "'a'"),
    "doc_to_target has numbers for labels of text": line(
        {"doc_to_target": {"kind": {1: 0, 2: 1}}}, "found 'a' in column 'kind', expected 1 or 2"
    ),
    "doc_to_target is a function that fails": line({"doc_to_target": broken}, "RuntimeError: first line second"),
    "doc_to_target is a function without a result": line({"doc_to_target": nothing}, "found [None]"),
}

_SCORES = {
    "doc_to_scores is one number": line({"doc_to_scores": "id"}, "found 7 for `doc_to_scores`, expected 2 numbers"),
    "doc_to_scores has one of two": line({"doc_to_scores": ["id"]}, "found [7] for `doc_to_scores`, expected 2"),
    "doc_to_scores are the same": line({"doc_to_scores": ["id", "id"]}, "found no rows in split 'train'"),
    "doc_to_scores are text": line({"doc_to_scores": ["kind", "kind"]}, "found ['a', 'a'] for `doc_to_scores`"),
    "doc_to_scores has null": line({"doc_to_scores": [None, 1]}, "found doc_to_scores: [None, 1]"),
    "doc_to_scores is endless": line({"doc_to_scores": ["{{ 1e400 }}", 1]}, "expected finite numbers"),
    "doc_to_scores is a mapping": line({"doc_to_scores": {}}, "found doc_to_scores: {}"),
    "doc_to_scores is a number": line({"doc_to_scores": 5}, "found doc_to_scores: 5"),
    "doc_to_scores names no column": line({"doc_to_scores": "score"}, "found no column 'score'"),
    "doc_to_scores beside doc_to_target": line({"doc_to_scores": [1, 0], "doc_to_target": 0}, "expected one of them"),
    "doc_to_scores is a function that fails": line({"doc_to_scores": broken}, "RuntimeError: first line second"),
    "doc_to_scores are true and false": line({"doc_to_scores": [True, False]}, "found doc_to_scores: [True, False]"),
}

_ROWS = {
    "where is text": line({"where": "a"}, "found where: a, expected {column: value}"),
    "where is a list": line({"where": ["kind"]}, "found where: ['kind']"),
    "where is a number": line({"where": 5}, "found where: 5"),
    "where is empty": scored({"where": {}}),
    "where names no column": line({"where": {"colour": "red"}}, "found no column 'colour' for `where`"),
    "where has a number for a column": line({"where": {3: "a"}}, "3"),
    "where has null for a column": line({"where": {None: "a"}}, "None"),
    "where has a value that no row has": line({"where": {"kind": "z"}}, "found no row with kind in ['z']"),
    "where has null": line({"where": {"kind": None}}, "found no row with kind in [None]"),
    "where has no value": line({"where": {"kind": []}}, "found where: {'kind': []}"),
    "where has a mapping": line({"where": {"kind": {"a": 1}}}, "found where: {'kind': {'a': 1}}"),
    "where has text for a number": line({"where": {"id": "7"}}, "found no row with id in ['7']; there is 7, 8, 9"),
    "where has only a star": scored({"where": {"kind": "*"}}),
    "where names a field of text": line({"where": {"kind.x": "a"}}, "found no row with kind.x in ['a']"),
    "group_by is a number": line({"group_by": 3}, "found group_by: 3, expected the name of a column"),
    "group_by is a list": line({"group_by": ["kind"]}, "found group_by: ['kind']"),
    "group_by names no column": line({"group_by": "nothing"}, "found no column 'nothing' for `group_by`"),
    "group_by leaves lists of prompts": line({"group_by": "kind"}, "found ['One?'], expected a string"),
    "official_rows is a word": line({"official_rows": "three"}, "found official_rows: three"),
    "official_rows is a fraction": line({"official_rows": 2.5}, "found official_rows: 2.5"),
    "official_rows is a list": line({"official_rows": [3]}, "found official_rows: [3]"),
    "official_rows is another number": scored({"official_rows": 5}, "has 3 rows where the published benchmark has 5"),
    "official_rows is negative": scored({"official_rows": -1}, "has 3 rows where the published benchmark has -1"),
    "test_split is absent": line({"test_split": None}, "found no test_split, expected one of train"),
    "test_split is another": line({"test_split": "validation"}, "found no split 'validation', expected one of train"),
    "test_split is a slice": line({"test_split": "train[:2]"}, "found no split 'train[:2]'"),
    "test_split is a number": line({"test_split": 3}, "found test_split: 3, expected text"),
    "test_split is a list": line({"test_split": ["train"]}, "['train']"),
    "test_split is a mapping": line({"test_split": {"a": 1}}, "{'a': 1}"),
    "validation_split instead of test_split": scored({"test_split": None, "validation_split": "train"}),
    "training_split is another": scored({"training_split": "nothing"}),
    "process_docs is text": line({"process_docs": "x"}, "process_docs"),
    "process_docs fails": line({"process_docs": broken}, "first line second line"),
    "process_docs has no result": line({"process_docs": nothing}, "process_docs"),
    "process_docs works": scored({"process_docs": same_docs}),
}

_DATA = {
    "dataset_path is absent": line({"dataset_path": None}, "found no dataset_path"),
    "dataset_path is a number": line({"dataset_path": 5}, "found no dataset_path"),
    "dataset_path is empty": line({"dataset_path": "", "dataset_kwargs": None}, "dataset_path"),
    "dataset_path is a list": line({"dataset_path": ["json"]}, "found no dataset_path"),
    "dataset_path is no dataset": line({"dataset_path": "no/such-set", "dataset_kwargs": None}, "no/such-set"),
    "dataset_path is no folder": line({"dataset_path": "/no/such", "dataset_kwargs": None}, "/no/such"),
    "dataset_path is a misspelt format": line({"dataset_path": "jsno"}, "jsno"),
    "dataset_path is another format": line({"dataset_path": "parquet"}, "could not load the parquet files"),
    "dataset_path is a format alone": line(
        {"dataset_kwargs": None}, "found nothing in dataset_kwargs beside dataset_path json"
    ),
    "dataset_name is a number": line({"dataset_name": 5}, "found dataset_name: 5, expected text"),
    "dataset_kwargs is text": line({"dataset_kwargs": "rows.jsonl"}, "dataset_kwargs"),
    "dataset_kwargs is a number": line({"dataset_kwargs": 5}, "dataset_kwargs"),
    "dataset_kwargs is a list": line({"dataset_kwargs": ["rows.jsonl"]}, "dataset_kwargs"),
    "dataset_kwargs has an unknown key": line({"dataset_kwargs": {"data_fiels": "rows.jsonl"}}, "data_fiels"),
    "data_files is null": line({"dataset_kwargs": {"data_files": None}}, "data_files"),
    "data_files is a number": line({"dataset_kwargs": {"data_files": 5}}, "data_files"),
    "data_files is empty": line({"dataset_kwargs": {"data_files": ""}}, "could not load the json files ."),
    "data_files is an empty list": line({"dataset_kwargs": {"data_files": []}}, "found dataset_kwargs data_files: []"),
    "data_files is an empty mapping": line({"dataset_kwargs": {"data_files": {}}}, "json files {}"),
    "data_files has a split of null": line({"dataset_kwargs": {"data_files": {"train": None}}}, "train"),
    "data_files names no file": line({"dataset_kwargs": {"data_files": "absent.jsonl"}}, "absent.jsonl"),
    "data_files matches nothing": line({"dataset_kwargs": {"data_files": "*.nothing"}}, "*.nothing"),
    "data_files is a folder": line({"dataset_kwargs": {"data_files": "."}}, "could not load the json files ."),
    "data_files is an address": line(
        {"dataset_kwargs": {"data_files": "http://x.invalid/a.jsonl"}}, "put it into DIR/a.jsonl"
    ),
    "streaming": line(
        {"dataset_kwargs": {"data_files": "rows.jsonl", "streaming": True}},
        "found IterableDatasetDict",
    ),
    "a split in dataset_kwargs": line(
        {"dataset_kwargs": {"data_files": "rows.jsonl", "split": "train"}}, "found Dataset,"
    ),
    "num_proc is a word": line(
        {"dataset_kwargs": {"data_files": "rows.jsonl", "num_proc": "x"}}, "check the dataset keys"
    ),
    "trust_remote_code": scored({"dataset_kwargs": {"data_files": "rows.jsonl", "trust_remote_code": True}}),
    "custom_dataset fails": line({"custom_dataset": broken}, "first line second line"),
    "custom_dataset has no result": line({"custom_dataset": nothing}, "custom_dataset"),
    "custom_dataset is text": line({"custom_dataset": "x"}, "found custom_dataset: x, expected a function"),
}

_OTHERS = {
    "output_type of the host": line({"output_type": "multiple_choice"}, "found output_type 'multiple_choice'"),
    "output_type is a number": line({"output_type": 5}, "found output_type 5"),
    "num_fewshot is 2": line({"num_fewshot": 2}, "found num_fewshot 2, expected 0"),
    "num_fewshot is -1": line({"num_fewshot": -1}, "found num_fewshot -1"),
    "num_fewshot is a list": line({"num_fewshot": [1]}, "found num_fewshot [1]"),
    "num_fewshot is empty": scored({"num_fewshot": ""}),
    "score is unknown": line({"score": "best"}, "found score: best, expected one of"),
    "score is a number": line({"score": 5}, "found score: 5"),
    "score is a list": line({"score": ["ties"]}, "found score: ['ties']"),
    "score of rows with other ids": line({"score": "ties"}, "found id 7, expected ref:N or tied:N"),
    "score of a benchmark's sections": line({"score": "sections"}, "score"),
    "a misspelt key": line({"wher": {"kind": "a"}}, "found wher (did you mean where?)"),
    "an unknown key": line({"xyzzy": 1}, "found xyzzy, expected lm-eval's task keys"),
    "a key that is a number": line({5: 1}, "found 5, expected lm-eval's task keys"),
    "a key that is true": line({True: 1}, "True"),
    "a weight": line({"weight": 3}, "found weight (did you mean weight?)"),
    "gen_prefix": line({"gen_prefix": "x"}, "found gen_prefix, which PreferenceTask does not use"),
    "generation_kwargs": line({"generation_kwargs": {}}, "found generation_kwargs, which"),
    "repeats": line({"repeats": 2}, "found repeats, which"),
    "target_delimiter": line({"target_delimiter": " "}, "found target_delimiter, which"),
    "fewshot_split": line({"fewshot_split": "train"}, "found fewshot_split, which"),
    "use_prompt": line({"use_prompt": "x"}, "found use_prompt"),
    "doc_to_image": line({"doc_to_image": "x"}, "found doc_to_image, which"),
    "metadata is text": line({"metadata": "x"}, "found metadata: x, expected a mapping"),
    "metadata is a number": line({"metadata": 5}, "found metadata: 5, expected a mapping"),
    "data_root is a number": line({"metadata": {"data_root": 5}}, "data_root"),
    "description is a number": line({"description": 5}, "description"),
    "description is a mapping": line({"description": {"a": 1}}, "description"),
    "description names no column": line({"description": "{{nothing}}"}, "'nothing' is undefined"),
    "description ends within Jinja": line({"description": "{{"}, "TemplateSyntaxError"),
    "process_results is text": line({"process_results": "x"}, "found process_results: x, expected a function"),
    "process_results fails": line({"process_results": broken}, "first line second line"),
    "task is a number": scored({"task": 5}),
    "task is absent": scored({"task": None}),
    "class is a type of Python's": host({"class": str}, "lm_eval"),
    "class is text": host({"class": "PreferenceTask"}, "lm_eval"),
    "should_decontaminate alone": scored({"should_decontaminate": True}),
    "tag is a number": scored({"tag": 5}),
}

AREA = Area("keys of a task", {**_TEXT, **_CHOICE, **_TARGET, **_SCORES, **_ROWS, **_DATA, **_OTHERS}, attempt)

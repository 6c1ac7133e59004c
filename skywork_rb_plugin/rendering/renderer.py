"""Conversations -> token ids: the tokenizer's chat template, one BOS, and a cut on the left where it must be."""

import datetime
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import transformers

from skywork_rb_plugin.conversations import Message
from skywork_rb_plugin.errors import UserError

# put before a template, this macro hides transformers' clock from it; `+` keeps a newline that follows
_STOPPED_CLOCK = "{%- macro strftime_now(format) -%}1970{%- endmacro +%}"
_HELLO = ({"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"})


class TokenIds(tuple):
    """Token ids of a conversation.

    Attributes:
        marks: indices of tokens that a renderer found in the text, such as ends of steps, for the head that reads them.
        types: of each token which text it is of, where several texts were tokenized together (`token_type_ids`), or empty.
    """

    marks: tuple[int, ...]
    types: tuple[int, ...]

    def __new__(cls, ids: Iterable[int], marks: Iterable[int] = (), types: Iterable[int] = ()) -> "TokenIds":
        """Token ids with marks and types."""
        found = super().__new__(cls, ids)
        found.marks, found.types = tuple(marks), tuple(types)
        return found


class Renderer:
    """Renders and tokenizes conversations as the reference implementation does.

    The template's text is tokenized once with the special tokens that the tokenizer adds by itself; where template
    and tokenizer both put a BOS, one goes (allenai/reward-bench, rewardbench/models/pipeline.py masks it).

    Args:
        tokenizer: the model's tokenizer.
        chat_template: a file with a Jinja template, the name of one of the tokenizer's templates, or None for its own.
        template_args: further arguments of the template, such as `date_string`.
        max_length: tokens; longer conversations are cut from the left, after the BOS (an encoder's CLS).
        name: the model's name, for errors.

    Raises:
        UserError: there is no template, or it refuses a plain conversation.
    """

    # whether a conversation begins with one BOS, also where template and tokenizer both put one
    one_bos = True
    # what to do about a template that refuses a conversation
    remedy = "give another chat_template=FILE in --model_args"
    # what `cut` does, for the log
    where_cut = "from the left"

    def __init__(
        self,
        tokenizer: transformers.PreTrainedTokenizerBase,
        chat_template: str | None,
        template_args: Mapping,
        max_length: int,
        name: str,
    ) -> None:
        self.tokenizer, self.max_length, self.name = tokenizer, max_length, name
        self.template = find_template(tokenizer, chat_template, name)
        self.template_args = dict(template_args)
        # what is known once the model is loaded: token ids that its head wants at the end, and how many ids it knows
        self.append: tuple[int, ...] = ()
        self.vocabulary: int | None = None
        self.refused: frozenset[int] = frozenset()  # ids of tokens that only one of two models knows
        self.template_date: str | None = None  # the date that the template put into every prompt, if it reads the clock
        self._reads_clock = self.render(_HELLO) != self.render(_HELLO, _STOPPED_CLOCK + self.template)
        self._note_date()

    @property
    def template_sha256(self) -> str:
        """Hash of the template's text."""
        return hashlib.sha256(self.template.encode()).hexdigest()

    def render(self, messages: Sequence[Message], template: str | None = None, **options) -> str:
        """The conversation as text, by another template if one is given, with further arguments of it.

        Raises:
            UserError: the template refuses it, as Gemma-2's refuses system messages.
        """
        try:
            return self.tokenizer.apply_chat_template(
                list(messages),
                chat_template=template or self.template,
                tokenize=False,
                **{**options, **self.template_args},
            )
        except Exception as error:
            # a template may raise anything; its syntax is checked at the first rendering
            roles = ", ".join(message["role"] for message in messages)
            has_system = "leave out --system_instruction, or " if "system" in roles else ""
            raise UserError(
                f"the chat template of {self.name} refuses a conversation with the roles {roles}: "
                f"{' '.join(str(error).split())}; {has_system}{self.remedy}"
            ) from error

    def render_all(self, conversations: Iterable[Sequence[Message]]) -> list[str]:
        """Each conversation as text; where the template reads the clock, all on the same day."""
        self._note_date()
        return [self.render(messages) for messages in conversations]

    def encode(self, texts: Sequence[str]) -> list[Sequence[int]]:
        """Token ids of rendered conversations, whatever their length."""
        if not texts:
            return []
        bos, encoded = self.tokenizer.bos_token_id, self._tokenize(texts)
        doubled = [bos, bos] if self.one_bos and bos is not None else None
        return [self._ended(ids[1:] if ids[:2] == doubled else ids) for ids in encoded]

    def _tokenize(self, texts: Sequence[str], **options) -> list[list[int]]:
        """What the tokenizer makes of texts.

        Raises:
            UserError: one is no Unicode text.
        """
        try:
            return self.tokenize(texts, **options)
        except (TypeError, UnicodeEncodeError) as error:
            bad = next((text for text in texts if not _is_unicode(text)), None)
            if bad is None:
                raise
            raise UserError(
                f"found half a character (a lone surrogate) in {bad[:200]!a}, expected Unicode text"
            ) from error

    def tokenize(self, texts: Sequence[str], **options) -> list[list[int]]:
        """What the tokenizer makes of rendered conversations, with the special tokens that it adds by itself."""
        return self.tokenizer(list(texts), verbose=False, **options)["input_ids"]

    def _ended(self, ids: list[int]) -> list[int]:
        end = list(self.append)
        return ids if not end or not ids or ids[len(ids) - len(end) :] == end else ids + end

    def _note_date(self) -> None:
        if self._reads_clock:
            self.template_date = datetime.date.today().isoformat()

    def cut(self, ids: Sequence[int]) -> Sequence[int]:
        """At most `max_length` tokens: the BOS or CLS, then the conversation's end; marks of what is cut are gone."""
        lost = len(ids) - self.max_length
        if lost <= 0:
            return ids
        start = self.kept(ids)
        marks = (mark - lost for mark in getattr(ids, "marks", ()))
        types = getattr(ids, "types", ())
        return TokenIds(
            [*ids[:start], *ids[lost + start :]],
            (mark for mark in marks if mark >= start),
            [*types[:start], *types[lost + start :]],
        )

    def kept(self, ids: Sequence[int]) -> int:
        """How many tokens at the beginning a cut leaves: a BOS or CLS."""
        return int(ids[0] in [getattr(self.tokenizer, name, None) for name in ("bos_token_id", "cls_token_id")])


class AsTokenized(Renderer):
    """The template's text as the tokenizer takes it, with a second BOS where both put one.

    For models whose cards and reference do so: GRM (allenai/reward-bench, rewardbench/models/grm.py, GRMPipeline) and
    Athene (the pipeline of its card).
    """

    one_bos = False


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def find_template(tokenizer: transformers.PreTrainedTokenizerBase, wanted: str | None, name: str) -> str:
    """The text of the chat template to use.

    Raises:
        UserError: there is none; the line names the three ways to supply one.
    """
    own = tokenizer.chat_template
    templates = own if isinstance(own, dict) else {"default": own} if own else {}
    if wanted is None:
        if "default" in templates:
            return templates["default"]
        found = f"found only templates named {', '.join(templates)}" if templates else "found no chat template"
        raise UserError(
            f"{found} in the tokenizer of {name}; supply one of three ways: chat_template=FILE.jinja in --model_args"
            f"{' (or chat_template=NAME)' if templates else ''}, tokenizer=MODEL_THAT_HAS_ONE in --model_args, or a file "
            "chat_template.jinja in the model's folder"
        )
    if "{%" in wanted or "{{" in wanted:
        return wanted
    if Path(wanted).is_file():
        try:
            return Path(wanted).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"can't read chat_template {wanted!r} ({error}), expected a Jinja file in UTF-8") from error
    if wanted in templates:
        return templates[wanted]
    known = f" or one of {', '.join(templates)}" if isinstance(own, dict) else ""
    raise UserError(f"found no file {wanted!r} for chat_template, expected a Jinja file{known}")

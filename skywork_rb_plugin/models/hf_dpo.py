"""hf-dpo: a language model as a reward model, by the likelihood of responses under it and under its reference."""

import functools
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Literal

import torch
import transformers
from accelerate.utils.memory import clear_device_cache

from skywork_rb_plugin.heads.checkpoint import Checkpoint
from skywork_rb_plugin.heads.family import Loaded
from skywork_rb_plugin.heads.loader import FamilyLoader
from skywork_rb_plugin.heads.policy import Policy, check_logits
from skywork_rb_plugin.host import stated_length, warning_once
from skywork_rb_plugin.models import checkpoints, reference
from skywork_rb_plugin.models.hf_backend import HFBackend, modes_kept
from skywork_rb_plugin.models.options import check_length, plain
from skywork_rb_plugin.models.score_cache import PolicyScores
from skywork_rb_plugin.rendering.prompted import PromptedRenderer
from skywork_rb_plugin.scoring.against import AgainstReference
from skywork_rb_plugin.scoring.batches import Kept, Scorer
from skywork_rb_plugin.scoring.choice import Scoring, choose_scorer
from skywork_rb_plugin.scoring.padded import PaddedScorer

logger = logging.getLogger(f"lm_eval.{__name__}")

# options that say which files of the policy are meant, or what it is made of
_NOT_OF_REFERENCE = (
    "revision",
    "subfolder",
    "gguf_file",
    "variant",
    "peft",
    "delta",
    "tokenizer",
    "max_length",
    "dtype",
)


class HFDPO(HFBackend):
    """`--model hf-dpo`: scores `(conversation, response)` by the response's log-probability under a policy, as
    allenai/reward-bench scores models trained by DPO (rewardbench/dpo.py).

    Takes every loading option of the host's `hf`, which go for policy and reference alike, and:

    Args:
        pretrained: the policy: hub name, folder or loaded model; with `peft=…` the model that the adapter changes.
        ref_model: the reference, from which the policy was trained, likewise; its log-probability is subtracted. Default:
            none, and the reward is the policy's own.
        ref_revision: of the reference; default: main.
        ref_free_type: without a reference, what the log-probabilities of the response's tokens become: their `avg`, their
            `sum`, or minus their L2 `norm`; default: `avg`, as in reward-bench's run_dpo.py.
        beta: factor of the reward, which changes margins and losses, never a verdict.
        keep_both: whether policy and reference stay in memory together; else each is loaded when it has its turn. `auto`
            (default) keeps both where another model of the policy's size fits.
        chat_template: a Jinja file, or the name of one of the tokenizer's templates; default: the tokenizer's own.
        scoring: `tree` computes tokens that conversations share once; `padded` takes batches of `batch_size`; `auto`
            means `tree` where the model can.
        tokens_per_pack: budget of `tree`, or `auto` to go by the device and its free memory.
        compile: whether `tree` compiles the layers of the model.
        device: as of `--device`; default: CUDA where there is one, else the CPU.

    Raises:
        UserError: a model is no language model, has no chat template, or can't run as asked; or the two have different
            tokens.
    """

    of_one_response = False  # a sum over its tokens
    # told apart from other kinds by the host
    AUTO_MODEL_CLASS = transformers.AutoModelForCausalLM

    def __init__(
        self,
        pretrained: str | os.PathLike | transformers.PreTrainedModel | None = None,
        ref_model: str | os.PathLike | transformers.PreTrainedModel | None = None,
        ref_revision: str | None = None,
        ref_free_type: Literal["avg", "sum", "norm"] | None = None,
        beta: float = 1.0,
        keep_both: bool | Literal["auto"] = "auto",
        chat_template: str | None = None,
        scoring: Scoring = "auto",
        tokens_per_pack: int | Literal["auto"] = "auto",
        compile: bool = False,
        device: str | torch.device | None = None,
        **kwargs,
    ) -> None:
        shared = {
            "chat_template": chat_template, "scoring": scoring, "tokens_per_pack": tokens_per_pack, "compile": compile,
            "device": device, **kwargs,
        }  # fmt: skip
        self.check_options(
            {
                "pretrained": pretrained, "ref_model": ref_model, "ref_revision": ref_revision,
                "ref_free_type": ref_free_type, "beta": beta, "keep_both": keep_both, **shared,
            }
        )  # fmt: skip
        self._ref_model = os.fspath(ref_model) if isinstance(ref_model, os.PathLike) else ref_model
        self._ref_revision, self._ref_length, self._ref_vocabulary = ref_revision or "main", 0, 0
        self._not_reference_s: frozenset[int] = frozenset()  # ids of tokens that only the policy has
        self._beta, self._shared = float(beta), shared
        self._reduction = "sum" if ref_model is not None else ref_free_type or "avg"
        self._scoring, self._reference, self._own_scorer = scoring, None, None
        self._given = [model for model in (pretrained, ref_model) if isinstance(model, torch.nn.Module)]
        # the host puts a model that came loaded into evaluation mode
        with ExitStack() as kept:
            for model in self._given:
                kept.enter_context(modes_kept(model))
            self.load(pretrained, device, kwargs)
            if not isinstance(pretrained, (str, os.PathLike)):
                self.checkpoint = Checkpoint(self._name, self.model.config, model=self.model)
            length = min(self.max_length, self._ref_length or self.max_length)
            renderer = PromptedRenderer(self.tokenizer, chat_template, self.chat_template_args, length, self._name)
            renderer.adds_bos = self.add_bos_token is not False
            renderer.refused = self._not_reference_s
            self.render_with(renderer, chat_template)
            renderer.vocabulary = min(renderer.vocabulary, self._ref_vocabulary or renderer.vocabulary)
            self._warn_of_two_beginnings()
            self._keeps_both = self._ref_model is not None and self._decide(keep_both)
            if self._keeps_both:
                self._reference = self._load_reference()
            self.scorer = self._own_scorer = self._make_scorer()
        if self._ref_model is not None:
            self.takes_halves = True
            self.scorer = AgainstReference(
                self._policy_s_turn, self._reference_s_turn, self._beta, self._own_scorer.settings()
            )

    @classmethod
    def check_options(cls, options: Mapping[str, object]) -> None:
        """Refuse misspelt options, and values that can't be meant, before anything is loaded.

        Raises:
            UserError: says what was found and what was expected.
        """
        super().check_options(options)
        reference.check_options(options)

    # loading

    def loader(self, adapter: str | None, revision: str | None) -> FamilyLoader:
        """Of language models."""
        self.checkpoint = Checkpoint(
            self._name, self.config, self._name, adapter=adapter, files={**self._files, "revision": revision}
        )
        self._loader = FamilyLoader(Policy(), self.checkpoint)
        return self._loader

    def _create_tokenizer(self, *args, **kwargs) -> None:
        """The host's, and a look at the reference before any weights are loaded."""
        super()._create_tokenizer(*args, **kwargs)
        if self._ref_model is not None:
            self._look_at_reference({key: kwargs.get(key) for key in ("trust_remote_code",)})

    def _look_at_reference(self, options: Mapping[str, object]) -> None:
        name, path = reference.name_of(self._ref_model), self._ref_model
        if isinstance(path, str):
            own, _ = self._config, self._get_config(path, revision=self._ref_revision, **options)
            config, self._config = self._config, own
        else:
            config, path = self._ref_model.config, self._ref_model.name_or_path
        Policy().loading(Checkpoint(name, config))
        self._ref_vocabulary = config.get_text_config().vocab_size
        self._ref_length = self._shared.get("max_position_embeddings") or stated_length(config)
        check_length(self._wanted_length, self._ref_length, name, config)
        self._ref_state = checkpoints.revision_of(
            self._ref_model, getattr(config, "_commit_hash", None) or self._ref_revision
        )
        self._ref_config = checkpoints.config_hash(config)
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(path, revision=self._ref_revision, **options)
        except Exception as error:
            # transformers raises all kinds
            logger.warning(
                "The reference %s has no tokenizer that can be read, and is taken to have the policy's (%s: %s).",
                name, type(error).__name__, " ".join(str(error).split())[:200],
            )  # fmt: skip
        else:
            self._not_reference_s = reference.check_vocabularies(self.tokenizer, tokenizer, self._name, name)

    def _create_model(self, pretrained: str, **kwargs) -> None:
        self._create_again = functools.partial(self._create_model, pretrained, **kwargs)
        super()._create_model(pretrained, **kwargs)

    def _decide(self, wanted: bool | str) -> bool:
        """Whether both models stay in memory: a caller's own does in any case."""
        if self._given or isinstance(wanted, bool):
            return bool(self._given or wanted)
        fits = reference.fits_beside(self.model)
        logger.info(
            "Policy and reference %s.", "stay in memory" if fits else "take turns in memory (keep_both=True keeps both)"
        )
        return fits

    def _load_reference(self) -> "HFDPO":
        options = {key: value for key, value in self._shared.items() if key not in _NOT_OF_REFERENCE}
        return HFDPO(
            self._ref_model, ref_free_type="sum", revision=self._ref_revision, tokenizer=self.tokenizer,
            dtype=self.model.dtype, max_length=self.renderer.max_length, **options,
        )  # fmt: skip

    def _make_scorer(self) -> Scorer:
        """How the policy's own rewards are computed.

        Raises:
            UserError: it can't be done as asked.
        """
        with_reference = self._ref_model is not None
        family = Policy(self._reduction, 1.0 if with_reference else self._beta)
        head = family.head(Loaded(self.checkpoint, self.model, self.tokenizer))
        self._head_name = head.name + (", minus the reference's" if with_reference else "")
        if hasattr(self, "_loader"):
            self._loader.say_unread()
        padded = PaddedScorer(
            self.model, head, None, self.device, self.mixed_precision_dtype,
            self.batch_size if self.batch_size == "auto" else int(self.batch_size), self.batch_schedule,
            self.max_batch_size,
        )  # fmt: skip
        self.batch_sizes = padded.batch_sizes  # for the results file
        scorer = choose_scorer(
            padded, self._probe, self._scoring, self._requested_attention, plain(self._shared["tokens_per_pack"]),
            self._shared["compile"], self.renderer.max_length,
        )  # fmt: skip
        [ids] = self._probe.encode([0])
        check_logits(self.model, head, padded.states(ids), ids, self.mixed_precision_dtype)
        return scorer

    def _policy_s_turn(self) -> Scorer:
        if self._own_scorer is None:
            self._reference = None
            clear_device_cache(garbage_collection=True)
            self._create_again()
            self._model.eval()
            self._own_scorer = self._make_scorer()
        return self._own_scorer

    def _reference_s_turn(self) -> Scorer:
        if self._reference is None:
            self._own_scorer, self._model = None, reference.Freed(self.model)
            clear_device_cache(garbage_collection=True)
            self._reference = self._load_reference()
        return self._reference.scorer

    def _warn_of_two_beginnings(self) -> None:
        ids = self._probe.encode([0])[0]
        if ids[0] == ids[1] == self.tokenizer.bos_token_id:
            # once: the reference has the same
            warning_once(
                logger,
                f"The chat template of {self.tokenizer.name_or_path} begins with {self.tokenizer.bos_token}, and "
                "allenai/reward-bench puts another before it, which is done here too; add_bos_token=False leaves it at one.",
            )

    # what it says of itself

    def positions(self, ids: Sequence[int]) -> list[int]:
        """The token before each of the response's."""
        return self._policy_s_turn().head.reads(ids)

    @contextmanager
    def scoring_mode(self) -> Iterator[None]:
        """A caller's own models may be in training mode; others, of which nothing here may keep hold, never are."""
        with ExitStack() as kept:
            for model in self._given:
                kept.enter_context(modes_kept(model))
                model.eval()
            yield

    def set_cache_hook(self, cache_hook) -> None:
        """Take the host's cache, if this model filled it; the policy's scores go there too, while the reference's lack.

        Raises:
            UserError: another model filled it, or this one under other settings.
        """
        super().set_cache_hook(cache_hook)
        self.keep_halves(PolicyScores(self._database) if self._database is not None else None)

    def keep_halves(self, kept: Kept | None) -> None:
        """Keep the policy's scores there, or nowhere."""
        if isinstance(self.scorer, AgainstReference):
            self.scorer.kept = kept

    def head_name(self) -> str:
        """Of which log-probabilities, and what becomes of them."""
        return self._head_name

    def identity(self) -> dict[str, str]:
        """With the reference's."""
        other = {}
        if self._ref_model is not None:
            name = reference.name_of(self._ref_model)
            other["reference"] = f"{name}, {self._ref_state}, config {self._ref_config}"
        return {**super().identity(), **other, "beta": str(self._beta)}

    def reward_info(self) -> dict[str, object]:
        """Likewise."""
        with_reference = self._ref_model is not None
        return {
            **super().reward_info(),
            "reference": reference.name_of(self._ref_model) if with_reference else None,
            "reference_checkpoint": self._ref_state if with_reference else None,
            "ref_free_type": None if with_reference else self._reduction,
            "beta": self._beta,
        }

"""The options of api-reward, checked before its server is asked anything."""

import difflib
import numbers
from collections.abc import Collection, Mapping
from importlib.util import find_spec

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.models import processes
from skywork_rb_plugin.models.options import check_batch_size, check_rendering, is_count
from skywork_rb_plugin.servers.access import KEY, root_of
from skywork_rb_plugin.servers.finding import check_protocol

# flags that the harness hands to every model, and that a server has no use for
_UNUSED = ("device", "max_batch_size")
_SECRETS = ("api_key", "key", "token", "auth_token", "header", "password")
_NEEDED = ("aiohttp", "tenacity")


def check_api_options(options: Mapping[str, object], known: Collection[str]) -> None:
    """Refuse what can't be meant; an option that is not there has its default.

    Args:
        options: names and values.
        known: the names that there are.

    Raises:
        UserError: says what was found and what was expected.
    """
    if absent := [name for name in _NEEDED if find_spec(name) is None]:
        raise UserError(
            f"found no package {' and no '.join(absent)}, which --model api-reward needs; expected "
            "`pip install 'skywork-rb-plugin[api]'`"
        )
    for name in options.keys() - set(known) - set(_UNUSED):
        if name in _SECRETS:
            raise UserError(
                f"found {name}=… in --model_args, which the harness writes into its log and the results file; expected the key in "
                f"the environment variable {KEY}"
            )
        near = difflib.get_close_matches(name, known, 1, cutoff=0.6)
        hint = f", did you mean {near[0]}?" if near else f", expected options of api-reward: {', '.join(sorted(known))}"
        raise UserError(f"found {name} in --model_args{hint}")
    given = {name: value for name, value in options.items() if value is not None}
    root_of(given.get("base_url"))
    check_protocol(given.get("protocol"))
    check_rendering(given)
    for name in ("pretrained", "tokenizer", "model", "revision", "ca_cert_path"):
        if not isinstance(given.get(name, ""), str):
            hint = "; a model in memory is for hf-reward" if name == "pretrained" else ""
            raise UserError(f"found {name}={given[name]!r}, expected a name or a path, as text{hint}")
    for name in ("verify_certificate", "trust_remote_code"):
        if type(given.get(name, True)) is not bool:
            raise UserError(f"found {name}={given[name]}, expected True or False")
    for name in ("timeout", "connect_timeout"):
        value = given.get(name, 1)
        if not isinstance(value, numbers.Real) or isinstance(value, bool) or not 0 < value < float("inf"):
            raise UserError(f"found {name}={value}, expected seconds above 0")
    if not is_count(given.get("num_concurrent", 1)):
        raise UserError(f"found num_concurrent={given['num_concurrent']}, expected a whole number above 0")
    for name in ("max_retries", "label"):
        value = given.get(name, 0)
        if not is_count(value) and (value != 0 or isinstance(value, bool)):
            raise UserError(f"found {name}={value}, expected a whole number from 0 on")
    check_batch_size(given.get("batch_size", 1), 1)
    if processes.started() > 1:
        raise UserError(
            f"found {processes.started()} processes for --model api-reward, expected one, with as many requests under way as "
            "num_concurrent=… in --model_args says"
        )

"""Options of api-reward; all end before a server is asked, since none is there."""

from bad_inputs.case import Area, Place, line
from skywork_rb_plugin.models.api_reward import APIReward

_ADDRESS = "expected the address of a reward server"
_SECRET = "found a user name, a password, a query or a fragment in base_url"


def attempt(options, place: Place):
    """Make the model of a command line; the port of the address is closed."""
    APIReward.create_from_arg_obj({"base_url": "http://127.0.0.1:9", "max_retries": 0, **options})


def _each(option: str, *values, says: str):
    """One value after the other for an option, all of them refused."""
    return {f"{option} {value!r}": line({option: value}, f"found {option}={says}".format(value)) for value in values}


_CASES = {
    "base_url null": line({"base_url": None}, f"found no base_url=… in --model_args, {_ADDRESS}"),
    "base_url empty": line({"base_url": ""}, _ADDRESS),
    **_each("base_url", 5, ["http://x"], says="{!r} in --model_args, " + _ADDRESS),
    **_each(
        "base_url", "localhost", "localhost:8000", "ftp://x", "http://", "http:/x", "/tmp/x", says="{}, " + _ADDRESS
    ),
    "base_url with a port that is none": line({"base_url": "http://x:port"}, "that is no address (Port could not"),
    "base_url with half of an IPv6 address": line({"base_url": "http://[::1"}, "that is no address (Invalid IPv6"),
    "base_url with a password": line({"base_url": "http://user:secret@x"}, _SECRET),
    "base_url with a key as user": line({"base_url": "http://secret@x"}, _SECRET),
    "base_url with a key in its query": line({"base_url": "http://x/?key=secret"}, _SECRET),
    "base_url with a fragment": line({"base_url": "http://x/#secret"}, _SECRET),
    "base_url where nothing is": line({}, "http://127.0.0.1:9/v1/models: ClientConnectorError"),
    **{f"{name}=": line({name: "secret"}, f"found {name}=… in --model_args, which the harness writes into its log")
       for name in ("api_key", "key", "token", "auth_token", "header", "password")},
    **_each("protocol", "vllm", "classify", "", 5, ["sglang"], says="{} in --model_args, expected one of vllm-classify"),
    **_each("model", 5, ["x"], says="{!r}, expected a name or a path"),
    **_each("pretrained", 5, says="{!r}, expected a name or a path"),
    **_each("tokenizer", 5, ["x"], says="{!r}, expected a name or a path"),
    **_each("ca_cert_path", 5, True, says="{!r}, expected a name or a path"),
    "ca_cert_path absent": line({"ca_cert_path": "absent"}, "can't read ca_cert_path=absent"),
    **_each("verify_certificate", "no", 0, says="{}, expected True or False"),
    **_each("trust_remote_code", "yes", says="{}, expected True or False"),
    **_each("timeout", 0, -1, "5s", True, float("inf"), float("nan"), says="{}, expected seconds above 0"),
    **_each("connect_timeout", 0, "soon", says="{}, expected seconds above 0"),
    **_each("num_concurrent", 0, -1, "many", 1.5, True, says="{}, expected a whole number above 0"),
    **_each("max_retries", -1, "many", 1.5, True, says="{}, expected a whole number from 0 on"),
    **_each("label", -1, "LABEL_0", 0.5, False, says="{}, expected a whole number from 0 on"),
    **_each("max_length", 0, "2k", True, says="{!r}, expected a whole number of tokens above 0"),
    **_each("chat_template", 5, says="{!r}, expected a Jinja file"),
    **_each("chat_template_args", "x", says="{!r}, expected names and values"),
    "batch_size 0": line({"batch_size": 0}, "found --batch_size 0, expected"),
    "batch_size a word": line({"batch_size": "many"}, "found --batch_size many, expected"),
    "base_url misspelt": line({"baseurl": "http://x"}, "found baseurl in --model_args, did you mean base_url?"),
    "an option of hf-reward": line({"dtype": "float32"}, "found dtype in --model_args, expected options of api-reward: base_url"),
    "a loaded model": line({"pretrained": object()}, "a model in memory is for hf-reward"),
}  # fmt: skip

AREA = Area("options of api-reward", _CASES, attempt)

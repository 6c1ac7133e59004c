"""What `check` found as lines for a terminal."""

from collections.abc import Sequence

from skywork_rb_plugin.commands.check.findings import Findings


def lines_of(found: Findings, warnings: Sequence[str]) -> list[str]:
    """Facts, rewards, warnings, and the verdict."""
    facts = found.facts
    family, tokens, template, memory = (facts[name] for name in ("family", "tokens", "template", "memory"))
    bos = "the tokenizer has none" if tokens["bos"] is None else str(tokens["bos"])
    rows = {
        "model": facts["model"],
        "checkpoint": facts["checkpoint"],
        "family": f"{family['name']} ({family['origin']}), as in {family['source']}" if family else "-",
        "head": facts["head"],
        "dtype": f"{facts['dtype']}, {facts['parameters']:,} parameters",
        "device": facts["device"],
        "scoring": f"{facts['scoring']}, {facts['attention']} attention",
        "max length": f"{facts['max_length']} tokens",
        "memory": f"{_size(memory['weights'])} of weights"
        + (f", {_size(memory['peak'])} at most so far" if "peak" in memory else ""),
        "template": f"sha256 {template['sha256'][:16]}",
        "a conversation": repr(template["text"]),
        "first tokens": _tokens(tokens["first"]),
        "last tokens": _tokens(tokens["last"]),
        "BOS tokens": bos,
        "read at": ", ".join(
            f"token {read['position'] + 1} of {tokens['count']}: {_tokens([read['token']])}" for read in tokens["read"]
        ),
    }
    width = max(map(len, rows))
    lines = [f"{name:{width}}  {value}" for name, value in rows.items()]
    lines += ["", "rewards of three short conversations"]
    for name, rewards in facts["rewards"].items():
        off = facts["differences"].get(name)
        lines.append(
            f"  {name:8}"
            + "".join(f"{reward:13.6f}" for reward in rewards)
            + ("" if off is None else f"   off by {off:.1e}")
        )
    for known in facts.get("known rewards", []):
        lines.append(f"  known: {known['reward']:g} expected, {known['found']:g} found ({known['source']})")
    if other := facts.get("other known rewards"):
        lines.append(f"  {other}")
    lines += [f"warning: {line}" for line in warnings]
    lines += ["", *(f"wrong: {line}" for line in found.problems)] if found.problems else ["", "fine"]
    return lines


def _tokens(tokens: Sequence[Sequence]) -> str:
    return " ".join(f"{text!r} ({one})" for one, text in tokens)


def _size(count: int) -> str:
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"

"""Families of other packages: found by their entry points, before ours, and left out with one warning where broken."""

import importlib.metadata
import sys
import types
from types import SimpleNamespace

import pytest
import transformers

from skywork_rb_plugin import UserError
from skywork_rb_plugin.heads import plugins
from skywork_rb_plugin.heads.family import Family
from skywork_rb_plugin.heads.head import Head
from skywork_rb_plugin.heads.hookspecs import hookimpl


class Stranger(Family):
    """Reads what its name says."""

    name, models, source = "stranger", "models of a stranger", "a test"

    def answers(self, checkpoint):
        """To one architecture; another one breaks it."""
        return {"Stranger": True, "Broken": checkpoint.nothing if "Broken" in checkpoint.architectures else 0}.get(
            checkpoint.architectures[0], False
        )

    def head(self, loaded):
        """Never made here."""
        return Head(self.name, len, None)


class Nameless(Stranger):
    """Has no name."""

    name = None


@pytest.fixture
def installed(monkeypatch):
    """Have these modules be installed packages' entry points, {package: what its hook returns, or None for no hook}."""

    def install(**packages):
        points = []
        for package, families in packages.items():
            module = types.ModuleType(package)
            if families is not None:
                module.reward_families = hookimpl(lambda families=families: families())
            monkeypatch.setitem(sys.modules, package, module)
            point = importlib.metadata.EntryPoint(package, package, "skywork_rb_plugin")
            vars(point)["dist"] = SimpleNamespace(name=package, version="1.0")
            points.append(point)
        real = importlib.metadata.entry_points
        monkeypatch.setattr(
            importlib.metadata, "entry_points", lambda group: [*points, *real(group=group)] if points else []
        )
        plugins.registered.cache_clear()
        return plugins.registered()

    yield install
    plugins.registered.cache_clear()


def checkpoint(architecture, *names):
    """As far as a choice looks at one."""
    return SimpleNamespace(
        name="some-model", architectures=[architecture], architecture=architecture, names=names, in_words=", ".join(names),
        config=transformers.LlamaConfig(), adapter=None, has=lambda *wanted: set(wanted) <= set(names), setting=lambda key: None,
    )  # fmt: skip


def test_strangers_come_before_ours_and_say_where_they_are_from(installed):
    """In the order in which they are installed, the last one first, as pluggy calls them."""
    found = installed(one=lambda: [Stranger], two=lambda: [Stranger()])
    assert [one.origin for one in found[:3]] == ["two 1.0", "one 1.0", "built in"]
    assert plugins.find(checkpoint("Stranger")).origin == "two 1.0"
    assert plugins.find(checkpoint("X"), "classifier").origin == "built in"


def test_two_that_answer_are_named(installed, caplog):
    """The first is taken."""
    installed(one=lambda: [Stranger], two=lambda: [Stranger])
    plugins.find(checkpoint("Stranger", "score.weight"))
    line = "is read by the head stranger (two 1.0); stranger (one 1.0), classifier (built in) would too: head=NAME"
    assert line in caplog.text


@pytest.mark.parametrize(
    ("hook", "line"),
    [
        (lambda: 1 / 0, "is left out: ZeroDivisionError: division by zero"),
        (lambda: [object()], "is left out: TypeError: reward_families gave <object object at"),
        (lambda: [Nameless], "is left out: TypeError: Nameless has no text `name`"),
        (None, "is left out: it has no hook reward_families"),
        (lambda: None, "is left out: TypeError: 'NoneType' object is not iterable"),
    ],
)
def test_a_broken_plugin_is_one_warning(installed, caplog, hook, line):
    """The others work."""
    found = installed(broken=hook, sound=lambda: [Stranger])
    assert [one.origin for one in found[:2]] == ["sound 1.0", "built in"]
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 1
    assert f"The plugin broken 1.0 {line}" in warnings[0]


def test_a_plugin_that_cannot_be_imported_is_one_warning(installed, caplog, monkeypatch):
    """It names the module."""
    installed(gone=lambda: [])
    monkeypatch.setitem(sys.modules, "gone", None)
    plugins.registered.cache_clear()
    plugins.registered()
    assert [record.getMessage() for record in caplog.records] == [
        "The plugin gone 1.0 is left out (gone): ModuleNotFoundError: import of gone halted; None in sys.modules"
    ]


def test_a_head_that_fails_on_a_checkpoint_is_left_out(installed, caplog):
    """With a warning; the next one that answers is taken."""
    installed(one=lambda: [Stranger])
    assert plugins.find(checkpoint("Broken", "score.weight")).origin == "built in"
    assert "The plugin one 1.0 fails on some-model with its head stranger, which is left out: Attrib" in caplog.text


def test_no_head_and_a_misspelt_one_are_one_line_each():
    """With what was found, and what there is."""
    with pytest.raises(
        UserError, match=r"found no head that reads some-model \(Llama; tensors beside the layers: x\.y"
    ):
        plugins.find(checkpoint("Llama", "x.y"))
    with pytest.raises(
        UserError, match=r"found head=clasifier \(did you mean classifier\?\) in --model_args, expected"
    ):
        plugins.find(checkpoint("Llama"), "clasifier")


def test_a_package_with_two_entry_points_keeps_both(monkeypatch):
    """Each module once."""
    points = []
    for name in ("first", "second"):
        module = types.ModuleType(name)
        module.reward_families = hookimpl(lambda: [Stranger])
        monkeypatch.setitem(sys.modules, name, module)
        point = importlib.metadata.EntryPoint(name, name, "skywork_rb_plugin")
        vars(point)["dist"] = SimpleNamespace(name="both", version="2.0")
        points += [point, point]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: points)
    plugins.registered.cache_clear()
    assert [one.origin for one in plugins.registered() if one.origin != "built in"] == ["both 2.0", "both 2.0"]
    plugins.registered.cache_clear()

"""`report` in a browser: nothing leaves the page, texts are texts, it fits a phone, the keyboard and a dark screen."""

import os
import re
import shutil

import pytest
from conftest import preference_task
from reports import edit_samples, save_run
from scripted import length
from test_report_files import HOSTILE

from skywork_rb_plugin.commands.report import command
from skywork_rb_plugin.report.texts import shown

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (the extra `browser`)")
CHROMIUM = os.environ.get("SKYWORK_RB_CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="found no chromium; SKYWORK_RB_CHROMIUM may name one")


@pytest.fixture(scope="module")
def browser():
    """A headless browser."""
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory, task_manager):
    """A page about two models; the texts of the rows, both wrong on them, are hostile."""
    folder = tmp_path_factory.mktemp("runs")
    rows = [
        {"prompt": f"p{i}", "chosen": "a", "rejected": "b" * (i + 2), "subset": "chat"} for i in range(len(HOSTILE) + 1)
    ]
    for name in ("one", "a-model-with-quite-a-long-name-" * 3):
        save_run(folder, name, length, [preference_task(rows, folder)], task_manager)

    def hostile(sample):
        text = [*HOSTILE, "w" * 5000][sample["doc_id"]]
        for request in sample["arguments"].values():
            request.update(arg_0=text, arg_1=text)

    edit_samples(folder, hostile)
    command.main([str(folder), "--rows", "20", "-o", str(folder / "page.html")])
    return folder / "page.html"


@pytest.fixture
def opened(browser, report):
    """Open the page in a window; returns it, its messages and the addresses it asked for."""
    contexts = []

    def call(width=1200, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page, messages, asked = context.new_page(), [], []
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.on("dialog", lambda dialog: (messages.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(report.as_uri())
        return page, messages, asked

    yield call
    for context in contexts:
        context.close()


def test_nothing_runs_or_leaves(opened, report):
    """Only the page itself is asked for, no message, and each text is there as it was written."""
    page, messages, asked = opened()
    for summary in page.query_selector_all("details > summary"):
        if summary.is_visible():
            summary.click()
    texts = [element.inner_text() for element in page.query_selector_all(".text")]
    # a browser gives line ends and runs of blanks as they are: white-space is pre-wrap
    assert set(texts) == {shown(text[:3000]) for text in [*HOSTILE, "w" * 5000]}
    assert {url for url in asked if not url.startswith("data:")} == {report.as_uri()}
    assert not messages


def test_figures_are_told_in_words(opened):
    """Each has the role of an image, a name and a description for readers that do not see it."""
    page, _, _ = opened()
    figures = page.query_selector_all("svg")
    assert len(figures) >= 4
    for figure in figures:
        assert figure.get_attribute("role") == "img"
        name = figure.evaluate(
            "e => e.getAttribute('aria-labelledby').split(' ').map(i => document.getElementById(i).textContent)"
        )
        assert len(name) == 2
        assert all(name)
        assert re.search(r"\d", name[1])


@pytest.mark.parametrize("width", [390, 1200])
def test_it_fits(opened, width):
    """Nothing is wider than the window, also with everything open; tables scroll in their boxes."""
    page, _, _ = opened(width)
    page.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    beyond = "e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.scroll') && !e.closest('svg')"
    assert (
        page.evaluate(f"[...document.querySelectorAll('body *')].filter({beyond}).map(e => e.outerHTML.slice(0, 99))")
        == []
    )


def test_the_keyboard_opens_what_is_folded(opened):
    """The first Tab reaches the skip link; Enter on a summary opens it."""
    page, _, _ = opened()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    summary = page.query_selector(".reading > summary")
    summary.focus()
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
    page.keyboard.press("Enter")
    assert page.query_selector(".reading").evaluate("e => e.open")
    assert page.query_selector(".reading .text").is_visible()


def luminance(colour):
    """Relative luminance of `rgb(…)`, WCAG 2.2."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    """The ratio of WCAG 2.2."""
    high, low = sorted(map(luminance, (one, other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(opened, scheme):
    """Text 4.5 to 1, curves 3 to 1 (WCAG 2.2, 1.4.3 and 1.4.11), and the page is as dark as asked for."""
    page, _, _ = opened(scheme=scheme)
    style = "(e, of) => getComputedStyle(e)[of]"
    behind = page.query_selector("body").evaluate(style, "backgroundColor")
    assert (luminance(behind) < 0.1) == (scheme == "dark")
    for selector in (
        "p",
        "figcaption",
        "td",
        "thead th",
        "nav a",
        ".text",
        ".verdicts",
        ".good .label",
        ".bad .label",
        ".note",
    ):
        colour = page.query_selector(selector).evaluate(style, "color")
        assert contrast(colour, behind) >= 4.5, selector
    assert contrast(page.query_selector("svg text").evaluate(style, "fill"), behind) >= 4.5
    hues = "[...Array(8).keys()].map(i => { const e = document.body.appendChild(document.createElement('i')); e.style.color = `var(--hue-${i})`; return getComputedStyle(e).color })"
    for hue in page.evaluate(hues):
        assert contrast(hue, behind) >= 3

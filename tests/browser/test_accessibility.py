"""No page has what axe-core calls a serious violation, in either theme; those who want less motion get none.

axe-core comes with `npm ci` in tests/scripts, for these tests only.
"""

import pytest

from tests import sample_home
from tests.opened_pages import PAGES
from tests.sample_home import ROOT, settle

pytestmark = pytest.mark.timeout(300)
AXE = ROOT / "tests" / "scripts" / "node_modules" / "axe-core" / "axe.min.js"
NO_IDS: dict[str, str] = dict.fromkeys((str(method) for method in sample_home.METHODS), "")
RUN_AXE = """
async () => {
  const { violations } = await axe.run(document, { resultTypes: ["violations"] });
  return violations.filter(({ impact }) => impact === "serious" || impact === "critical").flatMap(({ id, nodes }) =>
    nodes.map(({ target, html, failureSummary }) => [id, target.flat().pop(), html.slice(0, 160), failureSummary]));
}
"""
MOVING = """
() => {
  const all = (root) => [...root.querySelectorAll("*")].flatMap((e) => [e, ...(e.shadowRoot ? all(e.shadowRoot) : [])]);
  const long = (times) => times.split(",").some((time) => parseFloat(time) > 0.001);
  return all(document).filter((element) => {
    const { transitionDuration, animationName, animationDuration } = getComputedStyle(element);
    return long(transitionDuration) || (animationName !== "none" && long(animationDuration));
  }).map((element) => element.outerHTML.slice(0, 120));
}
"""
# What Streamlit draws and nobody else can mend: (rule, part of the HTML) -> why.
EXCEPTIONS: dict[tuple[str, str], str] = {}


def violations(page) -> list[str]:
    """Return what is wrong with what a page shows now."""
    found = page.evaluate(RUN_AXE)
    return [
        f"{rule}: {html} at {target}. {summary}"
        for rule, target, html, summary in found
        if not any(rule == excepted and part in html for excepted, part in EXCEPTIONS)
    ]


@pytest.fixture(scope="module")
def ids(server):
    return sample_home.fill("small", server.env)


@pytest.fixture(scope="module")
def page(chromium):
    """One window for all pages: libraries of the browser are loaded once."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
    yield context.new_page()
    context.close()


def test_every_page_is_visited():
    assert {name.split()[0] for name in sample_home.addresses(NO_IDS)} == set(PAGES)


@pytest.mark.parametrize("name", sample_home.addresses(NO_IDS))
def test_no_page_has_a_serious_violation_in_either_theme(name, server, ids, page):
    if not AXE.exists():
        pytest.skip("axe-core is not installed: `npm ci` in tests/scripts, or `make scripts`")
    background = "getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"
    colours, wrong = set(), []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.goto(server.url + sample_home.addresses(ids)[name])  # a page that changes its theme is busy for a while
        settle(page, limit=8)
        page.evaluate(AXE.read_text(encoding="utf-8"))
        colours.add(page.evaluate(background))
        wrong += [f"{scheme}: {violation}" for violation in violations(page)]
    assert not page.evaluate(MOVING), "less motion was asked for"
    assert len(colours) == 2, "both themes were looked at"
    assert not wrong, "\n".join(wrong)

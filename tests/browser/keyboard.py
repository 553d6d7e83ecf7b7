"""A page gone through with the keyboard alone: Tab to what has a name, and whether one sees where one is."""

import io

import numpy as np
from PIL import Image

FOCUSED = """() => {
    let found = document.activeElement;
    while (found?.shadowRoot?.activeElement) found = found.shadowRoot.activeElement;
    const box = found.getBoundingClientRect();
    const label = [...(found.labels ?? [])].map((each) => each.innerText).join(" ");
    const words = found.getAttribute("aria-label") || label || found.innerText || "";
    const kind = found.type === "range" ? "slider" : found.type;
    const role = found.getAttribute("role") || { BUTTON: "button", A: "link", INPUT: kind }[found.tagName] || "";
    const value = found.getAttribute("aria-valuetext") ?? found.getAttribute("aria-valuenow") ?? found.value;
    return { role, words, value, box: [box.x, box.y, box.width, box.height], tall: innerHeight };
}"""
# Nothing has come or gone for half a second that Tab leads to: what is drawn between two presses changes the way.
STILL = """() => {
    const reach = (root) => [...root.querySelectorAll("*")].flatMap((each) =>
        [...(each.tabIndex >= 0 ? [each] : []), ...(each.shadowRoot ? reach(each.shadowRoot) : [])]);
    const stops = reach(document);
    const before = globalThis.kdStops ?? { stops: [], since: 0 };
    const same = stops.length === before.stops.length && stops.every((each, at) => each === before.stops[at]);
    globalThis.kdStops = same ? before : { stops, since: performance.now() };
    const idle = document.querySelector("[data-test-script-state=notRunning]");
    return idle && same && performance.now() - before.since > 500;
}"""
EDGE = 6  # pixels around an element in which its ring lies


def settle(page) -> None:
    """Wait until the page is drawn: what is typed or chosen while its script goes on may be lost with its element."""
    page.wait_for_function(STILL)


def focused(page) -> dict:
    """Return role, words, value and place of what has the focus."""
    return page.evaluate(FOCUSED)


def tab_to(page, role: str, words: str, *, limit: int = 40, back: bool = False) -> int:
    """Press Tab until something with this role and these words has the focus; return how often."""
    settle(page)
    seen = []
    for count in range(1, limit + 1):
        page.keyboard.press("Shift+Tab" if back else "Tab")
        here = focused(page)
        if here["role"] == role and words in here["words"]:
            return count
        seen.append(f"{here['role']} {here['words'][:30]!r}")
    raise AssertionError(f"{limit} times Tab led to no {role} {words!r}, but to {', '.join(seen)}")


def check_ring(page) -> None:
    """Hold that one sees what has the focus: it is on the screen, and looks otherwise once the focus has gone on."""
    settle(page)
    here = focused(page)
    x, y, width, height = here["box"]
    assert y >= 0, here
    assert y + height <= here["tall"], here
    page.wait_for_timeout(250)  # until a transition is over
    clip = {"x": max(0, x - EDGE), "y": max(0, y - EDGE), "width": width + 2 * EDGE, "height": height + 2 * EDGE}
    before = _pixels(page, clip)
    page.keyboard.press("Tab")
    page.wait_for_timeout(250)
    after = _pixels(page, clip)
    page.keyboard.press("Shift+Tab")
    assert focused(page)["words"] == here["words"], "Shift and Tab lead back"
    assert (np.abs(before - after).max(-1) > 25).mean() > 0.02, f"no ring around {here}"


def _pixels(page, clip) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB")).astype(int)

// The maps on the whole screen. Esc leaves, whatever has the focus.

/**
 * Let an element fill the screen and come back, by a button that is only there where the browser can do that.
 * @param {HTMLElement} root gets the class "full" while it fills the screen
 * @param {HTMLElement} button
 */
export function listenToFull(root, button) {
  const page = root.ownerDocument;
  button.hidden = !page.fullscreenEnabled;
  root.addEventListener("fullscreenchange", () => {
    const full = root.matches(":fullscreen");
    root.classList.toggle("full", full);
    button.setAttribute("aria-pressed", String(full));
    button.textContent = full ? "Leave full screen" : "Full screen";
  });
  root.addEventListener(
    "keydown",
    (event) => {
      if (event.key !== "Escape" || !root.classList.contains("full")) return;
      event.stopPropagation(); // it would also clear the selection
      void page.exitFullscreen();
    },
    { capture: true },
  );
}

/** @param {HTMLElement} root */
export function toggleFull(root) {
  const done = root.classList.contains("full") ? root.ownerDocument.exitFullscreen() : root.requestFullscreen();
  done.catch(() => {}); // the browser may refuse: the maps then stay where they are
}

// Keys for the whole page: "/" puts the cursor into the search field, as on most pages with a list.

/** @param {Pick<KeyboardEvent, "key" | "ctrlKey" | "metaKey" | "altKey" | "target">} event */
export function asksForSearch({ key, ctrlKey, metaKey, altKey, target }) {
  if (key !== "/" || ctrlKey || metaKey || altKey) return false;
  const { tagName = "", isContentEditable = false, type = "" } = /** @type {Partial<HTMLInputElement>} */ (target ?? {});
  if (["checkbox", "radio"].includes(type)) return true; // nothing is typed there
  return !isContentEditable && !["INPUT", "TEXTAREA", "SELECT"].includes(tagName);
}

export default function keys() {
  /** @param {KeyboardEvent} event */
  const focusSearch = (event) => {
    const field = document.querySelector('input[aria-label="Search"]');
    if (!(field instanceof HTMLInputElement) || !asksForSearch(event)) return;
    event.preventDefault(); // the sign itself is not typed
    field.focus();
    field.select();
  };
  document.addEventListener("keydown", focusSearch);
  return () => document.removeEventListener("keydown", focusSearch);
}

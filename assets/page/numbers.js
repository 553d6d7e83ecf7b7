// Texts on their way from some numbers to others. Knows nothing of the page.

const NUMBER = /(?<![\w.])[+-]?\d[\d,]*(?:\.\d+)?/g; // a sign stands in front, not between two numbers

/**
 * Return whether a text differs from another in its numbers alone.
 * @param {string} from
 * @param {string} to
 */
export function onlyNumbersDiffer(from, to) {
  return from !== to && from.replace(NUMBER, "#") === to.replace(NUMBER, "#");
}

/**
 * Return a text on its way to another that has other numbers, each written like the one it becomes.
 * @param {string} from
 * @param {string} to
 * @param {number} share of the way, 0 to 1
 */
export function between(from, to, share) {
  if (share >= 1 || !onlyNumbersDiffer(from, to)) return to;
  const before = from.match(NUMBER) ?? [];
  let i = 0;
  return to.replace(NUMBER, (after) => {
    const first = before[i++];
    if (first === after) return after;
    const digits = after.split(".")[1]?.length ?? 0;
    const value = read(first) + share * (read(after) - read(first));
    const either = first + after;
    return value.toLocaleString("en-US", {
      minimumFractionDigits: digits,
      maximumFractionDigits: digits,
      useGrouping: either.includes(","),
      signDisplay: either.includes("+") ? "exceptZero" : "negative",
    });
  });
}

/** @param {string} number */
function read(number) {
  return Number(number.replaceAll(",", ""));
}

// What a person sees of a page. Expressions of tests may use these functions.

/** Whether an element is drawn: its box may be outside of the window, but not hidden, folded or empty. */
const isVisible = (element) =>
  element.checkVisibility({ opacityProperty: true, visibilityProperty: true }) &&
  element.getBoundingClientRect().width > 0;

/** The visible elements that match. */
const visible = (selector) => [...document.querySelectorAll(selector)].filter(isVisible);

/** Visible elements that end beyond the right edge of the window, and are not in a part that is scrolled. */
const wide = () => visible("body *").filter((element) => {
  for (let around = element; around; around = around.parentElement) {
    if (getComputedStyle(around).overflowX !== "visible") return false;
  }
  return element.getBoundingClientRect().right > innerWidth + 0.5;
}).map((element) => element.outerHTML.slice(0, 150));

/** Visible cards whose text begins at their border, or that touch the next card. */
const cramped = () => visible(".card").filter((card) => {
  const next = card.nextElementSibling;
  const box = card.getBoundingClientRect();
  const below = next && next.getBoundingClientRect();
  const touches = below && below.left < box.right && below.top >= box.top && below.top < box.bottom + 6;
  return touches || parseFloat(getComputedStyle(card).paddingLeft) < 8;
}).map((element) => element.outerHTML.slice(0, 150));

/** The middle of the first visible element that matches, with a text in it, scrolled into the window. */
const middle = (selector, text) => {
  const element = visible(selector).find((element) => element.textContent.includes(text));
  if (!element) return "not visible";
  element.scrollIntoView({ block: "center", inline: "nearest" });
  const box = element.getBoundingClientRect();
  const [left, right] = [Math.max(box.left, 0), Math.min(box.right, innerWidth)];
  const [x, y] = [(left + right) / 2, box.top + box.height / 2];
  const hit = document.elementFromPoint(x, y);
  // A click on what covers the element would miss it.
  return hit && (element.contains(hit) || hit.contains(element)) ? [x, y] : "covered by " + (hit && hit.outerHTML.slice(0, 200));
};

/** The text of the focused element, or its name if it has none; empty if nothing has the focus. */
const focused = () => {
  const element = document.activeElement;
  return !element || element === document.body ? "" : element.textContent.trim() || element.tagName;
};

/** Red, green, blue and alpha of a computed colour. */
const channels = (colour) => {
  const numbers = colour.match(/[\d.]+/g);
  if (!numbers) return [0, 0, 0, 0];
  const [red, green, blue, alpha] = numbers.map(Number);
  return [red, green, blue, alpha === undefined ? 1 : alpha];
};

/** A colour over an opaque one. */
const over = ([red, green, blue, alpha], [r, g, b]) => [
  red * alpha + r * (1 - alpha), green * alpha + g * (1 - alpha), blue * alpha + b * (1 - alpha), 1,
];

const luminance = (colour) => {
  const [red, green, blue] = colour.map((value) => {
    const part = value / 255;
    return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};

const contrast = (one, other) => {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
};

/** What is below the text of an element: its own background, or a rectangle of a picture, over that of its parent. */
const ground = (element) => {
  if (!element) {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const both = getComputedStyle(document.documentElement).colorScheme.includes("dark");
    return dark && both ? [18, 18, 18, 1] : [255, 255, 255, 1];
  }
  const below = ground(element.parentElement);
  const style = getComputedStyle(element);
  let own = channels(style.backgroundColor);
  const rect = element.tagName === "text" && element.parentElement.querySelector(":scope > rect");
  if (rect) own = channels(getComputedStyle(rect).fill);
  return over(own, below);
};

const opacity = (element) =>
  element ? Number(getComputedStyle(element).opacity) * opacity(element.parentElement) : 1;

/** Visible texts with less contrast than WCAG 2.1 AA demands: 4.5, or 3 for large ones. */
const unreadable = () => {
  const found = [];
  for (const element of visible("body *, svg text")) {
    const texts = [...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE);
    const text = texts.map((node) => node.data).join("").trim();
    if (text === "" || ["SCRIPT", "STYLE", "title"].includes(element.tagName) || element.disabled) continue;
    const style = getComputedStyle(element);
    const below = ground(element);
    const part = opacity(element);
    const ink = channels(element.tagName === "text" ? style.fill : style.color);
    // What is transparent lets the ground of its parents through, which is about the same in all pages.
    const drawn = over([...ink.slice(0, 3), ink[3]], below);
    const page = ground(document.body);
    const seen = part < 1 ? contrast(over([...drawn.slice(0, 3), part], page), over([...below.slice(0, 3), part], page)) : contrast(drawn, below);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (seen < (large ? 3 : 4.5)) {
      found.push(`${element.tagName}.${element.getAttribute("class") || ""} "${text.slice(0, 40)}" ${seen.toFixed(2)}`);
    }
  }
  return found;
};

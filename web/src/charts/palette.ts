/** Colours of a chart, read from the design tokens, so that charts follow the scheme. */

export const SERIES = 9;

export interface Palette {
  series: string[];
  rest: string;
  text: string;
  faint: string;
  line: string;
  raised: string;
  accent: string;
  bad: string;
  warn: string;
  good: string;
  font: string;
}

/** Read the tokens as they are now. */
export function palette(): Palette {
  const style = getComputedStyle(document.documentElement);
  const read = (name: string) => style.getPropertyValue(name).trim();
  return {
    series: Array.from({ length: SERIES }, (_, at) => read(`--data-${at + 1}`)),
    rest: read("--data-rest"),
    text: read("--text"),
    faint: read("--text-faint"),
    line: read("--line"),
    raised: read("--bg-raised"),
    accent: read("--accent"),
    bad: read("--bad"),
    warn: read("--warn"),
    good: read("--good"),
    font: read("--font"),
  };
}

/** Tell when the scheme changes, by choice or by the system. */
export function onScheme(act: () => void): () => void {
  const media = matchMedia("(prefers-color-scheme: dark)");
  const observer = new MutationObserver(act);
  observer.observe(document.documentElement, { attributeFilter: ["data-scheme"] });
  media.addEventListener("change", act);
  return () => {
    observer.disconnect();
    media.removeEventListener("change", act);
  };
}

/** The host page's looks: a few values of the link, or of a message of the page around the frame. */

import type { components } from "@/api/schema";

export type Theme = components["schemas"]["PortalTheme"];

const ACCENT = /^#[0-9a-f]{6}$/i;
const FONT = /^[A-Za-z0-9 ,'"_-]{1,100}$/;
const MAX_RADIUS = 32;
const MAX_NAME = 64;

/** Return what is valid of a theme; a message may come from any page around the frame. */
export function validTheme(given: unknown): Theme {
  const found: Theme = {};
  if (typeof given !== "object" || given === null) return found;
  const { scheme, accent, font, radius, name } = given as Record<string, unknown>;
  if (scheme === "light" || scheme === "dark" || scheme === "auto") found.scheme = scheme;
  if (typeof accent === "string" && ACCENT.test(accent)) found.accent = accent;
  if (typeof font === "string" && FONT.test(font)) found.font = font;
  if (Number.isInteger(radius) && Number(radius) >= 0 && Number(radius) <= MAX_RADIUS) {
    found.radius = Number(radius);
  }
  if (typeof name === "string" && name.length <= MAX_NAME) found.name = name;
  return found;
}

/** Return how light a colour is, from 0 to 1 (WCAG 2.2, relative luminance). */
export function luminance(colour: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => {
    const part = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** Return black or white, whichever is read better on a colour. */
export function textOn(colour: string): string {
  const light = luminance(colour);
  return (light + 0.05) / 0.05 > 1.05 / (light + 0.05) ? "#000000" : "#ffffff";
}

/** Put a theme on the page. */
export function applyTheme(theme: Theme): void {
  const root = document.documentElement;
  if (theme.scheme === "light" || theme.scheme === "dark") root.dataset.scheme = theme.scheme;
  else if (theme.scheme === "auto") delete root.dataset.scheme;
  const set = (name: string, value: string | undefined) => {
    if (value) root.style.setProperty(name, value);
  };
  if (theme.accent) {
    set("--accent", theme.accent);
    set("--data-1", theme.accent);
    set("--on-accent", textOn(theme.accent));
    set("--accent-soft", `color-mix(in srgb, ${theme.accent} 14%, var(--bg))`);
    // Text in the host's colour is drawn towards the page's own text until it can be read.
    set("--accent-text", `color-mix(in srgb, ${theme.accent} 45%, var(--text))`);
  }
  set("--font", theme.font && `${theme.font}, system-ui, sans-serif`);
  if (theme.radius !== undefined) {
    set("--radius-l", `${theme.radius}px`);
    set("--radius", `${Math.round(theme.radius * 0.66)}px`);
    set("--radius-s", `${Math.round(theme.radius * 0.4)}px`);
  }
}

/** Names of the API as words on a page. */

/** Return a name such as `agent_root` as a heading: `Agent root`. */
export function heading(name: string): string {
  const words = name.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

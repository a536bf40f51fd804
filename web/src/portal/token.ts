/** The link's token: taken out of the address, kept for this tab only. */

const KEY = "outlay.portal";

/** Return the token of the link that opened this page, or of this tab; empty without one. */
export function takeToken(): string {
  const token = new URLSearchParams(window.location.hash.slice(1)).get("token");
  if (token) {
    // Out of the address, so that it is in no history and in no copied link.
    history.replaceState(null, "", window.location.pathname + window.location.search);
    keep(token);
    return token;
  }
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

function keep(token: string): void {
  try {
    sessionStorage.setItem(KEY, token);
  } catch {
    // A frame whose storage is closed lives as long as its page.
  }
}

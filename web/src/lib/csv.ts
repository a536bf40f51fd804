/** CSV that spreadsheets open as it is, and that cannot run a formula in them. */

export type Cell = string | number | bigint | boolean | null | undefined;

function quoted(cell: Cell): string {
  if (cell === null || cell === undefined) return "";
  if (typeof cell !== "string") return String(cell);
  // A spreadsheet reads these beginnings as a formula (OWASP, CSV injection), also behind what
  // separates cells in other countries than the file's own.
  const safe = cell.replace(/((?:^|[;\t\r\n])(?=[=+\-@＝＋－＠])|^(?=[\t\r\n]))/g, "$1'");
  return /[",;\t\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** Return rows as CSV (RFC 4180). */
export function toCsv(header: string[], rows: Cell[][]): string {
  return [header, ...rows].map((row) => row.map(quoted).join(",")).join("\r\n");
}

/** Give the browser a file to keep. */
export function download(name: string, content: string | Blob, type = "text/csv"): void {
  const blob =
    typeof content === "string"
      ? new Blob(["\ufeff", content], { type: `${type};charset=utf-8` })
      : content;
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

// Sets the colour scheme before the first paint, so that a dark page never flashes white.
try {
  const kept = JSON.parse(localStorage.getItem("outlay.preferences") || "{}").scheme;
  if (kept === "dark" || kept === "light") document.documentElement.dataset.scheme = kept;
} catch {
  // Storage may be closed to a framed page: the system's scheme holds then.
}

// Before anything is drawn: the theme that was chosen here before, else the system's. The button
// changes it.
{
  let chosen = null;
  try { chosen = localStorage.getItem("theme"); } catch { /* storage may be off */ }
  const { dataset } = document.documentElement;
  if (chosen === "light" || chosen === "dark") dataset.theme = chosen;
  document.addEventListener("click", (event) => {
    if (!event.target.closest("#theme")) return;
    const dark = dataset.theme ? dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("theme", dataset.theme); } catch { /* storage may be off */ }
  });
}

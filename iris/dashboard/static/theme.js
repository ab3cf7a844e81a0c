// Before anything is painted: the theme that was chosen here last.
(() => {
  const chosen = localStorage.getItem("iris-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();

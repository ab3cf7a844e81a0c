// What the pages do beside htmx: say whether they are current, follow a log, switch the theme, obey keys.
(() => {
  const link = document.getElementById("link");
  const say = (text, good) => {
    link.textContent = text;
    link.className = good ? "good" : "bad";
  };
  // A page that may not be looked at any longer, or has nothing to look at, is told no more.
  const over = () => document.getElementById("live")?.dataset.over;
  document.body.addEventListener("htmx:sse:after:connection", () => {
    if (!over()) say("live", true);
  });
  document.body.addEventListener("htmx:sse:error", () => say("connection lost", false));
  document.body.addEventListener("htmx:sse:close", () => say("connection lost", false));

  // A log is shown at its end and kept there while it grows, unless its reader has scrolled up.
  const log = () => document.querySelector("[data-follow]");
  let atEnd = true;
  const toEnd = () => {
    const box = log();
    if (box && atEnd) box.scrollTop = box.scrollHeight;
  };
  document.addEventListener("htmx:before:swap", () => {
    const box = log();
    atEnd = !box || box.scrollHeight - box.scrollTop - box.clientHeight < 8;
  });
  document.addEventListener("htmx:after:swap", () => {
    toEnd();
    if (over()) say(over(), false);
  });
  toEnd();

  const themes = ["", "light", "dark"];
  const button = document.getElementById("theme");
  const root = document.documentElement;
  const name = () => { button.textContent = `${root.dataset.theme || "system"} theme`; };
  name();
  button.addEventListener("click", () => {
    const next = themes[(themes.indexOf(root.dataset.theme || "") + 1) % themes.length];
    if (next) {
      root.dataset.theme = next;
      localStorage.setItem("iris-theme", next);
    } else {
      delete root.dataset.theme;
      localStorage.removeItem("iris-theme");
    }
    name();
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (event.key === "/") {
      const field = document.querySelector("input[type=search]");
      if (field) {
        event.preventDefault();
        field.focus();
      }
    } else if (event.key === "n" || event.key === "p") {
      document.querySelector(`a[rel=${event.key === "n" ? "next" : "prev"}]`)?.click();
    } else if (event.key >= "1" && event.key <= "9") {
      document.querySelectorAll("header nav a")[Number(event.key) - 1]?.click();
    }
  });
})();

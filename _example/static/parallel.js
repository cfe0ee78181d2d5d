"use strict";

const button = document.getElementById("fire");
const outcome = document.getElementById("outcome");
const cells = [...document.getElementById("cells").children];

// The browser adds the cookie to each request and takes the new one from each
// response, as it does for pages.
async function post(path, fields = {}) {
  const response = await fetch(path, { method: "POST", body: new URLSearchParams(fields) });
  if (!response.ok) throw new Error(`${path}: status ${response.status}`);
}

function show(kept) {
  cells.forEach((cell, i) => { cell.className = kept.includes(i + 1) ? "kept" : "lost"; });
  outcome.textContent = kept.length === cells.length
    ? `All ${cells.length} keys survived: parallel requests keep each other's changes.`
    : `${kept.length} of ${cells.length} keys survived: with cookies and several processes, the last write wins.`;
}

async function fire() {
  button.disabled = true;
  outcome.textContent = "Under way …";
  cells.forEach((cell) => { cell.className = "open"; });
  try {
    await post("/parallel/reset");
    await Promise.all(cells.map((_, i) => post("/parallel/set", { n: i + 1 })));
    show(await (await fetch("/parallel/kept")).json());
  } catch (error) {
    outcome.textContent = `That did not work. ${error.message}`;
  } finally {
    button.disabled = false;
  }
}

button.addEventListener("click", fire);

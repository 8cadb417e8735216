// Keeps the page up to date without loading it again: asks for it anew and changes only what differs,
// so that scrolling, selections and the keyboard's place stay. The page works without this, too.
"use strict";

const EVERY = 3000; // milliseconds
const said = () => document.getElementById("said");
let busy = false;

// Makes `old` like `fresh`, leaving alone what is equal; elements of a list are known by their ids.
function morph(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeName !== fresh.nodeName || old.id !== fresh.id || old.nodeType !== Node.ELEMENT_NODE) {
    old.replaceWith(fresh);
    return;
  }
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  let at = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    const known = child.id ? [...old.children].find((other) => other.id === child.id) : null;
    if (known && known !== at) old.insertBefore(known, at);
    const match = known || (at && !at.id && at.nodeName === child.nodeName ? at : null);
    if (match) {
      at = match.nextSibling;
      morph(match, child);
    } else {
      old.insertBefore(child, at);
    }
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

function show(words, wrong) {
  said().textContent = words;
  said().classList.toggle("wrong", wrong);
}

async function refresh() {
  if (busy || document.hidden) return;
  busy = true;
  try {
    const answer = await fetch("/", { headers: { accept: "text/html" }, signal: AbortSignal.timeout(10000) });
    if (!answer.ok) throw new Error(answer.statusText);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const id of ["pulse", "page", "footer"]) {
      const [old, next] = [document.getElementById(id), fresh.getElementById(id)];
      if (old && next) morph(old, document.adoptNode(next));
    }
    document.title = fresh.title;
    if (document.body.classList.contains("lost")) show("", false);
    document.body.classList.remove("lost");
  } catch {
    if (!document.body.classList.contains("lost")) {
      const time = new Date().toLocaleTimeString();
      show(`The hot folder does not answer; this is how it stood at ${time}.`, true);
    }
    document.body.classList.add("lost");
  } finally {
    busy = false;
  }
}

async function ask(form, button) {
  button.disabled = true;
  try {
    const answer = await fetch(form.action, {
      method: "POST",
      headers: { accept: "application/json" },
      body: new URLSearchParams(new FormData(form)),
    });
    const told = await answer.json();
    const words = answer.ok ? told.sentence || "Done." : [told.message, told.hint].filter(Boolean).join(": ");
    show(words, !answer.ok);
  } catch {
    show("The hot folder does not answer; nothing was changed.", true);
  }
  button.disabled = false;
  await refresh();
}

document.addEventListener("submit", (event) => {
  event.preventDefault();
  ask(event.target, event.submitter || event.target.querySelector("button"));
});
document.addEventListener("visibilitychange", refresh);
setInterval(refresh, EVERY);

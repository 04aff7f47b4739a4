"use strict";
// Keeps the page up to date: asks for it again and puts what has changed in its place, so that the focus, the
// selection and what a screen reader is at stay where they are.
(() => {
  const every = 3000, patience = 10000;
  const lost = document.getElementById("lost"), live = document.getElementById("live");
  const clock = () => new Date().toLocaleTimeString();
  let timer = 0, since = "", asking = null;

  const merge = (old, fresh) => {
    if (old.isEqualNode(fresh)) return;
    if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || old.id !== fresh.id) {
      old.replaceWith(fresh.cloneNode(true));
      return;
    }
    if (old.nodeType !== Node.ELEMENT_NODE) {
      old.nodeValue = fresh.nodeValue;
      return;
    }
    for (const { name } of [...old.attributes])
      if (!fresh.hasAttribute(name) && !(name === "open" && old.nodeName === "DETAILS")) old.removeAttribute(name);
    for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    const theirs = [...fresh.childNodes];
    while (old.childNodes.length > theirs.length) old.lastChild.remove();
    theirs.forEach((node, place) => {
      if (place < old.childNodes.length) merge(old.childNodes[place], node);
      else old.append(node.cloneNode(true));
    });
  };

  const connected = () => {
    if (since) {
      since = "";
      lost.firstElementChild.textContent = "";
      lost.hidden = true;
      document.body.classList.remove("lost");
    }
    live.textContent = `Updated ${clock()}`;
  };

  const disconnected = (why) => {
    if (since) return;
    since = clock();
    lost.hidden = false;
    lost.firstElementChild.textContent = `${why} since ${since}. The data shown is out of date; retrying.`;
    document.body.classList.add("lost");
  };

  const update = async () => {
    const asked = (asking = new AbortController());
    const giveUp = setTimeout(() => asked.abort(), patience);
    try {
      const answer = await fetch(location.pathname, { cache: "no-store", signal: asked.signal });
      const fresh = answer.ok && new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
      if (!fresh) disconnected(`The extractor answers ${answer.status}`);
      else {
        merge(document.querySelector("main"), fresh);
        connected();
      }
    } catch {
      if (!document.hidden) disconnected("Connection lost");
    }
    clearTimeout(giveUp);
    if (asking === asked) plan();
  };

  const plan = () => {
    clearTimeout(timer);
    timer = document.hidden ? 0 : setTimeout(update, every);
  };

  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (document.hidden) live.textContent = "Paused";
    else update();
  });
  live.textContent = `Updated ${clock()}`;
  plan();
})();

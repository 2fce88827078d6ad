"""How the page looks, and the little JavaScript that it needs. Nothing is fetched from outside."""

from __future__ import annotations

CSS = """
.gradio-container { max-width: 1280px !important; margin: 0 auto !important }
#compare, #add { min-height: 3rem }
#chips { gap: .35rem; flex-wrap: wrap }
#chips .fe-chip { flex: 0 0 auto; border-radius: 999px; min-width: 0 !important; width: auto }
#tiles .grid-wrap, #strip .grid-wrap, #steps .grid-wrap { overflow-y: auto; max-height: none;
  padding-top: 2.2rem; min-height: 0; height: auto }
:is(#tiles, #strip, #steps) .thumbnail-lg { display: flex; flex-direction: column; height: auto;
  aspect-ratio: auto }
:is(#tiles, #strip, #steps) .thumbnail-lg > img { width: 100%; height: auto; aspect-ratio: 1 }
:is(#tiles, #strip, #steps) .caption-label { position: static; display: block; width: 100%;
  max-width: 100%; white-space: normal; line-height: 1.3; font-size: .75rem; text-align: left;
  border: 0; border-radius: 0; opacity: 1 !important }
#acted:not(:has(img)) { display: none }
.fe-scroll { overflow-x: auto }
.fe-table { width: 100%; border-collapse: collapse; font-size: .85rem }
.fe-table caption { caption-side: bottom; text-align: left; font-size: .75rem; opacity: .85 }
.fe-table th, .fe-table td { text-align: left; padding: .3rem .5rem; vertical-align: top;
  border-bottom: 1px solid var(--border-color-primary); white-space: nowrap }
.fe-table th small { display: block; font-weight: normal; white-space: normal; max-width: 16rem }
.fe-bar { display: block; height: 4px; width: 5rem; margin-top: .2rem; border-radius: 2px;
  background: var(--border-color-primary) }
.fe-bar i { display: block; height: 100%; border-radius: 2px; background: var(--color-accent) }
.fe-bad i { background: #b45309 }
.fe-layers { margin: 0 }
.fe-layers > div { display: flex; align-items: end; gap: 3px; height: 70px }
.fe-layers i { flex: 1; background: var(--color-accent); border-radius: 2px 2px 0 0 }
.fe-layers figcaption { font-size: .75rem; opacity: .85 }
.fe-guide nav ul { display: flex; flex-wrap: wrap; gap: .2rem .9rem; list-style: none; padding: 0 }
.fe-guide section { border-top: 1px solid var(--border-color-primary); padding: .6rem 0 }
.fe-guide ol { padding-left: 1.3rem }
.fe-guide a { text-decoration: underline; margin: 0; padding: 0 }
.fe-notice { font-size: .8rem }
:focus-visible { outline: 3px solid var(--color-accent) !important; outline-offset: 1px }
@media (max-width: 640px) {
  .gradio-container { padding: .5rem !important }
  #tiles .grid-container, #steps .grid-container { grid-template-columns: 1fr 1fr !important }
  #strip .grid-container { grid-template-columns: repeat(3, 1fr) !important }
  .gradio-container .column { min-width: 0 !important }
  .tab-container { max-width: calc(100vw - 2rem); overflow-x: auto }
  .tab-container button { padding-inline: .5rem !important }
  .fe-scroll { max-width: calc(100vw - 6rem) }
  button { min-height: 2.5rem }
}
@media (prefers-reduced-motion: reduce) {
  * { animation: none !important; transition: none !important }
}
"""

# A link holds the settings and the number of a sampled face, never a photo.
LINK = """(prompt, person, region, methods, strength) => {
  const link = new URL(window.location.href.split(/[?#]/)[0]);
  if (prompt) link.searchParams.set("prompt", prompt);
  if (person !== null && person >= 0) link.searchParams.set("person", person);
  if (region) link.searchParams.set("region", region);
  if (methods && methods.length) link.searchParams.set("methods", methods.join(","));
  link.searchParams.set("strength", strength);
  if (navigator.clipboard) navigator.clipboard.writeText(link.href).catch(() => {});
  return link.href;
}"""

# gradio's before/after handle follows the mouse only; this makes it a slider for the keyboard too.
KEYS = """() => {
  const steps = {ArrowLeft: -1, ArrowRight: 1, Home: -40, End: 40};
  const adopt = handle => {
    handle.tabIndex = 0;
    handle.setAttribute("role", "slider");
    handle.setAttribute("aria-label", "Before and after, move with the arrow keys");
    handle.setAttribute("aria-valuemin", "0");
    handle.setAttribute("aria-valuemax", "100");
    handle.setAttribute("aria-valuenow", "50");
    handle.addEventListener("keydown", event => {
      const step = steps[event.key];
      if (!step) return;
      event.preventDefault();
      const frame = handle.parentElement.getBoundingClientRect();
      const box = handle.getBoundingClientRect();
      const from = box.left + box.width / 2;
      const wanted = from + step * frame.width / 40;
      const to = Math.min(Math.max(wanted, frame.left), frame.right - 1);
      const fire = (target, type, x) => target.dispatchEvent(new MouseEvent(type, {
        bubbles: true, cancelable: true, view: window, button: 0,
        clientX: x, clientY: box.top + box.height / 2}));
      fire(handle, "mousedown", from);
      fire(window, "mousemove", to);
      fire(window, "mouseup", to);
      const share = Math.round(100 * (to - frame.left) / Math.max(frame.width, 1));
      handle.setAttribute("aria-valuenow", String(share));
    });
  };
  const live = document.querySelector(".fe-live");  // a screen reader says what happens
  if (live) live.setAttribute("aria-live", "polite");
  const scan = () => document
    .querySelectorAll("#pair .outer:not([tabindex]), #chain .outer:not([tabindex])")
    .forEach(adopt);
  new MutationObserver(scan).observe(document.body, {childList: true, subtree: true});
  scan();
}"""

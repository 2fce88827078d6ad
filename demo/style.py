"""How the page looks, and the little JavaScript that it needs. Nothing is fetched from outside."""

from __future__ import annotations

import gradio as gr

FONT = ["system-ui", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif"]
THEME = gr.themes.Soft(
    primary_hue="indigo", neutral_hue="slate", font=FONT, font_mono=["ui-monospace", "monospace"]
)

CSS = """
.gradio-container { max-width: 1400px !important; margin: 0 auto !important }
#intro h1 { display: inline; font-size: 1.35rem; margin-right: .6rem }
#intro p { display: inline; font-size: .95rem }
#stage, #side { gap: .6rem }
#pair img { object-fit: contain }
#words p { margin: 0 }
#status { min-height: 0; font-size: .8rem; opacity: .8 }
#chips { gap: .35rem; flex-wrap: wrap }
#chips .fe-chip { flex: 0 0 auto; border-radius: 999px; min-width: 0 !important; width: auto }
#people { gap: .5rem }
#people .grid-wrap, #history .grid-wrap { overflow: hidden; max-height: none }
#examples .grid-container, #history .grid-container { gap: 4px; padding: 0 }
#examples .grid-container { grid-template-columns: repeat(8, 1fr) !important }
#examples .grid-wrap, #history .grid-wrap { min-height: 0; height: auto; padding: 4px }
#examples, #history { height: auto !important; min-height: 0 }
#history .grid-container { grid-template-columns: repeat(10, 1fr) !important }
#people { align-items: stretch }
#examples { flex: 5 !important }
#photo { flex: 1 !important }
#whose p { margin: 0 }
#examples .thumbnail-lg, #history .thumbnail-lg { border-radius: 8px; aspect-ratio: 1;
  height: auto }
#examples .caption-label, #history .caption-label { display: none }
#tiles .grid-wrap, #strip .grid-wrap, #steps .grid-wrap { overflow-y: auto; max-height: none;
  padding-top: 2rem; min-height: 0; height: auto }
:is(#tiles, #strip, #steps) .thumbnail-lg { display: flex; flex-direction: column; height: auto;
  aspect-ratio: auto; filter: none !important }
:is(#tiles, #strip, #steps) .thumbnail-lg > img { width: 100%; height: auto; aspect-ratio: 1;
  object-fit: cover; filter: none !important }
:is(#tiles, #strip, #steps) .thumbnail-lg.selected { outline: 3px solid var(--color-accent) }
:is(#tiles, #strip, #steps) .caption-label { position: static; display: block; width: 100%;
  max-width: 100%; white-space: normal; line-height: 1.3; font-size: .78rem; text-align: left;
  border: 0; border-radius: 0; opacity: 1 !important }
:is(#acted, #where):not(:has(img)) { display: none }
#history:not(:has(img)), #strip:not(:has(img)), #tiles:not(:has(img)) { display: none }
#tiles.fe-old { opacity: .45 }
#tiles.fe-old::before { content: "These results are of the face or the sentence before.";
  display: block; padding: .3rem .6rem; font-size: .8rem }
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
.fe-layers figcaption { font-size: .8rem; opacity: .85 }
.fe-guide nav ul { display: flex; flex-wrap: wrap; gap: .2rem .9rem; list-style: none; padding: 0 }
.fe-guide section { border-top: 1px solid var(--border-color-primary); padding: .6rem 0 }
.fe-guide ol { padding-left: 1.3rem }
.fe-guide a { text-decoration: underline; margin: 0; padding: 0 }
.fe-notice { font-size: .8rem }
:focus-visible { outline: 3px solid var(--color-accent) !important; outline-offset: 1px }
@media (max-width: 640px) {
  .gradio-container { padding: .5rem !important }
  #intro p { font-size: .85rem }
  #people { flex-direction: column }
  #examples .grid-container { grid-template-columns: repeat(4, 1fr) !important }
  #photo { height: 130px !important; max-height: 130px }
  #history .grid-container { grid-template-columns: repeat(5, 1fr) !important }
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

# Enter, a chip or a person acts in the tab that is open; the wait lets the new words arrive.
GO = """() => { setTimeout(() => {
  const shown = [...document.querySelectorAll(".fe-go")].find(x => x.offsetParent !== null);
  if (shown) shown.click();
}, 60); }"""

# Results of another face or sentence are marked until there are new ones.
OLD = """() => { document.querySelector("#tiles")?.classList.add("fe-old"); }"""
NEW = """() => { document.querySelector("#tiles")?.classList.remove("fe-old"); }"""

# The address holds the settings and the number of a rendered person, never a photo: a reload or a
# shared link shows the same. What others put into the address (a Space's theme) stays.
LINK = """(prompt, person, region, strength, method) => {
  const link = new URL(window.location.href);
  const keep = (name, value) => value ? link.searchParams.set(name, value)
    : link.searchParams.delete(name);
  keep("prompt", prompt);
  keep("person", person !== null && person >= 0 ? person : "");
  keep("region", region);
  keep("strength", strength === 1 ? "" : strength);
  keep("method", method);
  window.history.replaceState(window.history.state, "", link);
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
    .querySelectorAll("#pair .outer:not([tabindex])")
    .forEach(adopt);
  new MutationObserver(scan).observe(document.body, {childList: true, subtree: true});
  scan();
  document.addEventListener("click", event => {  // under a <base> a bare #place loads the page
    const link = event.target.closest?.("a[href^='#']");
    const place = link && document.getElementById(link.getAttribute("href").slice(1));
    if (!place) return;
    event.preventDefault();
    place.scrollIntoView({block: "start"});
  });
}"""

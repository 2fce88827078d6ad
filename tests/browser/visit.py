"""Visit a running page with a real browser, check it and take screenshots; run by hand.

    python app.py &
    python tests/browser/visit.py --photo portrait.jpg --several group.jpg --out docs/screens

Needs playwright and a chromium (`apt-get install chromium`), in an environment of its own. Ends
with exit code 1 if anything is not as promised: a console error, an outside request, a tile that is
missing, an error without words, a control without a name.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
]
SLOW = 60_000  # ms
MARKUP = "red hair <img src=x onerror=window.ran=1> <b>bold</b> *x* [a](javascript:window.ran=1)"
UNNAMED = """() => [...document.querySelectorAll(
    'button, input:not([type=hidden]):not([type=file]), textarea, select, [role=button], img')]
  .filter(e => e.offsetParent !== null)
  .filter(e => !(e.getAttribute('aria-label') || e.title || e.alt || e.innerText?.trim()
    || e.labels?.length || e.closest('label')?.innerText?.trim() || e.placeholder
    || e.getAttribute('aria-labelledby') || e.getAttribute('alt') !== null && e.tagName === 'IMG'))
  .map(e => e.outerHTML.slice(0, 120))"""


class Visit:
    """One browser, and what it saw."""

    def __init__(self, page: Page, url: str, out: Path) -> None:
        self.page = page
        self.url = url
        self.out = out
        self.faults: list[str] = []
        self.times: dict[str, float] = {}
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.faults.append(f"page error: {error}"))
        page.on("request", self._request)

    def _console(self, message: Any) -> None:
        refused = "422" in message.text  # how a browser reports a field that is marked
        if message.type == "error" and not refused:
            self.faults.append(f"console: {message.text[:200]}")

    def _request(self, request: Any) -> None:
        if not request.url.startswith((self.url, "data:", "blob:")):
            self.faults.append(f"outside request: {request.url[:200]}")

    def need(self, condition: Any, words: str) -> None:
        """Note a fault unless the condition holds."""
        sys.stdout.write(("ok    " if condition else "FAULT ") + words + "\n")
        sys.stdout.flush()
        if not condition:
            self.faults.append(words)

    def shot(self, name: str, full: bool = True) -> None:
        """Take a screenshot."""
        self.page.wait_for_timeout(700)
        self.page.screenshot(path=str(self.out / f"{name}.png"), full_page=full)

    def timed(self, name: str, since: float) -> None:
        """Note how long something took."""
        self.times[name] = round(time.perf_counter() - since, 2)

    def open(self, query: str = "") -> None:
        """Load the page and wait until its networks are there."""
        since = time.perf_counter()
        self.page.goto(f"{self.url}/{query}", wait_until="load", timeout=SLOW)
        self.page.locator("#prompt textarea").wait_for(timeout=SLOW)
        self.timed("page open", since)
        self.page.get_by_text("Ready.", exact=True).wait_for(timeout=SLOW, state="attached")
        self.timed("networks ready", since)

    def count(self, where: str) -> int:
        """Return how many pictures a gallery shows."""
        return self.page.locator(f"{where} .grid-container img").count()

    def settle(self) -> None:
        """Wait until the page computes nothing any more."""
        self.page.wait_for_timeout(400)
        self.page.locator("#zip:not([disabled])").wait_for(timeout=SLOW)

    def compare(self, methods: int) -> None:
        """Sample a face, take a chip, compare, and look at the tiles."""
        page = self.page
        page.locator("#sample").click()
        page.locator("#photo img").wait_for(timeout=SLOW)
        page.get_by_role("button", name="red hair", exact=True).click()
        self.need(page.locator("#prompt textarea").input_value() == "red hair", "a chip is taken")
        since = time.perf_counter()
        page.locator("#compare").click()
        page.locator("#tiles .grid-container img").first.wait_for(timeout=SLOW)
        self.timed("first tile", since)
        page.wait_for_function(
            "n => document.querySelectorAll('#tiles .grid-container img').length >= n",
            arg=methods + 1,
            timeout=SLOW,
        )
        self.timed("all tiles and the truth", since)
        self.need("Ground truth" in page.locator("#tiles").inner_text(), "the truth is shown")
        self.need(page.locator("#table tbody tr").count() > methods, "every tile is measured")
        self.shot("compare")
        page.locator("#tiles .grid-container button").last.click()
        page.wait_for_timeout(3000)
        self.need(
            "Ground truth" in page.locator("#layers").inner_text(), "a click opens the slider"
        )
        with page.expect_download(timeout=SLOW) as download:
            page.locator("#zip").click()
        self.need(download.value.suggested_filename.endswith(".zip"), "the zip is downloaded")

    def share(self) -> None:
        """Make a link and follow it."""
        page = self.page
        self.open()
        page.locator("#sample").click()
        page.locator("#photo img").wait_for(timeout=SLOW)
        page.locator("#prompt textarea").fill("red hair")
        page.get_by_role("button", name="Share these settings").click()
        page.locator("#share").click()
        page.wait_for_timeout(1200)
        link = page.locator("#link textarea, #link input").first.input_value()
        self.need("prompt=red+hair" in link and "person=" in link, f"a link is made: {link}")
        self.open(link.partition(self.url + "/")[2])
        page.locator("#photo img").wait_for(timeout=SLOW)
        self.need(page.locator("#prompt textarea").input_value() == "red hair", "it is followed")

    def upload(self, photo: str) -> None:
        """Upload a photo and put the results back into it."""
        page = self.page
        self.open()
        page.locator("#photo input[type=file]").first.set_input_files(photo)
        page.locator("#photo img").wait_for(timeout=SLOW)
        page.wait_for_timeout(3000)
        page.locator("#prompt textarea").fill("a smiling woman")
        page.locator("#compare").click()
        page.locator("#tiles .grid-container img").first.wait_for(timeout=SLOW)
        self.settle()
        self.need(self.count("#tiles") > 0, "an uploaded photo is edited")
        self.need("Ground truth" not in page.locator("#tiles").inner_text(), "it has no truth")
        page.locator("#whole input").check()
        page.wait_for_timeout(3000)
        self.shot("photo")

    def several(self, photo: str) -> None:
        """Upload a photo of several people and pick one."""
        page = self.page
        self.open()
        page.locator("#photo input[type=file]").first.set_input_files(photo)
        page.locator("#picked").wait_for(timeout=SLOW)
        page.wait_for_timeout(3000)
        self.need(page.locator("#picked input").count() > 1, "the picker shows the faces")
        page.locator("#picked input").nth(1).check()
        self.shot("picker")

    def errors(self) -> None:
        """Leave things out and see whether the page says so."""
        page = self.page
        self.open()
        page.locator("#prompt textarea").fill("red hair")
        page.locator("#compare").click()
        page.wait_for_timeout(3000)
        text = page.locator("body").inner_text()
        self.need("Upload a photo or sample a face" in text, "a missing face is named")
        self.shot("errors", full=False)

    def strength(self) -> None:
        """Move the slider and look at the strip."""
        page = self.page
        self.open()
        page.locator("#sample").click()
        page.locator("#photo img").wait_for(timeout=SLOW)
        page.locator("#prompt textarea").fill("a smiling woman")
        page.get_by_role("tab", name="Strength").click()
        slider = page.locator("#strength input[type=range]")
        slider.focus()
        page.keyboard.press("ArrowRight")
        page.locator("#strength-after img").wait_for(timeout=SLOW)
        waits = []
        for _ in range(8):
            old = page.locator("#strength-after img").get_attribute("src")
            since = time.perf_counter()
            for _ in range(3):
                page.keyboard.press("ArrowRight")
            page.wait_for_function(
                "old => document.querySelector('#strength-after img')?.src !== old",
                arg=old,
                timeout=SLOW,
            )
            waits.append(time.perf_counter() - since)
        self.times["slider, median of 8"] = round(sorted(waits)[4], 2)
        page.locator("#strip-go").click()
        page.wait_for_function(
            "document.querySelectorAll('#strip .grid-container img').length === 5", timeout=SLOW
        )
        self.need(True, "the strip shows five strengths")
        self.shot("strength")

    def compose(self) -> None:
        """Chain two edits and undo one."""
        page = self.page
        self.open("?person=3")
        page.locator("#photo img").wait_for(timeout=SLOW)
        page.get_by_role("tab", name="Compose").click()
        for words in ("a smiling woman", "a person with glasses"):
            steps = self.count("#steps")
            page.locator("#prompt textarea").fill(words)
            page.locator("#add").click()
            page.wait_for_function(
                "n => document.querySelectorAll('#steps .grid-container img').length > n",
                arg=steps,
                timeout=SLOW,
            )
        self.shot("compose")
        page.locator("#undo").click()
        page.wait_for_timeout(3000)
        self.need(self.count("#steps") == 1, "a step is undone")

    def markup(self) -> None:
        """Ask for an edit in words that are markup: they show as they are and nothing runs."""
        page = self.page
        self.open("?person=3")
        page.evaluate("window.ran = 0")
        for tab, button, shown in (
            ("Edit", "#go", "#words"),
            ("Compose", "#add", "#steps"),
            ("Compare all methods", "#compare", "#tiles"),
        ):
            page.get_by_role("tab", name=tab).click()
            page.locator("#prompt textarea").fill(f"{MARKUP} {tab}")
            page.locator(button).click()
            page.locator(f"{shown} img, {shown} strong").first.wait_for(timeout=SLOW)
            page.wait_for_timeout(3000)
            if tab == "Compose":  # where captions hold the words
                caption = page.locator(shown).inner_text()
                self.need("<img src=x" in caption, "the words are shown as they were written")
        self.need(page.evaluate("window.ran") == 0, "nothing of them ran")
        planted = page.locator("img[src='x'], a[href^='javascript:'], main b, .caption-label em")
        self.need(planted.count() == 0, "nothing of them became a picture, a link or bold")
        self.shot("markup")

    def guide(self) -> None:
        """Read about the methods."""
        self.open()
        self.page.get_by_role("tab", name="Methods").click()
        self.need(self.page.locator(".fe-guide section").count() > 1, "the methods are explained")
        self.shot("methods", full=False)

    def phone(self) -> None:
        """Look at it at the width of a phone."""
        page = self.page
        page.set_viewport_size({"width": 390, "height": 844})
        self.open("?prompt=red+hair&person=3")
        page.locator("#photo img").wait_for(timeout=SLOW)
        page.locator("#compare").click()
        page.locator("#tiles .grid-container img").first.wait_for(timeout=SLOW)
        self.settle()
        page.wait_for_timeout(3000)
        wide = page.evaluate("document.documentElement.scrollWidth > window.innerWidth + 1")
        self.need(not wide, "nothing is wider than a phone")
        self.shot("phone")

    def names(self) -> None:
        """Look for controls that a screen reader could not name."""
        unnamed = self.page.evaluate(UNNAMED)
        self.need(not unnamed, f"every control has a name {unnamed[:5]}")
        self.need(self.page.evaluate("document.documentElement.lang"), "the page has a language")

    def keyboard(self) -> None:
        """Make an edit and move the slider without a mouse."""
        page = self.page
        self.open()
        page.locator("#sample").focus()
        page.keyboard.press("Enter")
        page.locator("#photo img").wait_for(timeout=SLOW)
        page.locator("#prompt textarea").focus()
        page.keyboard.type("red hair")
        page.keyboard.press("Enter")
        page.locator("#tiles .grid-container img").first.wait_for(timeout=SLOW)
        self.settle()
        page.locator("#tiles .grid-container button").first.focus()
        page.keyboard.press("Enter")
        handle = page.locator("#pair [role=slider]").first
        handle.wait_for(timeout=SLOW)
        handle.focus()
        old = handle.evaluate("e => e.getBoundingClientRect().left")
        for _ in range(6):
            page.keyboard.press("ArrowLeft")
        page.wait_for_timeout(300)
        new = handle.evaluate("e => e.getBoundingClientRect().left")
        self.need(new < old - 20, f"the slider moves by the keyboard, {old:.0f} to {new:.0f}")


def main() -> int:
    """Visit the page and return 1 if it is not as promised."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:7860")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--photo", help="a photo of one face")
    parser.add_argument("--several", help="a photo of several faces")
    parser.add_argument("--methods", type=int, default=1, help="how many are ticked at first")
    parser.add_argument("--only", help="names of steps with commas between")
    parser.add_argument("--out", type=Path, default=Path("screens"))
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=asked.chromium, args=FLAGS)
        visit = Visit(
            browser.new_page(viewport={"width": 1280, "height": 900}), asked.url, asked.out
        )
        steps = {
            "open": visit.open,
            "compare": lambda: visit.compare(asked.methods),
            "names": visit.names,
            "share": visit.share,
            "upload": lambda: asked.photo and visit.upload(asked.photo),
            "several": lambda: asked.several and visit.several(asked.several),
            "errors": visit.errors,
            "strength": visit.strength,
            "compose": visit.compose,
            "markup": visit.markup,
            "guide": visit.guide,
            "keyboard": visit.keyboard,
            "phone": visit.phone,
        }
        for name, step in steps.items():
            if asked.only and name not in asked.only.split(","):
                continue
            try:
                step()
            except Exception as error:  # the next step may still tell something
                visit.need(False, f"{name}: {str(error)[:300]}")
                visit.shot(f"fault-{name}")
        browser.close()
    sys.stdout.write(f"{visit.times}\n")
    sys.stdout.write(("\n".join(dict.fromkeys(visit.faults)) or "no fault") + "\n")
    return 1 if visit.faults else 0


if __name__ == "__main__":
    sys.exit(main())

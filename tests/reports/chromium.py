"""Headless Chromium, as the browser tests and benchmarks use it; skipped where there is none."""

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager

from playwright.sync_api import Browser, Page, sync_playwright

PATH = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")
WHY_NOT = "needs Chromium: install Debian's `chromium`, or Chrome, and have it on the PATH"
_ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@contextmanager
def launched() -> Iterator[Browser]:
    """Start a browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PATH, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(
    browser: Browser, width: int = 1280, height: int = 900, dark: bool = False, script: bool = True
) -> Iterator[Page]:
    """Open an empty page."""
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if dark else "light",
        java_script_enabled=script,
    )
    with closing(context):
        yield context.new_page()

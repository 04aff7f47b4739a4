"""
A page in, what a person would see of it out: a real Chromium, told what to do over the DevTools protocol.

Its messages go through two pipes, so no port is open and no driver of another version is needed.

Knows nothing of what is on the page.
"""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.servers import DEADLINE

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


# Chromium reads from 3 and writes to 4.
_LAUNCH = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]
for number, end in enumerate(ends, 3):
    os.dup2(end, number)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """A running Chromium with an empty profile in *folder*, and *options* of its command line."""

    def __init__(self, folder: Path, *options: str) -> None:
        assert CHROMIUM is not None
        their_in, our_out = os.pipe()
        our_in, their_out = os.pipe()
        command = [
            CHROMIUM,
            "--headless=new",
            "--remote-debugging-pipe",
            f"--user-data-dir={folder}",
            "--no-first-run",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--hide-scrollbars",
            # A sandbox within a container, or as root, is refused; all it is shown is our own page.
            "--no-sandbox",
            *options,
            "about:blank",
        ]

        launcher = [sys.executable, "-c", _LAUNCH, str(their_in), str(their_out), *command]
        self._process = subprocess.Popen(
            launcher,
            pass_fds=(their_in, their_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"HOME": str(folder), "LANG": "C.UTF-8"},
            start_new_session=True,
        )
        os.close(their_in)
        os.close(their_out)
        self._in, self._out = our_in, our_out
        self._unread = b""
        self._number = 0
        self._events: list[dict[str, Any]] = []

    def page(self) -> "Page":
        """A new tab."""
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        return Page(self, session, target)

    def call(self, method: str, parameters: dict[str, Any] | None = None, session: str = "") -> dict[str, Any]:
        """What *method* of the protocol answers."""
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": parameters or {}}
        if session:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            said = self._receive()
            if said.get("id") == number:
                assert "error" not in said, f"{method}: {said['error']}"
                result: dict[str, Any] = said["result"]
                return result
            self._events.append(said)

    def events(self, method: str, session: str) -> list[dict[str, Any]]:
        """The parameters of every event of this kind so far."""
        self.call("Browser.getVersion")  # what was sent before has arrived with the answer
        return [
            said["params"] for said in self._events if (said.get("method"), said.get("sessionId")) == (method, session)
        ]

    def close(self) -> None:
        """End it, and wait for it."""
        os.close(self._out)
        os.close(self._in)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(DEADLINE)

    def _receive(self) -> dict[str, Any]:
        deadline = time.monotonic() + DEADLINE
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._in], [], [], max(deadline - time.monotonic(), 0))
            assert ready, "Chromium does not answer"
            part = os.read(self._in, 1 << 20)
            assert part, "Chromium has ended"
            self._unread += part
        message, _, self._unread = self._unread.partition(b"\0")
        said: dict[str, Any] = json.loads(message)
        return said


class Page:
    """One tab, of a size and with the preferences of a person."""

    def __init__(self, browser: Browser, session: str, target: str) -> None:
        self._browser = browser
        self._session = session
        self._target = target
        for domain in ("Page", "Network", "Runtime", "Log", "Accessibility"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """What *method* of the protocol answers for this tab."""
        return self._browser.call(method, parameters, self._session)

    def events(self, method: str) -> list[dict[str, Any]]:
        """The parameters of every event of this kind so far."""
        return self._browser.events(method, self._session)

    def open(self, url: str) -> None:
        """Go to *url*, and wait until it is there."""
        loaded = len(self.events("Page.loadEventFired"))
        self.call("Page.navigate", url=url)
        wait_for(lambda: len(self.events("Page.loadEventFired")) > loaded)

    def run(self, script: str) -> Any:
        """The value of *script*; of a promise, what it is kept with."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def text(self, selector: str) -> str:
        """The text of the first element that matches, as it is seen; empty if there is none."""
        return str(self.run(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    def size(self, width: int, height: int, *, phone: bool = False) -> None:
        """Make the tab so large; a *phone* has a denser screen and a finger."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1 + phone, mobile=phone
        )

    def prefer(self, **features: str) -> None:
        """What the person prefers, such as `color_scheme="dark"`."""
        named = [{"name": f"prefers-{name.replace('_', '-')}", "value": value} for name, value in features.items()]
        self.call("Emulation.setEmulatedMedia", features=named)

    def press(self, key: str) -> None:
        """Press a key and let it go."""
        codes = {"Tab": 9, "Enter": 13}
        for kind in ("keyDown", "keyUp"):
            text = {"text": "\r"} if (key, kind) == ("Enter", "keyDown") else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=codes[key], **text)

    def offline(self, *, lost: bool) -> None:
        """Cut the connection, or mend it."""
        self.call(
            "Network.emulateNetworkConditions", offline=lost, latency=0, downloadThroughput=-1, uploadThroughput=-1
        )

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        """Take a picture."""
        taken = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(b64decode(taken["data"]))

    def close(self) -> None:
        """Close the tab."""
        self._browser.call("Target.closeTarget", {"targetId": self._target})


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until *condition* is met."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "never met"
        select.select([], [], [], 0.05)


@contextmanager
def browsing(folder: Path, *options: str) -> Iterator[Browser]:
    """A browser for as long as the block lasts."""
    browser = Browser(folder, *options)
    try:
        yield browser
    finally:
        browser.close()

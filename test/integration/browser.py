"""A headless Chromium to look at pages with, spoken to over a pipe (DevTools protocol).

    refusal()                    why there is no browser here, or None
    with Browser() as browser:   a browser with a profile of its own, gone afterwards
        browser.open(url)        a page, loaded
        browser.evaluate(js)     the value of an expression, promises awaited
        browser.resize(width, height, dark=False)
        browser.screenshot()     PNG octets of what is visible
        browser.complaints       what the page's console and the browser had to say against it
"""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

START_TIMEOUT = 60
ANSWER_TIMEOUT = 30


def executable():
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


def refusal():
    return None if executable() else "no chromium here: apt-get install chromium"


class Browser:
    def __enter__(self):
        self.complaints = []
        self.profile = tempfile.TemporaryDirectory(prefix="godwit-browser-", ignore_cleanup_errors=True)
        # The browser reads its commands from descriptor 3 and answers at 4.
        command_read, self.to_browser = os.pipe()
        self.from_browser, answer_write = os.pipe()
        self.process = subprocess.Popen(
            ["/bin/bash", "-c", f'exec "$@" 3<&{command_read} 4>&{answer_write}', "bash", executable(),
             "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu",
             "--disable-dev-shm-usage", "--disable-background-networking", "--no-first-run",
             "--disable-component-update", "--hide-scrollbars",
             f"--user-data-dir={self.profile.name}", "about:blank"],
            pass_fds=[command_read, answer_write], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, "HOME": self.profile.name})
        os.close(command_read)
        os.close(answer_write)
        self.unread = b""
        self.last_id = 0
        self.session = None
        try:
            target = self.call("Target.createTarget", START_TIMEOUT, url="about:blank")["targetId"]
            self.session = self.call("Target.attachToTarget", START_TIMEOUT, targetId=target,
                                     flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Log"):
                self.call(f"{domain}.enable")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for descriptor in (self.to_browser, self.from_browser):
            os.close(descriptor)  # its end of file ends the browser
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, 9)
            self.process.wait()
        self.profile.cleanup()

    def _read(self, deadline):
        """The next message of the browser's."""
        while b"\0" not in self.unread:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.from_browser], [], [], left)[0]:
                raise AssertionError("the browser does not answer")
            piece = os.read(self.from_browser, 1 << 16)
            assert piece, f"the browser has ended: {self.process.wait()}"
            self.unread += piece
        message, _, self.unread = self.unread.partition(b"\0")
        return json.loads(message)

    def _note(self, message):
        method, values = message.get("method"), message.get("params", {})
        if method == "Log.entryAdded":
            self.complaints.append(values["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(values["exceptionDetails"].get("exception", {})
                                   .get("description", "an exception"))
        elif method == "Runtime.consoleAPICalled" and values["type"] in ("error", "warning"):
            self.complaints.append(json.dumps(values["args"])[:500])

    def call(self, method, timeout=ANSWER_TIMEOUT, **values):
        self.last_id += 1
        message = {"id": self.last_id, "method": method, "params": values}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to_browser, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + timeout
        while True:
            answer = self._read(deadline)
            if answer.get("id") == self.last_id:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self._note(answer)

    def open(self, url):
        failed = self.call("Page.navigate", url=url).get("errorText")
        assert not failed, f"{url}: {failed}"
        deadline = time.monotonic() + ANSWER_TIMEOUT
        while self.evaluate("location.href + document.readyState") != url + "complete":
            assert time.monotonic() < deadline, f"{url} is not loaded"
            time.sleep(0.02)

    def evaluate(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True,
                           awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def resize(self, width, height, dark=False, scale=1):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=scale, mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def screenshot(self):
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

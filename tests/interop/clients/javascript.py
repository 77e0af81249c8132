"""The clients written in JavaScript: node's ws in a process, WebSocket in headless Chromium."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from clients.base import TIMEOUT, End, Message, Unavailable

HERE = Path(__file__).resolve().parent
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")

CALL = """
const [command, values, done] = arguments;
(async () => client[command](values))().then(
  (result) => done({ result: result ?? null }),
  (error) => done({ error: error.message }),
);
"""


def _encode(message: Message) -> dict[str, str]:
    if isinstance(message, str):
        return {"text": message}
    return {"binary": base64.b64encode(message).decode()}


def _decode(message: dict[str, str]) -> Message:
    return message["text"] if "text" in message else base64.b64decode(message["binary"])


class _Commands:
    """client.mjs seen from here; a subclass says how a command reaches it."""

    def _call(self, command: str, **values: object) -> dict:
        raise NotImplementedError

    def _result(self, command: str, **values: object):
        answer = self._call(command, **values)
        if "error" in answer:
            raise ConnectionError(f"{command}: {answer['error']}")
        return answer["result"]

    def open(self, url: str, subprotocols: list[str]) -> None:
        agreed = self._result("open", url=url, subprotocols=subprotocols)
        self.extensions = agreed["extensions"]
        self.subprotocol = agreed["subprotocol"] or None

    def send(self, message: Message) -> None:
        self._result("send", message=_encode(message))

    def receive(self) -> Message:
        return _decode(self._result("receive"))

    def close(self, code: int, reason: str) -> None:
        self._result("close", code=code, reason=reason)

    def wait_closed(self) -> End:
        end = self._result("closed")
        return End(end["code"], end["reason"])


class Node(_Commands):
    def __init__(self, ca_file: str) -> None:
        node = shutil.which("node")
        if node is None:
            raise Unavailable("node is not installed")
        if not (HERE / "node_modules" / "ws").is_dir():
            raise Unavailable("the npm package ws is not installed; run `make interop-deps`")
        self._process = subprocess.Popen(
            [node, str(HERE / "node_driver.mjs"), ca_file],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def _call(self, command: str, **values: object) -> dict:
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps({"command": command, **values}) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    def send_fragments(self, messages: list[Message]) -> None:
        self._result("fragments", messages=[_encode(message) for message in messages])

    def ping(self, payload: bytes) -> bytes:
        return base64.b64decode(self._result("ping", payload=base64.b64encode(payload).decode()))

    def stop(self) -> None:
        self._process.communicate(timeout=TIMEOUT)  # the end of its input ends it


class Chromium(_Commands):
    def __init__(self, ca_file: str) -> None:
        try:
            from selenium import webdriver
        except ImportError:
            raise Unavailable("selenium is not installed; run `make interop-deps`") from None
        browser = next(filter(None, map(shutil.which, CHROMIUM)), None)
        driver = shutil.which("chromedriver")
        if browser is None or driver is None:
            raise Unavailable("chromium or chromedriver is not installed")
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        options = webdriver.ChromeOptions()
        options.binary_location = browser
        for argument in (
            "--headless=new",
            "--no-sandbox",  # CI containers run as root
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--ignore-certificate-errors",
            f"--user-data-dir={self._profile.name}",
        ):
            options.add_argument(argument)
        service = webdriver.ChromeService(executable_path=driver)
        self._driver = webdriver.Chrome(options=options, service=service)
        self._driver.set_script_timeout(TIMEOUT)
        self._origin = ""

    def open(self, url: str, subprotocols: list[str]) -> None:
        # A browser refuses a socket opened from about:blank, so it is the server's own page.
        parts = urlsplit(url)
        origin = f"{'https' if parts.scheme == 'wss' else 'http'}://{parts.netloc}/"
        if origin != self._origin:
            self._driver.get(origin)
            self._origin = origin
        super().open(url, subprotocols)

    def _call(self, command: str, **values: object) -> dict:
        return self._driver.execute_async_script(CALL, command, values)

    def stop(self) -> None:
        self._driver.quit()
        self._profile.cleanup()

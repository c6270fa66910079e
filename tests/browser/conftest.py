"""A served site, a collector beside it, and Debian's Chromium; what is not there is said, and its tests are skipped."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections import defaultdict
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest

HERE = Path(__file__).parent
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
KINDS = {".html": "text/html", ".js": "text/javascript"}
CLIENTS = {
    "rrweb": ("rrweb/dist/rrweb.umd.min.cjs",),
    "posthog": ("posthog-js/dist/array.full.no-external.js",),
    "clarity": ("clarity-js/build/clarity.min.js",),
    "mixpanel": ("mixpanel-browser/dist/mixpanel.umd.js",),
    "snowplow": (
        "@snowplow/browser-tracker/dist/index.umd.min.js",
        "@snowplow/browser-plugin-link-click-tracking/dist/index.umd.min.js",
        "@snowplow/browser-plugin-button-click-tracking/dist/index.umd.min.js",
    ),
}
"""What /client.js is for a visitor with the cookie client=NAME, before site/client.NAME.js."""


class Post(NamedTuple):
    """What a client sent: when it arrived (s), where to, what."""

    at: float
    path: str
    body: bytes


@pytest.fixture(scope="session")
def clients() -> Path:
    """node_modules with the clients; installed from the lock where npm is there and can."""
    folder = HERE / "node_modules"
    if not (folder / "clarity-js").is_dir():
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("browser tests: no npm on this machine (scripts/packages installs it)")
        done = subprocess.run(
            [npm, "ci", "--ignore-scripts"], cwd=HERE, capture_output=True, text=True, timeout=100, check=False
        )
        if done.returncode:
            pytest.skip(f"browser tests: npm ci failed: {done.stderr.strip().splitlines()[-1:]}")
    return folder


class Site:
    """The pages of site/, and everything that they post; who it is says the cookie session=NAME."""

    def __init__(self, clients: Path) -> None:
        self.posted: dict[str, list[Post]] = defaultdict(list)
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Nothing on stderr."""

            def cookie(self, name: str) -> str:
                return SimpleCookie(self.headers["Cookie"])[name].value

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                files = [HERE / "site" / Path(path).name]
                if path == "/client.js":
                    client = self.cookie("client")
                    files = [*(clients / file for file in CLIENTS[client]), HERE / "site" / f"client.{client}.js"]
                known = all(file.is_file() for file in files)
                body = b"\n".join(file.read_bytes() for file in files) if known else b""
                self.send_response(200 if known else 404)
                self.send_header("Content-Type", KINDS.get(Path(path).suffix, "text/plain"))
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                site.posted[self.cookie("session")].append(Post(time.time(), self.path, body))
                answer = b'{"status": 1}'
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """A page that is left waits for no answer."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def of(self, to: str, session: str) -> list[Post]:
        """What a session sent to /collect/TO."""
        return [post for post in self.posted[session] if post.path.startswith(f"/collect/{to}")]


@pytest.fixture(scope="session")
def site(clients: Path):
    made = Site(clients)
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture(scope="session")
def browser():
    """Chromium by its path: nothing is downloaded."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="browser tests: playwright is not installed")
    path = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("browser tests: no chromium on this machine (scripts/packages installs it)")
    with sync_api.sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield made
        made.close()

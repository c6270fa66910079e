"""A served site, a collector beside it, and Debian's Chromium; what is not there is said, and its tests are skipped."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
KINDS = {".html": "text/html", ".js": "text/javascript"}


@pytest.fixture(scope="session")
def clients() -> Path:
    """node_modules with the clients; installed from the lock where npm is there and can."""
    folder = HERE / "node_modules"
    if not (folder / "rrweb").is_dir():
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
    """The pages of site/, and everything that they post."""

    def __init__(self, clients: Path) -> None:
        self.posted: dict[tuple[str, str], list[bytes]] = defaultdict(list)
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Nothing on stderr."""

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                if path == "/rrweb.js":
                    file = clients / "rrweb" / "dist" / "rrweb.umd.min.cjs"
                else:
                    file = HERE / "site" / Path(path).name
                known = file.is_file()
                body = file.read_bytes() if known else b""
                self.send_response(200 if known else 404)
                self.send_header("Content-Type", KINDS.get(Path(path).suffix, "text/plain"))
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                _, _, to, session = self.path.split("/")
                site.posted[to, session].append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(204)
                self.end_headers()

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def of(self, to: str, session: str) -> bytes:
        """What a session sent, as JSON lines."""
        return b"".join(self.posted[to, session])


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

"""A web server on this machine, and folders of data and cache that begin empty."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest


class Web(ThreadingHTTPServer):
    """Serves `pages`; `asked` lists the paths that were asked for; a page in `broken` ends before it is whole."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pages: dict[str, bytes] = {}
        self.broken: set[str] = set()
        self.asked: list[str] = []

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"


class _Handler(BaseHTTPRequestHandler):
    server: Web

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        page = self.server.pages.get(self.path)
        if page is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page[: len(page) // 2] if self.path in self.server.broken else page)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def web(monkeypatch) -> Iterator[Web]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Web() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def shared(monkeypatch, tmp_path) -> Path:
    """Return an empty folder of shared data, the one that is looked into."""
    monkeypatch.setenv("SPINLIGHT_DATA", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def cache(monkeypatch, tmp_path, shared) -> Path:
    """Return an empty cache, the one that is used; the folder of shared data is empty too."""
    pooch = pytest.importorskip("pooch")
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    return tmp_path / "cache"


@pytest.fixture
def real(monkeypatch, data_folder) -> Path:
    """Return the folder of real data, made the one that is looked into."""
    monkeypatch.setenv("SPINLIGHT_DATA", str(data_folder))
    return data_folder

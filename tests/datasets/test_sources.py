"""Public files come from the data folder, else from the cache, else from the web, and never half."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from spinlight import DownloadError, FileFormatError, MissingExtraError
from spinlight.datasets.sources import PublicFile, load_public, require_sha256

DATA = b"what was published" * 1000
PIN = hashlib.sha256(DATA).hexdigest()


def pinned_by_bytes(*urls: str) -> PublicFile:
    return PublicFile("folder/file.txt", urls, PIN)


def pinned_by_content(*urls: str) -> PublicFile:
    return PublicFile("folder/file.txt", urls)


def parse(data: bytes) -> bytes:
    require_sha256(data, PIN)
    return data


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def put(folder: Path, data: bytes) -> Path:
    path = folder / "folder" / "file.txt"
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    return path


every_pin = pytest.mark.parametrize("file_at", [pinned_by_bytes, pinned_by_content])


@every_pin
def test_a_shared_file_is_read_without_pooch_and_without_a_network(shared, monkeypatch, file_at) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    put(shared, DATA)
    assert load_public(file_at("http://nowhere.invalid"), parse) == DATA


@every_pin
def test_a_damaged_shared_file_is_named_and_kept(shared, file_at) -> None:
    path = put(shared, DATA[:-1])
    with pytest.raises(FileFormatError, match=r"file\.txt is damaged.*restore or remove it"):
        load_public(file_at(), parse)
    assert path.read_bytes() == DATA[:-1]


def test_without_pooch_the_error_names_the_install_command(shared, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'spinlight\[data\]'"):
        load_public(pinned_by_bytes("http://nowhere.invalid"), parse)


@every_pin
def test_a_file_is_downloaded_once(cache, web, file_at) -> None:
    web.pages["/file"] = DATA
    assert load_public(file_at(web.url("/file")), parse) == DATA
    assert load_public(file_at(web.url("/file")), parse) == DATA
    assert web.asked == ["/file"]
    assert [path.read_bytes() for path in files_in(cache)] == [DATA]


def test_other_bytes_than_the_published_are_refused_and_not_kept(cache, web) -> None:
    web.pages["/file"] = DATA + b"!"
    with pytest.raises(DownloadError, match="does not match"):
        load_public(pinned_by_bytes(web.url("/file")), parse)
    assert files_in(cache) == []


def test_other_content_than_the_published_is_refused_and_not_kept(cache, web) -> None:
    web.pages["/file"] = b"<html>please log in</html>"
    with pytest.raises(FileFormatError, match="removed; call again"):
        load_public(pinned_by_content(web.url("/file")), parse)
    assert files_in(cache) == []
    web.pages["/file"] = DATA
    assert load_public(pinned_by_content(web.url("/file")), parse) == DATA


@pytest.mark.parametrize("first", [None, b"other bytes"])
def test_the_next_mirror_is_asked_where_one_fails(cache, web, first: bytes | None) -> None:
    web.pages |= {"/second": DATA} if first is None else {"/first": first, "/second": DATA}
    assert load_public(pinned_by_bytes(web.url("/first"), web.url("/second")), parse) == DATA
    assert web.asked == ["/first", "/second"]


def test_without_a_network_the_error_says_where_to_put_the_file(cache, web, shared) -> None:
    closed = web.url("/file").replace(str(web.server_port), "9")
    with pytest.raises(DownloadError) as caught:
        load_public(pinned_by_bytes(closed), parse)
    assert closed in str(caught.value)
    assert f"put it at {shared / 'folder' / 'file.txt'}" in str(caught.value)
    assert isinstance(caught.value, OSError)
    put(shared, DATA)
    assert load_public(pinned_by_bytes(closed), parse) == DATA


@every_pin
def test_a_download_that_breaks_off_leaves_nothing_behind(cache, web, file_at) -> None:
    web.pages["/file"] = DATA
    web.broken.add("/file")
    with pytest.raises(DownloadError):
        load_public(file_at(web.url("/file")), parse)
    assert files_in(cache) == []


def test_an_interrupted_download_leaves_nothing_behind(cache, web, monkeypatch) -> None:
    pooch = pytest.importorskip("pooch")

    def interrupted(self: object, url: str, output_file: str, pooch: object) -> None:
        Path(output_file).write_bytes(DATA[:10])
        raise KeyboardInterrupt

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_public(pinned_by_bytes(web.url("/file")), parse)
    assert files_in(cache) == []


def test_a_file_that_was_damaged_in_the_cache_is_downloaded_again(cache, web) -> None:
    web.pages["/file"] = DATA
    file = pinned_by_bytes(web.url("/file"))
    load_public(file, parse)
    files_in(cache)[0].write_bytes(b"damaged")
    assert load_public(file, parse) == DATA
    assert web.asked == ["/file", "/file"]

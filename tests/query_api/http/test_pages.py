"""The dashboard's files on the API's origin: caching, the page's Content-Security-Policy, and files that are not
served."""

import gzip
import re
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
from query_api.app import PUBLIC, build_app, find_open_routes
from query_api.web.files import BuiltFile, read_dashboard
from query_api.web.routes import FILES, VIEWS
from support.data.table_rows import TableRows
from support.services.query_api import OpenApi

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
SCRIPT = "console.log('used');" * 200
PAGE = '<!doctype html><script type="module" src="/assets/index-1a2b.js"></script>'
Files = Mapping[str, BuiltFile]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Output of a build, and files beside it that the server must not serve."""
    dist = tmp_path / "dashboard" / "dist"
    (dist / "assets").mkdir(parents=True)
    (dist / "index.html").write_text(PAGE)
    (dist / "assets" / "index-1a2b.js").write_text(SCRIPT)
    (dist / "assets" / "index-3c4d.css").write_text("a{}")
    (dist / "assets" / "flag-5e6f.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (dist / "favicon.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (dist / ".stamp").write_text("not yours")
    (dist / "assets" / "link.js").symlink_to(tmp_path / "secret.js")
    (dist / ".vite").mkdir()
    (dist / ".vite" / "manifest.json").write_text("not yours")
    (tmp_path / "secret.js").write_text("not yours")
    return dist


@pytest.fixture
def files(folder: Path) -> Files:
    found = read_dashboard(folder)
    assert found is not None
    return found


def policy_of(answer: httpx.Response) -> dict[str, list[str]]:
    """Directives of the answer's Content-Security-Policy."""
    parts = [part.split() for part in answer.headers["content-security-policy"].split(";")]
    return {name: values for name, *values in parts}


async def test_every_view_has_an_address_that_shows_the_page_as_it_is_now(open_api: OpenApi, files: Files) -> None:
    async with open_api(dashboard=files) as api:
        for path in VIEWS:
            answer = await api.client.get(f"{path}?product=agents&view=features", headers=BROWSER)
            assert (answer.status_code, answer.text) == (200, PAGE)
            assert answer.headers["content-type"] == "text/html; charset=utf-8"
            assert answer.headers["cache-control"] == "no-cache"
            again = await api.client.get(path, headers={**BROWSER, "If-None-Match": answer.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["content-security-policy"] == answer.headers["content-security-policy"]
            head = await api.client.head(path, headers=BROWSER)
            assert (head.status_code, head.content) == (200, b"")


async def test_the_page_may_load_and_ask_nothing_beyond_its_origin(open_api: OpenApi, files: Files) -> None:
    async with open_api(dashboard=files) as api:
        answer = await api.client.get("/", headers=BROWSER)
    policy = policy_of(answer)
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == ["'none'"]
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == policy["form-action"] == ["'self'"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert not re.search(r"https?:|\*", answer.headers["content-security-policy"])
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert "camera=()" in answer.headers["permissions-policy"]


async def test_files_are_cached_permanently_and_sent_compressed(open_api: OpenApi, files: Files) -> None:
    async with open_api(dashboard=files) as api:
        zipped = await api.client.get("/assets/index-1a2b.js", headers={"Accept-Encoding": "br, gzip"})
        assert zipped.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert zipped.headers["content-type"].startswith("text/javascript")
        assert (zipped.headers["content-encoding"], zipped.headers["vary"]) == ("gzip", "Accept-Encoding")
        assert zipped.text == SCRIPT
        assert int(zipped.headers["content-length"]) == len(gzip.compress(SCRIPT.encode(), mtime=0))
        for accepted in ("identity", "br", "gzip;q=0, br", "gzip; q=0.0"):
            plain = await api.client.get("/assets/index-1a2b.js", headers={"Accept-Encoding": accepted})
            assert "content-encoding" not in plain.headers, accepted
            assert (plain.text, plain.headers["vary"]) == (SCRIPT, "Accept-Encoding")
        small = await api.client.get("/assets/index-3c4d.css")
        assert (small.text, small.headers["content-type"]) == ("a{}", "text/css; charset=utf-8")
        assert "content-encoding" not in small.headers, "compressing would make it larger"
        assert (await api.client.get("/assets/flag-5e6f.svg")).headers["content-type"] == "image/svg+xml"
        icon = await api.client.get("/favicon.svg")  # its name stays the same when its content changes
        assert (icon.status_code, icon.headers["cache-control"]) == (200, "no-cache")


@pytest.mark.parametrize(
    "path",
    [
        "/assets/nothing.js", "/assets/", "/assets/..%2f.stamp", "/assets/%2e%2e/.stamp", "/assets/..%2f..%2f..%2fsecret.js",
        "/assets/..%5c.stamp", "/assets/%00", "/.stamp", "/assets/link.js", "/.vite/manifest.json", "/color-scheme.js", "/index.html", "/dist/index.html",
        "/assets//etc/passwd", "/assets/%2fetc%2fpasswd",
    ],
)  # fmt: skip
async def test_nothing_else_of_the_disk_can_be_had(open_api: OpenApi, files: Files, path: str) -> None:
    async with open_api(dashboard=files) as api:
        answer = await api.client.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
        assert "not yours" not in answer.text


async def test_who_goes_astray_in_a_browser_sees_the_page_and_a_program_a_problem(
    open_api: OpenApi, files: Files
) -> None:
    async with open_api(dashboard=files) as api:
        lost = await api.client.get("/usage/old-link", headers=BROWSER)
        assert (lost.status_code, lost.headers["content-type"]) == (404, "text/html; charset=utf-8")
        assert "/assets/index-1a2b.js" in lost.text
        for path in ("/api/v1/nothing", "/assets/nothing.js"):
            assert (await api.client.get(path, headers=BROWSER)).headers["content-type"] == "application/problem+json"
        program = await api.client.get("/usage/old-link", headers={"Accept": "*/*"})
        assert (program.status_code, program.headers["content-type"]) == (404, "application/problem+json")
        assert (await api.client.post("/usage/old-link", headers=BROWSER)).status_code == 404
        assert (await api.client.post("/", headers=BROWSER)).status_code == 405


async def test_a_server_without_the_dashboard_says_so_and_what_to_do(open_api: OpenApi, db: TableRows) -> None:
    await db.organization()
    async with open_api() as api:
        page = await api.client.get("/", headers=BROWSER)
        assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
        assert "./flexcredits up" in page.text
        assert "DASHBOARD_FOLDER" in page.text
        assert policy_of(page)["default-src"] == ["'none'"]
        assert "not built" in (await api.client.get("/")).json()["detail"]
        assert (await api.ask("/api/v1/overview")).status_code == 200


async def test_every_other_answer_may_load_nothing_and_the_documentation_only_its_own(open_api: OpenApi) -> None:
    async with open_api() as api:
        answer = await api.ask("/api/v1/overview")
        assert policy_of(answer)["default-src"] == ["'none'"]
        docs = await api.client.get("/docs")
    (script,) = re.findall(r"<script>(.*?)</script>", docs.text, re.DOTALL)
    source = f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'"
    assert policy_of(docs)["script-src"] == ["'self'", source]


@pytest.mark.parametrize("missing", ["index.html", "dist"])
def test_no_page_is_no_dashboard(folder: Path, missing: str) -> None:
    wanted = folder if missing == "dist" else folder / missing
    wanted.rename(folder.parent / "elsewhere")
    assert read_dashboard(folder) is None


def test_the_pages_are_public_by_name_and_nothing_beside_them() -> None:
    assert {*VIEWS, *FILES} <= PUBLIC
    app = build_app(None)
    assert find_open_routes(app) == []
    app.add_api_route("/assets/private/{name}", lambda: None)
    assert find_open_routes(app) == ["/assets/private/{name}"]

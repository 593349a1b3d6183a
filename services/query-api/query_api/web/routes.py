"""GET / and the files that belong to it: the dashboard, served from memory on the API's own origin.

The page loads all data from the API, so the files contain no customer data and need no policy.
"""

import re
from collections.abc import Mapping

from fastapi import APIRouter, Request, Response

from query_api.http.etags import names_tag
from query_api.http.problems import ApiProblem
from query_api.web.files import PAGE, BuiltFile

VIEWS = ("/", "/me", "/connections")
"""Paths of the dashboard. Any other path returns the page with status 404, which then shows "not found"."""
FILES = ("/assets/{name}", "/color-scheme.js", "/favicon.svg")
DASHBOARD_PATHS = frozenset({*VIEWS, *FILES})

# No inline styles: an injected one could cover the figures on the page.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
PAGE_HEADERS = {
    "Content-Security-Policy": PAGE_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Vary": "Accept-Encoding",
}
# Revalidated on each visit: a cached page would refer to files that are gone after an update.
PAGE_KEPT = "no-cache"
# Names of assets contain a hash of their content.
ASSET_KEPT = "public, max-age=31536000, immutable"

NOT_BUILT = b"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>No dashboard</title>
<meta name="color-scheme" content="light dark">
<h1>The dashboard was not built</h1>
<p>This server runs without the dashboard's files, so there is no page to show. Its API works and is described at
<a href="/docs">/docs</a>.</p>
<p>For operators: <code>./flexcredits up</code> builds the dashboard. Elsewhere, run <code>npm ci</code> and
<code>npm run build</code> in <code>services/query-api/dashboard</code> and set its <code>dist</code> folder in
<code>DASHBOARD_FOLDER</code>.</p>
</html>
"""

router = APIRouter(include_in_schema=False)


async def get_page(request: Request) -> Response:
    if dashboard_of(request) is None and not is_navigation(request):
        raise ApiProblem(
            "not-found", "The dashboard was not built into this deployment; the API is described at /docs."
        )
    return answer_page(request, 200)


async def get_file(request: Request) -> Response:
    path = request.url.path.removeprefix("/")
    file = (dashboard_of(request) or {}).get(path)
    if file is None:
        raise ApiProblem("not-found", f"The dashboard has no file {path}.")
    return answer_file(request, file, 200, ASSET_KEPT if path.startswith("assets/") else PAGE_KEPT)


for _path in VIEWS:
    router.add_api_route(_path, get_page, methods=["GET", "HEAD"], name="get_page")
for _path in FILES:
    router.add_api_route(_path, get_file, methods=["GET", "HEAD"], name="get_file")


def dashboard_of(request: Request) -> Mapping[str, BuiltFile] | None:
    dashboard: Mapping[str, BuiltFile] | None = request.app.state.dashboard
    return dashboard


def is_navigation(request: Request) -> bool:
    """Whether a browser navigates to a page."""
    wants_page = "text/html" in request.headers.get("accept", "")
    return wants_page and request.method in ("GET", "HEAD") and not request.url.path.startswith(("/api/", "/assets/"))


def answer_page(request: Request, status: int) -> Response:
    """The dashboard's page, or a notice if the dashboard was not built."""
    dashboard = dashboard_of(request)
    if dashboard is None:
        return Response(NOT_BUILT, 404, {**PAGE_HEADERS, "Cache-Control": PAGE_KEPT}, media_type="text/html")
    return answer_file(request, dashboard[PAGE], status, PAGE_KEPT)


def answer_file(request: Request, file: BuiltFile, status: int, kept: str) -> Response:
    headers = {**PAGE_HEADERS, "Cache-Control": kept, "ETag": file.tag}
    if status == 200 and names_tag(request.headers, file.tag):
        return Response(status_code=304, headers=headers)
    if file.zipped is not None and accepts_gzip(request):
        return Response(file.zipped, status, {**headers, "Content-Encoding": "gzip"}, media_type=file.media_type)
    return Response(file.body, status, headers, media_type=file.media_type)


def accepts_gzip(request: Request) -> bool:
    """Whether Accept-Encoding names gzip with a weight other than 0 (RFC 9110, 12.5.3)."""
    accepted = request.headers.get("accept-encoding", "")
    return re.search(r"\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))", accepted) is not None

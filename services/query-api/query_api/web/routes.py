"""GET / and the files that belong to it: the dashboard, served from memory on the API's own origin.

The page asks the API for everything, so it holds nobody's data and needs no policy.
"""

import re
from collections.abc import Mapping

from fastapi import APIRouter, Request, Response

from query_api.http.etags import has
from query_api.http.problems import ApiProblem
from query_api.web.files import PAGE, BuiltFile

VIEWS = ("/",)
"""Addresses of the dashboard. Any other shows the page too, which says that there is none, with status 404."""
FILES = ("/assets/{name}", "/color-scheme.js", "/favicon.svg")
PATHS = frozenset({*VIEWS, *FILES})

# No inline style either: an injected one could draw over the page's numbers.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Vary": "Accept-Encoding",
}
# Asked for again every time: a page that a cache kept would lead to files that are gone after an update.
PAGE_KEPT = "no-cache"
# The names of assets change with their content.
ASSET_KEPT = "public, max-age=31536000, immutable"

NOT_BUILT = b"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>No dashboard</title>
<meta name="color-scheme" content="light dark">
<h1>The dashboard was not built</h1>
<p>This server runs without the dashboard's files, so there is no page to show. Its API works and is described at
<a href="/docs">/docs</a>.</p>
<p>For whoever runs it: <code>./flexcredits up</code> builds the dashboard. Elsewhere, run <code>npm ci</code> and
<code>npm run build</code> in <code>services/query-api/dashboard</code> and name its <code>dist</code> folder in
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
    """Whether it is a person who goes to an address of ours with a browser."""
    wants_page = "text/html" in request.headers.get("accept", "")
    return wants_page and request.method in ("GET", "HEAD") and not request.url.path.startswith(("/api/", "/assets/"))


def answer_page(request: Request, status: int) -> Response:
    """The dashboard's page; one that says so where it was not built."""
    dashboard = dashboard_of(request)
    if dashboard is None:
        return Response(NOT_BUILT, 404, {**HEADERS, "Cache-Control": PAGE_KEPT}, media_type="text/html")
    return answer_file(request, dashboard[PAGE], status, PAGE_KEPT)


def answer_file(request: Request, file: BuiltFile, status: int, kept: str) -> Response:
    headers = {**HEADERS, "Cache-Control": kept, "ETag": file.tag}
    if status == 200 and has(request.headers, file.tag):
        return Response(status_code=304, headers=headers)
    if file.zipped is not None and accepts_gzip(request):
        return Response(file.zipped, status, {**headers, "Content-Encoding": "gzip"}, media_type=file.media_type)
    return Response(file.body, status, headers, media_type=file.media_type)


def accepts_gzip(request: Request) -> bool:
    """RFC 9110, 12.5.3: named, and not with the weight 0."""
    accepted = request.headers.get("accept-encoding", "")
    return re.search(r"\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))", accepted) is not None

"""GET /docs and its files: the API documentation."""

from base64 import b64encode
from hashlib import sha256
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html

from query_api.description.topics import with_ingest

router = APIRouter(include_in_schema=False)

DOCS_PATHS = frozenset({"/openapi.json", "/docs", "/docs/openapi.json", "/docs/assets"})

DOCS_POLICY = (
    "default-src 'none'; script-src 'self' '{script}'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


@router.get("/docs")
async def get_docs() -> Response:
    answer = get_swagger_ui_html(
        openapi_url="/docs/openapi.json",
        title="FlexCredits API",
        swagger_js_url="/docs/assets/swagger-ui-bundle.js",
        swagger_css_url="/docs/assets/swagger-ui.css",
        swagger_favicon_url="/docs/assets/favicon.png",
    )
    script = bytes(answer.body).partition(b"<script>")[2].partition(b"</script>")[0]
    source = f"sha256-{b64encode(sha256(script).digest()).decode()}"
    answer.headers["Content-Security-Policy"] = DOCS_POLICY.format(script=source)
    return answer


@router.get("/docs/openapi.json")
async def get_both_descriptions(request: Request) -> dict[str, Any]:
    return with_ingest(request.app.openapi())

"""The HTTP application: routes of all topics, each with a policy, and the middleware."""

from collections.abc import Mapping
from importlib.metadata import version

from fastapi import Depends, FastAPI
from fastapi.routing import iter_route_contexts
from fastapi.staticfiles import StaticFiles

from query_api.access.audit_log import routes as audit_log
from query_api.access.dependencies import POLICIES, refuse_repeated
from query_api.access.sign_in import routes as sign_in
from query_api.access.state import AppState
from query_api.alerts import routes as alerts
from query_api.alerts.channels import routes as alert_channels
from query_api.alerts.emails import routes as alert_emails
from query_api.alerts.settings import routes as alert_settings
from query_api.alerts.unsubscribe import routes as unsubscribe
from query_api.attributions.book import Books
from query_api.chargeback import routes as chargeback
from query_api.connections import routes as connections
from query_api.contracts import routes as contracts
from query_api.description import routes as docs
from query_api.description.describe import describe
from query_api.error_handlers import add_error_handlers
from query_api.explain import routes as explain
from query_api.exports import routes as exports
from query_api.exports.changes import routes as export_changes
from query_api.exports.focus import routes as focus_export
from query_api.exports.people import routes as people_export
from query_api.freshness import routes as freshness
from query_api.http.body_limit import BodyLimit
from query_api.http.etags import ConditionalRequests
from query_api.http.problems import answer_problem
from query_api.ledger.proof import routes as proof
from query_api.ledger.receipt import routes as receipt
from query_api.live import routes as live
from query_api.live.hub import LiveHub
from query_api.my_usage import routes as my_usage
from query_api.overview import routes as overview
from query_api.people import routes as people
from query_api.projection import routes as projection
from query_api.runs import routes as runs
from query_api.usage.breakdown import routes as breakdown
from query_api.usage.breakdown.names import Names
from query_api.usage.trend import routes as trend
from query_api.web import routes as web
from query_api.web.files import BuiltFile

PUBLIC = docs.DOCS_PATHS | {"/login", "/login/callback", "/logout"} | web.DASHBOARD_PATHS
"""The only routes without a policy: the API's description, the dashboard's files, which contain no customer data, and sign-in
and sign-out."""

ROUTERS = (
    overview.router,
    projection.router,
    freshness.router,
    alert_settings.router,  # this router and the next come before /alerts/{id}, which would match their paths
    alert_emails.router,
    alert_channels.router,
    alerts.router,
    unsubscribe.router,
    breakdown.router,
    trend.router,
    explain.router,
    runs.router,
    my_usage.router,
    people.router,
    contracts.router,
    chargeback.router,
    connections.router,
    proof.router,
    receipt.router,
    audit_log.router,
    sign_in.router,
    live.router,
    exports.router,
    people_export.router,
    focus_export.router,
    export_changes.router,
    web.router,
    docs.router,
)


def build_app(
    state: AppState | None, *, hub: LiveHub | None = None, dashboard: Mapping[str, BuiltFile] | None = None
) -> FastAPI:
    """The application. Without a state it can only produce its OpenAPI description.

    `dashboard` is None if it was not built or another server serves it.
    """
    api = FastAPI(
        title="FlexCredits query API",
        version=version("flexcredits-query-api"),
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
        dependencies=[Depends(refuse_repeated)],
    )
    api.state.query_api, api.state.hub, api.state.dashboard = state, hub or LiveHub(), dashboard
    api.state.names = Names()
    api.state.books = Books()
    for router in ROUTERS:
        api.include_router(router)
    api.mount("/docs/assets", StaticFiles(packages=[("fastapi_offline", "static")]))
    api.openapi = lambda: describe(api, PUBLIC)  # type: ignore[method-assign]
    api.add_middleware(ConditionalRequests)
    api.add_middleware(BodyLimit, answer=answer_problem)
    add_error_handlers(api)
    if open_routes := find_open_routes(api):
        raise RuntimeError(f"routes without a policy: {open_routes}")
    return api


def find_open_routes(api: FastAPI) -> list[str]:
    """Paths without a policy that are not in PUBLIC."""
    return [
        str(route.path)
        for route in iter_route_contexts(api.routes)
        if route.path not in PUBLIC
        and not POLICIES.intersection(
            dependency.call for dependency in getattr(getattr(route.route, "dependant", None), "dependencies", ())
        )
    ]

"""Paths of the query API, with the parameters that they need."""

PATHS = {
    "/api/v1/overview": "Overview",
    "/api/v1/projection": "ProjectionResponse",
    "/api/v1/projection?product=agents&agent=a1": "ProjectionResponse",
    "/api/v1/breakdown?product=agents&view=features&range=all": "Breakdown",
    "/api/v1/breakdown?product=agents&view=features&group_by=surface&from=2026-11&to=2026-12&limit=1": "Breakdown",
    "/api/v1/deleted-agents": "DeletedAgents",
    "/api/v1/trend?group_by=agent": "Trend",
    "/api/v1/explain?from=2026-11&to=2026-11&before_from=2026-08&before_to=2026-08&people=true": "Explanation",
    "/api/v1/usage/people?range=all": "People",
    "/api/v1/usage/people?by=group&membership=now&from=2026-11&to=2026-11": "People",
    "/api/v1/usage/drivers?product=agents": "Drivers",
    "/api/v1/freshness": "Freshness",
    "/api/v1/proof": "Proof",
    "/api/v1/proof?hours=24": "Proof",
    "/api/v1/banner": "Banner",
    "/api/v1/alerts?limit=1": "Alerts",
    "/api/v1/alerts/settings": "AlertSettingsResponse",
    "/api/v1/alerts/test-mail": "TestMails",
    "/api/v1/alert-channels": "Channels",
    "/api/v1/api-keys": "ApiKeys",
    "/api/v1/mappings/ready-made": "ReadyMadeMappings",
    "/api/v1/audit?limit=1": "AuditLog",
    "/api/v1/session": "SessionResponse",
    "/api/v1/credit-periods": "CreditPeriods",
    "/api/v1/reconcile": "Reconciliation",
    "/api/v1/usage/runs?range=all": "Runs",
    "/api/v1/me/usage?range=all": "MyUsage",
    "/api/v1/receipt?source=/products/api&id=event-1": "Receipt",
}

FILES = [
    "/api/v1/export/usage.csv",
    "/api/v1/export/people.csv",
    "/api/v1/export/table.csv?product=api&view=namespaces",
    "/api/v1/export/focus.csv",
]

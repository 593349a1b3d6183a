"""No parameter, path or body of a client causes an internal error, especially not with characters that Postgres cannot
store."""

from typing import Any
from urllib.parse import quote

from query_api.app import build_app
from query_api.description.examples import BODIES
from support.data.table_rows import TableRows
from support.services.query_api import Api

DESCRIPTION = build_app(None).openapi()
ODD = ["%00", "a%00b", "%0A", "%ff", "%ED%A0%80", "%F4%90%80%80", "%EF%BF%BF", "%25", "9" * 30, "x" * 3000]
PATHS = ["/%00", "/api/v1/%00", "/api/v1/alerts/%00", "/assets/%00", "/docs/assets/%00", "/a%ffb", "/..%2f..%2fetc"]


def requests() -> list[str]:
    """Each parameter of each GET with each unusual text; the other parameters have their example values."""
    found = [*PATHS]
    for path, methods in DESCRIPTION["paths"].items():
        parameters = [at for at in methods.get("get", {}).get("parameters", ()) if at["in"] in ("query", "path")]
        for odd_one in parameters if path != "/api/v1/live" else ():
            needed = [at for at in parameters if at is odd_one or at.get("required")]
            for odd in ODD:
                values = {at["name"]: odd if at is odd_one else quote(str(at["example"]), safe="") for at in needed}
                query = "&".join(f"{at['name']}={values[at['name']]}" for at in needed if at["in"] == "query")
                found.append(f"{path.format_map(values)}?{query}")
    return found


async def test_odd_characters_in_parameters_and_paths(api: Api, db: TableRows) -> None:
    await db.organization()
    asked = requests()
    assert len(asked) > 300
    answers = [(path, await api.ask(path)) for path in asked]
    assert [(path, answer.text) for path, answer in answers if answer.status_code >= 500] == []


def changed(value: Any, odd: str) -> list[Any]:
    """Copies of the value, each with one of its texts changed."""
    if isinstance(value, str):
        return [value + odd, odd]
    if isinstance(value, dict):
        return [{**value, name: other} for name, inner in value.items() for other in changed(inner, odd)]
    if isinstance(value, list):
        return [
            [*value[:at], other, *value[at + 1 :]] for at, inner in enumerate(value) for other in changed(inner, odd)
        ]
    return []


async def test_odd_characters_in_bodies(api: Api, db: TableRows) -> None:
    await db.organization()
    failed, asked = [], 0
    for path, methods in DESCRIPTION["paths"].items():
        for method in [method for method, operation in methods.items() if "requestBody" in operation]:
            for odd in ("\0", "\ud800", "\n", "\uffff", "x" * 5000):
                for body in changed(BODIES[path], odd):
                    answer = await api.send(method.upper(), path.replace("{", "").replace("}", ""), body)
                    failed += [(method, path, body, answer.text)] * (answer.status_code >= 500)
                    asked += 1
    assert asked > 20
    assert failed == []

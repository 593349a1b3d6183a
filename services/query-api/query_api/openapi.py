"""The OpenAPI description: `python -m query_api.openapi` writes schemas/http/query-api.json, --check compares."""

import json
import sys

from flexcredits_schemas import SCHEMAS

from query_api.app import build_app

TARGET = SCHEMAS / "http" / "query-api.json"


def render() -> str:
    return json.dumps(build_app(None).openapi(), indent=2) + "\n"


def main() -> None:
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(render())
    elif TARGET.read_text() != render():
        sys.exit(f"{TARGET.name} differs from the code: run python -m query_api.openapi")


if __name__ == "__main__":
    main()

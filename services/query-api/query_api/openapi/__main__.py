"""python -m query_api.openapi writes schemas/http/query-api.json; with --check it compares."""

from query_api.openapi.export import main

if __name__ == "__main__":
    main()

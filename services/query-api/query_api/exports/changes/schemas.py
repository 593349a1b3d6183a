"""Answers about files of the past."""

from typing import Any

from pydantic import Field

from query_api.http.fields import ResponseBody


class ExportedFile(ResponseBody):
    """A file that was sent whole."""

    manifest: dict[str, Any] = Field(description="As `GET /api/v1/export/manifests/{export_id}`.")
    signed: bool
    reproducible: bool = Field(description="Whether its lines are still kept, for `file`. The newest files are kept.")


class ExportedFiles(ResponseBody):
    exports: list[ExportedFile]

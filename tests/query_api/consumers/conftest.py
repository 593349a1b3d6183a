"""Files of the query API for the programs that read them."""

from pathlib import Path

import pytest
from support.data.awkward_usage import download, fill
from support.data.table_rows import TableRows
from support.services.query_api import Api


@pytest.fixture
async def files(api: Api, db: TableRows, tmp_path: Path) -> Path:
    """Their folder."""
    await fill(db)
    folder = tmp_path / "files"
    folder.mkdir()
    await download(api, folder)
    return folder

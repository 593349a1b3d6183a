"""The house: no folder grows beyond nine files, and nothing imports in a circle."""

import pytest
from support.repository.structure import FILES_AT_MOST, Source, sources


@pytest.mark.parametrize("source", list(sources()), ids=lambda source: source.root.name)
def test_folders_are_small_and_import_in_one_direction(source: Source) -> None:
    folders = list(source.folders())
    assert folders
    assert [folder for folder in folders if folder.circle] == []
    assert [folder for folder in folders if folder.files > FILES_AT_MOST] == []

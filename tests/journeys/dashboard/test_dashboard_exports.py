"""Tests of downloaded files in a real browser: a file from the menu, a late event, and the list that names it."""

import asyncio
import hashlib
import io
import json
import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pyarrow.parquet as pq
import pytest
from playwright.async_api import Browser, expect
from support.clients.browser import Who, needs_chromium, visiting
from support.data.dashboard_data import member
from support.data.factories import correction, organization, rfc3339, usage
from support.infra.full_stack import WholeStack
from support.infra.service_process import eventually

pytestmark = [needs_chromium, pytest.mark.slow, pytest.mark.timeout(300)]


async def until_used(stack: WholeStack, name: str, credits: str) -> None:
    def is_used() -> bool:
        answer = stack.get("breakdown", organization=name, product="assistant", view="tools", range="all")
        return Decimal(answer["total"]) == Decimal(credits)

    await eventually(is_used, within_s=60, what=f"{name} at {credits}")


async def test_a_late_event_is_in_the_changes_of_a_downloaded_file(
    stack: WholeStack, browser: Browser, tmp_path: Path
) -> None:
    name = f"org_files_{uuid4().hex[:8]}"
    at = datetime.now(UTC) - timedelta(hours=2)
    first = usage(
        feature="jira_search", surface="slack", credits="5", envelope={"subject": name, "time": rfc3339(at), "id": uuid4().hex}
    )  # fmt: skip
    stack.post([organization(name), member(name, "Ada", "super_admin"), first]).raise_for_status()
    await until_used(stack, name, "5")
    async with visiting(browser, stack.origin, accept_downloads=True) as visit:
        await visit.sign_in(Who(name), "/?product=assistant&view=tools&range=all")
        await visit.page.get_by_role("button", name="More formats").click()
        async with visit.page.expect_download() as downloading:
            await visit.page.get_by_role("menuitem", name="All usage (.csv)").click()
        file = Path(await (await downloading.value).path()).read_bytes()

        late = usage(
            feature="web_search", surface="web", credits="2.25", envelope={"subject": name, "time": rfc3339(at)}
        )
        stack.post([late, correction(first, "-1", time=rfc3339(at))]).raise_for_status()
        await until_used(stack, name, "6.25")

        await visit.page.get_by_role("button", name="More formats").click()
        await visit.page.get_by_role("menuitem", name="Downloaded files").click()
        await expect(visit.page).to_have_url(re.compile("panel=exports"))
        panel = visit.page.get_by_role("dialog", name="Downloaded files")
        exported = panel.get_by_test_id("exported-file").first
        await expect(exported).to_contain_text(f"flexcredits_{name}_")
        await expect(exported).to_contain_text("5 credits · 1 line")
        button = exported.get_by_role("button", name="What has changed")
        await button.focus()
        await visit.page.keyboard.press("Enter")
        await expect(button).to_have_attribute("aria-expanded", "true")
        causes = exported.get_by_role("row")
        await expect(causes).to_have_text(
            ["CauseChangesCredits", "Counted since1+2.25", "Corrected1−1.00", "Difference+1.25"]
        )
        changes = exported.get_by_role("list", name="largest changes").get_by_role("listitem")
        await expect(changes).to_have_count(2)
        await expect(changes.first).to_contain_text("web_search · web+2.25")
        await expect(changes.first).to_contain_text("Counted since")
        await visit.assert_accessible("downloaded files")

        found = {}
        for link in ("Same file again", "Manifest", "Signature"):
            async with visit.page.expect_download() as downloading:
                await exported.get_by_role("link", name=link).click()
            download = await downloading.value
            found[link] = tmp_path / download.suggested_filename
            await download.save_as(found[link])
        assert found["Same file again"].read_bytes() == file
        assert json.loads(found["Manifest"].read_text())["sha256"] == hashlib.sha256(file).hexdigest()
        assert found["Signature"].name == f"{found['Manifest'].name}.minisig"
        if minisign := shutil.which("minisign"):
            key = await visit.page.evaluate("fetch('/api/v1/export/key.pub').then(answer => answer.text())")
            (tmp_path / "key.pub").write_text(key)
            command = [minisign, "-V", "-p", str(tmp_path / "key.pub"), "-m", str(found["Manifest"])]
            await asyncio.to_thread(subprocess.run, command, check=True, timeout=20)
        await visit.page.keyboard.press("Escape")
        await expect(panel).to_have_count(0)


async def test_the_menu_has_files_by_person_and_each_is_compared(stack: WholeStack, browser: Browser) -> None:
    name = f"org_people_{uuid4().hex[:8]}"
    at = datetime.now(UTC) - timedelta(hours=2)

    def of_ada(credits: str) -> dict[str, object]:
        envelope = {"subject": name, "time": rfc3339(at), "id": uuid4().hex}
        return usage(
            feature="jira_search", surface="slack", credits=credits, actor={"id": "usr_ada"}, envelope=envelope
        )

    stack.post([organization(name), member(name, "Ada", "super_admin"), of_ada("5")]).raise_for_status()
    await until_used(stack, name, "5")
    async with visiting(browser, stack.origin, accept_downloads=True) as visit:
        await visit.sign_in(Who(name), "/?tab=people&range=all")
        await visit.page.get_by_role("button", name="More formats").click()
        await expect(visit.page.get_by_role("menuitem", name="Usage by person (.csv)")).to_be_visible()
        async with visit.page.expect_download() as downloading:
            await visit.page.get_by_role("menuitem", name="Usage by person (.parquet)").click()
        download = await downloading.value
        assert re.fullmatch(rf"flexcredits_{name}_.*_people\.parquet", download.suggested_filename)
        table = pq.read_table(io.BytesIO(Path(await download.path()).read_bytes()))
        assert (table.num_rows, sum(table["credits"].to_pylist())) == (1, Decimal(5))
        assert table["actor_kind"].to_pylist() == ["user"]

        async def changes() -> str:
            await visit.page.goto(f"{stack.origin}/?tab=people&range=all&panel=exports")
            exported = visit.page.get_by_test_id("exported-file").first
            await expect(exported).to_contain_text("5 credits · 1 line")
            await expect(exported.get_by_role("link", name="Same file again")).to_have_count(0)
            await exported.get_by_role("button", name="What has changed").click()
            return await exported.get_by_test_id("changes").inner_text()

        assert await changes() == "Nothing has changed since."
        await visit.assert_accessible("a file by person")
        stack.post([of_ada("2.25")]).raise_for_status()
        await until_used(stack, name, "7.25")
        text = await changes()
        assert "5 credits in the file, 7.25 today, difference +2.25" in text
        assert "Lines: 1 in the file, 1 today." in text

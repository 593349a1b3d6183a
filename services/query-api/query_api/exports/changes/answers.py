"""Answers about files of the past."""

from datetime import datetime

from flexcredits_schemas.credits import scaled_text

from query_api.exports.changes.again import Today
from query_api.exports.changes.differences import CAUSES, Difference
from query_api.exports.changes.reading import Compared
from query_api.exports.changes.schemas import (
    CauseTotal,
    Change,
    Changes,
    DayPrice,
    ExportedFile,
    ExportManifest,
    FileChanges,
    NotComparedDays,
    RePriced,
    WorthChange,
)
from query_api.exports.domain.focus import COST_PLACES
from query_api.exports.manifests.manifest import Manifest, read_manifest
from query_api.exports.manifests.queries import ListedManifest


def answer_file(listed: ListedManifest) -> ExportedFile:
    manifest = ExportManifest.model_validate(read_manifest(listed.manifest).body)
    return ExportedFile(manifest=manifest, signed=listed.is_signed, reproducible=listed.is_kept)


def answer_changes(
    export_id: str, compared: Compared, time_zone: str | None, complete_to: datetime | None, limit: int
) -> Changes:
    then, now = compared.then, compared.now
    return Changes(
        export_id=export_id,
        credits_before=then.credits,
        credits_now=now.credits,
        difference=now.credits - then.credits,
        events_before=then.events,
        events_now=now.events,
        causes=[
            CauseTotal(
                cause=cause,
                credits=compared.totals[cause].credits,
                events=compared.totals[cause].events,
                changes=compared.numbers[cause],
            )
            for cause in CAUSES
        ],
        worth=[
            WorthChange(
                currency=currency,
                before=scaled_text(amounts.before, COST_PLACES),
                used=scaled_text(amounts.used, COST_PLACES),
                re_rated=scaled_text(amounts.re_rated, COST_PLACES),
                now=scaled_text(amounts.now, COST_PLACES),
            )
            for currency, amounts in sorted(compared.worth.items(), key=lambda each: each[0] or "")
        ],
        re_rated=[
            RePriced(
                day=change.day,
                before=DayPrice(currency=change.before[0], credit=change.before[1]),
                now=DayPrice(currency=change.now[0], credit=change.now[1]),
            )
            for change in compared.prices[-limit:]
        ],
        changes=[answer_change(each) for each in compared.largest],
        left_out=sum(compared.numbers.values()) - compared.numbers["re_rated"] - len(compared.largest),
        not_compared=[
            NotComparedDays(
                **{"from": each.days.first}, to=each.days.last, credits=each.then.credits, events=each.then.events
            )
            for each in compared.not_compared
        ],
        time_zone=time_zone,
        complete_to=complete_to,
    )


def answer_file_changes(
    manifest: Manifest, today: Today, is_kept: bool, time_zone: str | None, complete_to: datetime | None
) -> FileChanges:
    """Of a file that is kept, today's one was written with the metadata of then."""
    then = manifest.credits
    has_time = not is_kept and (manifest.body["dataset"], manifest.body["format"]) == ("focus", "parquet")
    return FileChanges(
        export_id=manifest.body["id"],
        same_bytes=None if has_time else today.sha256 == manifest.body["sha256"],
        lines_before=manifest.body["lines"],
        lines_now=today.lines,
        credits_before=then,
        credits_now=today.credits,
        difference=None if then is None or today.credits is None else today.credits - then,
        sha256_before=manifest.body["sha256"],
        sha256_now=today.sha256,
        time_zone=time_zone,
        complete_to=complete_to,
    )


def answer_change(difference: Difference) -> Change:
    label = difference.label
    return Change(
        cause=difference.cause,
        day=difference.day,
        product=label.product,
        kind=label.kind,
        category=difference.category,
        feature=label.feature,
        feature_name=label.feature_name,
        agent_id=label.agent_id,
        agent_name=label.agent_name,
        surface=label.surface,
        credits=difference.credits,
        events=difference.events,
    )

"""/api/v1/api-keys and /api/v1/mappings: keys of the organization, and what foreign events with them mean."""

import json
import re
from itertools import islice
from math import isfinite
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Header, Path, Request, Response
from flexcredits_schemas.mapping.document import InvalidMapping, decode_stored, encode_document
from flexcredits_schemas.mapping.foreign import InvalidJson
from flexcredits_schemas.mapping.readers.pasted import read_pasted
from flexcredits_schemas.mapping.ready_made import example_of, ready_made

from query_api.access.audit import audit
from query_api.access.dependencies import CurrentUser, SuperAdminAccess, SuperAdminReadAccess
from query_api.access.state import app_state
from query_api.connections.domain import EVENTS_MAX, Tried, check_document, try_event
from query_api.connections.queries import (
    StoredKey,
    StoredMapping,
    delete_mapping,
    save_mapping,
    select_api_keys,
    select_mapping,
)
from query_api.connections.schemas import (
    ApiKey,
    ApiKeys,
    Failure,
    LastChange,
    MappingResponse,
    ReadyMadeMapping,
    ReadyMadeMappings,
    Trial,
    TriedEvent,
    TryRequest,
)
from query_api.db.session import ReadSession
from query_api.http.etags import digest
from query_api.http.problems import ApiProblem, ParameterError, problems

router = APIRouter(prefix="/api/v1")

KeyId = Annotated[str, Path(pattern=r"^[0-9A-Za-z]{1,64}$", description="Id of an API key.", examples=["4kQ9vT2mXa7B"])]
IfMatch = Annotated[str | None, Header(description="ETag of the mapping to change.", examples=['"0"'])]

_numbers = msgspec.json.Encoder(decimal_format="number")

DIGITS_MAX = 15

NONE = "0"
"""The version without a mapping."""
# Proxies that compress make tags weak. The tag is a version, so weak and strong are equivalent.
_VERSION_TAG = re.compile(r'(?:W/)?"([0-9a-f]{1,32})"', re.ASCII)
TAGGED: dict[int | str, dict[str, Any]] = {
    200: {
        "headers": {
            "ETag": {"schema": {"type": "string"}, "description": "The version. Pass it as If-Match to save or remove."}
        }
    }
}


@router.get("/api-keys")
async def get_api_keys(principal: CurrentUser, session: SuperAdminReadAccess) -> ApiKeys:
    """Keys that are only for this organization. For Super Admins."""
    return ApiKeys(keys=[answer_key(key) for key in await select_api_keys(session, principal.organization)])


@router.get("/api-keys/{key_id}/mapping", responses=TAGGED)
async def get_mapping(
    response: Response, principal: CurrentUser, session: SuperAdminReadAccess, key_id: KeyId
) -> MappingResponse:
    """The mapping of a key. For Super Admins."""
    return answer_mapping(await find_mapping(session, principal.organization, key_id), response)


@router.put("/api-keys/{key_id}/mapping", responses=TAGGED | problems(412, 428))
async def put_mapping(
    request: Request,
    response: Response,
    principal: CurrentUser,
    session: SuperAdminAccess,
    key_id: KeyId,
    asked: dict[str, Any],
    if_match: IfMatch = None,
) -> MappingResponse:
    """Save the mapping of a key, unless it was changed since it was read. Ingest applies it within 5 s. For Super
    Admins."""
    # The body itself: in `asked`, numbers are floats.
    document = check(await request.body(), principal.organization)
    before = await find_version(session, principal.organization, key_id, if_match)
    who = principal.email or principal.subject
    is_saved = await save_mapping(session, key_id, document, who, before.updated_at)
    after = await find_mapping(session, principal.organization, key_id)
    if not is_saved:
        raise changed_meanwhile(after)
    await audit(session, principal, "mapping.save", describe_change(key_id, before, after))
    return answer_mapping(after, response)


@router.delete("/api-keys/{key_id}/mapping", status_code=204, responses=problems(412, 428))
async def remove_mapping(
    principal: CurrentUser, session: SuperAdminAccess, key_id: KeyId, if_match: IfMatch = None
) -> None:
    """Remove the mapping of a key, unless it was changed since it was read. For Super Admins."""
    before = await find_version(session, principal.organization, key_id, if_match)
    if before.updated_at is None:
        raise ApiProblem("no-such-mapping", "This key has no mapping.")
    is_removed = await delete_mapping(session, key_id, before.updated_at)
    after = await find_mapping(session, principal.organization, key_id)
    if not is_removed:
        raise changed_meanwhile(after)
    await audit(session, principal, "mapping.remove", describe_change(key_id, before, after))


@router.get("/mappings/ready-made")
async def get_ready_made_mappings(session: SuperAdminReadAccess) -> ReadyMadeMappings:
    """Mappings to begin with, for each kind of program. For Super Admins."""
    return ReadyMadeMappings(
        mappings=[
            ReadyMadeMapping(
                name=each.name,
                title=each.title,
                protocol=each.document.rules[0].protocol,
                document=json.loads(each.text),
                example=example_of(each.name),
            )
            for each in ready_made().values()
        ]
    )


@router.post("/mappings/try")
async def try_mapping(
    request: Request, principal: CurrentUser, session: SuperAdminReadAccess, asked: TryRequest
) -> Trial:
    """What a mapping makes of events: usage, or the rule and field that fail. Stores nothing. For Super Admins."""
    await session.finish()
    try:
        _, mapping = check_document(member(await request.body(), "document"), principal.organization)
    except InvalidMapping as error:
        mistake = ParameterError(pointer=error.pointer, detail=error.detail)
        return Trial(mistakes=[mistake], unreadable=None, events=[])
    try:
        found = read_pasted(asked.protocol, asked.event, app_state(request).now()) if asked.event.strip() else ()
        pasted = list(islice(found, EVENTS_MAX + 1))
    except InvalidJson as error:
        return Trial(mistakes=[], unreadable=str(error), events=[])
    if len(pasted) > EVENTS_MAX:
        return Trial(mistakes=[], unreadable=f"More than {EVENTS_MAX} events.", events=[])
    events = [answer_tried(try_event(mapping, asked.protocol, event)) for event in pasted]
    return Trial(mistakes=[], unreadable=None, events=events)


def member(body: bytes, name: str) -> bytes:
    """A member of a JSON object, as it was sent. Raises InvalidMapping: Python's JSON takes texts that are no Unicode."""
    try:
        return bytes(msgspec.json.decode(body, type=dict[str, msgspec.Raw])[name])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidMapping(f"not valid JSON: {error}", "") from None


def check(text: bytes, organization: str) -> str:
    """The document as it is stored. Raises ApiProblem."""
    try:
        document, _ = check_document(text, organization)
    except InvalidMapping as error:
        mistake = ParameterError(pointer=error.pointer, detail=error.detail)
        raise ApiProblem("invalid-parameter", str(error), errors=[mistake]) from None
    return encode_document(document).decode()


async def find_mapping(session: ReadSession, organization: str, key_id: str) -> StoredMapping:
    """Raises ApiProblem if the organization has no such key of its own."""
    found = await select_mapping(session, organization, key_id)
    if found is None:
        raise ApiProblem("no-such-key", "This organization has no API key of its own with this id.")
    return found


async def find_version(session: ReadSession, organization: str, key_id: str, if_match: str | None) -> StoredMapping:
    """The mapping. Raises ApiProblem unless If-Match names its version."""
    if if_match is None:
        raise ApiProblem(
            "precondition-required", 'Send the ETag of the mapping as `If-Match`; without a mapping it is `"0"`.'
        )
    mapping = await find_mapping(session, organization, key_id)
    if version_of(mapping) not in _VERSION_TAG.findall(if_match):
        raise changed_meanwhile(mapping)
    return mapping


def changed_meanwhile(mapping: StoredMapping) -> ApiProblem:
    if mapping.updated_at is None:
        return ApiProblem("changed-meanwhile", "This key has no mapping: start from version 0.")
    return ApiProblem(
        "changed-meanwhile",
        f"{mapping.updated_by} saved this mapping at {mapping.updated_at:%Y-%m-%d %H:%M} UTC. Reload, then change that.",
        updated_by=mapping.updated_by,
        updated_at=mapping.updated_at,
    )


def version_of(mapping: StoredMapping) -> str:
    if mapping.document is None:
        return NONE
    return digest(f"{mapping.updated_at} {mapping.document}".encode())


def describe_change(key_id: str, before: StoredMapping, after: StoredMapping) -> dict[str, Any]:
    """Details of an audit entry: the documents."""
    documents = (json.loads(each.document or "{}") for each in (before, after))
    return {"api_key": key_id, **dict(zip(("before", "after"), documents, strict=True))}


def answer_key(key: StoredKey) -> ApiKey:
    changed = LastChange(updated_at=key.mapped_at, updated_by=key.mapped_by or "") if key.mapped_at else None
    return ApiKey(
        id=key.key_id, products=key.products, created_at=key.created_at, expires_at=key.expires_at, mapping=changed
    )


def answer_mapping(mapping: StoredMapping, response: Response) -> MappingResponse:
    version = version_of(mapping)
    response.headers["ETag"] = f'"{version}"'
    return MappingResponse(
        version=version,
        document=None if mapping.document is None else write_document(mapping.document),
        updated_at=mapping.updated_at,
        updated_by=mapping.updated_by,
    )


def write_document(stored: str) -> dict[str, Any]:
    """The document with its members in the order of its description; Postgres keeps them in another."""
    document: dict[str, Any] = json.loads(encode_document(decode_stored(stored.encode())))
    return document


def plain(event: Any) -> Any:
    """The event with numbers that JSON of the answer can have; others, which no double holds, are texts."""
    return json.loads(
        _numbers.encode(event),
        parse_float=lambda text: float(text) if isfinite(float(text)) else text,
        parse_int=lambda text: int(text) if len(text) <= DIGITS_MAX else text,
    )


def answer_tried(tried: Tried) -> TriedEvent:
    failure = tried.failure
    return TriedEvent(
        id=tried.id,
        outcome=tried.outcome,
        rule=tried.rule or None,
        event=plain(tried.event),
        usage=None if tried.usage is None else json.loads(msgspec.json.encode(tried.usage)),
        failure=failure and Failure.model_validate(failure),
    )

"""The heads of usage that the codec accepted: what a usage event says apart from its id, source, time, amount and who used
it; and the attributions, which say who used it."""

import msgspec
from flexcredits_schemas.codec import decode
from flexcredits_schemas.events import GroupId, Usage, UsageActor, UsageAgent, UsageData
from msgspec import Raw, Struct

from aggregator.domain.people.attribution import NO_LABELS, Attribution, attribution_of

BYTES_MAX = 96 * 2**20
"""Memory of all heads. A head of the usual 200 bytes costs about 800, so about 120,000 fit."""
HEAD_BYTES_MAX = 1_500
"""A longer head is not kept."""
ATTRIBUTION_BYTES_MAX = 96 * 2**20
"""Memory of all attributions. One of the usual 60 bytes costs about 700, so about 140,000 fit."""
RECORDS_MAX = 20_000_000
"""Heads are dropped after so many records, so that features and agents that are no longer used take no room. To learn
60,000 heads again costs less than 1 s, in about 5 minutes of full load."""
SOURCES_MAX = 200
"""Sources kept per organization."""
_HEAD_BYTES = 400
"""Memory of a head apart from twice its length: its series, agent and entries."""
_SOURCE_BYTES = 500
_ORGANIZATION_BYTES = 600
_ENVELOPE_BYTES = len(
    '{"type":"flexcredits.usage.v1","specversion":"1.0","id":"","source":"","subject":"","time":"","data":}'
)
_NO_ENVELOPE = -(2**40)
_ATTRIBUTION_BYTES = 500
"""Memory of an attribution apart from four times its length: its texts and its entries here and in the catalog."""
NO_ATTRIBUTION = -1
"""Number of the attribution of usage without actor, group and labels."""
REFUSED = -2
_EXAMPLE = (
    b'{"specversion":"1.0","id":"x","source":"/x","type":"flexcredits.usage.v1","subject":"x","time":"2026-01-01T00:00:00Z",'
    b'"data":{"product":"assistant","feature_kind":"tool","feature":"x"%b,"credits":"1"}}'
)


class _Members(Struct, forbid_unknown_fields=True, gc=False):
    """The members that an attribution may have."""

    actor: UsageActor | None = None
    group: GroupId | None = None
    labels: Raw = Raw()


_decode_members = msgspec.json.Decoder(_Members).decode


def _read_attribution(organization: str, members: bytes) -> Attribution | None:
    named = _decode_members(b"{%b}" % members[1:])
    is_plain = members.isascii() and b"\\" not in members and b"\x7f" not in members
    if is_plain and named.actor is not None and not named.labels:
        # Of such texts, the codec checks only the types, which are the same. This takes a third of the time.
        return Attribution(organization, named.actor.kind, named.actor.id, named.group or "", NO_LABELS)
    event = decode(_EXAMPLE % members)
    assert isinstance(event, Usage)
    return attribution_of(organization, event.data)


def _has_more(data: UsageData) -> bool:
    """Whether data says who used it, or has several quantities, which only the exact path reads."""
    return bool(data.actor or data.group or data.labels or data.run or data.quantities)


class OrganizationHeads:
    """The heads and sources of one organization."""

    __slots__ = ("attribution_bytes", "attributions", "bytes", "numbers", "sources")

    def __init__(self) -> None:
        self.numbers: dict[bytes, int] = {}
        """Number of each head, by its key (see split.py)."""
        self.sources: dict[str, tuple[bytes, int]] = {}
        """By source: what precedes an id of 36 bytes in the message that is hashed to its identity, and the length of
        the shortest envelope without its id and time."""
        self.bytes = 0
        self.attributions: dict[bytes, int] = {}
        """Number of each attribution, by the members of data that name it (see split_who)."""
        self.attribution_bytes = 0


class Heads:
    """Numbers heads from 0. A number never changes its meaning; a process starts with an empty Heads again after
    RECORDS_MAX records (see `is_used_up`), and columns hold the Heads of their numbers.

    An organization may fill as much memory as is still free, but no more (dynamic thresholds, Choudhury and Hahne,
    1998). So one organization takes at most half, and one that sends another feature or agent with each event neither
    displaces the heads of others nor keeps them from adding theirs. Usage whose head finds no room takes the exact
    path.
    """

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        self.organizations: dict[str, OrganizationHeads] = {}
        self.series: list[tuple[str, str, str, str, str, str]] = []
        """By number of the head: the fields of SeriesKey."""
        self.agents: list[UsageAgent | None] = []
        self.units: list[str | None] = []
        """None: the amount is in credits."""
        self.attributions: list[Attribution] = []
        """By number of the attribution."""
        self.bytes = 0
        self.attribution_bytes = 0
        self._texts: dict[str, str] = {}
        """Each name once, because many series have it."""
        self.records = 0
        """The number of records read with these heads."""
        self._bytes_max = bytes_max

    def __len__(self) -> int:
        return len(self.series)

    @property
    def is_used_up(self) -> bool:
        return self.records >= RECORDS_MAX

    def learn(self, organization: str, key: bytes, value: bytes) -> int:
        """The number of a head, which is added if there is room and the codec accepts `value`; else -1.

        `key` is the key of the event in `value`, by split.py. Its acceptance holds for every event of this
        organization and key whose envelope has its shortest form and whose amount is canonical, because the codec
        checks nothing else that id, source, time and amount could influence:

        - Rules across fields (product and feature kind, product and agent, credits or quantity with unit) and NFC
          concern members of `data`, which are all in the key.
        - Characters are checked text by text, and an envelope in its shortest form has no escape.
        - Each member of `data` but the amount is in the key with its name and place, so duplicates are resolved the
          same way.

        A key with an attribution or a run is not added. So if the event in `value` lacks the members that split_who()
        finds, these members may stand before the amount of any event of the key: no rule concerns them and other
        members, and those in the key have no value, so that the later ones count.
        """
        if len(key) > HEAD_BYTES_MAX:
            return -1
        own = self.organizations.get(organization)
        cost = 2 * len(key) + _HEAD_BYTES + (0 if own else _ORGANIZATION_BYTES)
        if not self._has_room(own, cost):
            return -1
        try:
            event = decode(value)
        except Exception:  # the exact path reads the record again and treats its failure
            return -1
        if not isinstance(event, Usage) or _has_more(event.data):
            return -1
        if own is None:
            own = self.organizations[organization] = OrganizationHeads()
        number = own.numbers[key] = len(self.series)
        data, agent, text = event.data, event.data.agent, self._texts.setdefault
        surface = data.surface or ""
        self.series.append(
            (
                text(event.subject, event.subject),
                data.product,
                data.feature_kind,
                text(data.feature, data.feature),
                agent.id if agent else "",
                text(surface, surface),
            )
        )
        self.agents.append(agent)
        self.units.append(data.unit)
        own.bytes += cost
        self.bytes += cost
        return number

    def learn_attribution(self, organization: str, members: bytes) -> int:
        """The number of an attribution, which is added if there is room and the codec accepts it: NO_ATTRIBUTION if it
        has no value, REFUSED if it is not added. The organization has a head.

        `members` is a part of data that begins with a comma. It is accepted in an example, and in any other event with
        the same meaning, because

        - it is nothing but the members `actor`, `group` and `labels` (_Members), complete, so that it has the same
          names and values wherever a member may begin;
        - no rule concerns them and other members or attributes;
        - escapes, characters outside ASCII and long fractions of seconds, which the codec searches in the whole
          message, concern the values that contain them.
        """
        own = self.organizations[organization]
        cost = 4 * len(members) + _ATTRIBUTION_BYTES
        has_room = own.attribution_bytes + cost <= ATTRIBUTION_BYTES_MAX - self.attribution_bytes
        if len(members) > HEAD_BYTES_MAX or not has_room:
            return REFUSED
        try:
            attribution = _read_attribution(organization, members)
        except Exception:  # the exact path reads the record again and treats its failure
            return REFUSED
        number = NO_ATTRIBUTION
        if attribution is not None:
            number = len(self.attributions)
            self.attributions.append(attribution)
        own.attributions[members] = number
        own.attribution_bytes += cost
        self.attribution_bytes += cost
        return number

    def prefix_of(self, organization: str, source: str) -> tuple[bytes, int]:
        """The entry of OrganizationHeads.sources, kept if there is room. It fits no event if the source is not accepted."""
        # Outside ASCII a text has more bytes than characters, so its envelope is longer than the shortest one.
        organization_, source_ = organization.encode("ascii", "replace"), source.encode("ascii", "replace")
        prefix = b"%d:%b%d:%b36:" % (len(organization_), organization_, len(source_), source_)
        entry = (prefix, _NO_ENVELOPE if "\x7f" in source else _ENVELOPE_BYTES + len(organization) + len(source))
        own = self.organizations.get(organization)
        cost = 2 * len(source) + _SOURCE_BYTES
        is_new = own is not None and len(own.sources) < SOURCES_MAX and source.isascii()
        if own is not None and is_new and self._has_room(own, cost):
            own.sources[source] = entry
            own.bytes += cost
            self.bytes += cost
        return entry

    def _has_room(self, own: OrganizationHeads | None, cost: int) -> bool:
        return (own.bytes if own else 0) + cost <= self._bytes_max - self.bytes

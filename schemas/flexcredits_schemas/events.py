"""GENERATED from ../events/*.json by `python -m flexcredits_schemas.generators.events`. Do not edit."""

from datetime import date, datetime
from typing import Annotated, Literal, get_args

from msgspec import Meta, Raw, Struct, field

Product = Literal["assistant", "agents", "api"]
FeatureKind = Literal["model", "tool", "feature", "namespace"]
AgentKind = Literal["saved", "unsaved", "system"]
AgentState = Literal["saved", "deleted", "system"]
Role = Literal["super_admin", "admin", "billing_moderator", "member"]
ActorKind = Literal["user", "service_account"]
PeopleMode = Literal["named", "pseudonymous", "groups_only"]
EventId = Annotated[str, Meta(min_length=1, max_length=128)]
Source = Annotated[str, Meta(min_length=1, max_length=128)]
OrganizationId = Annotated[str, Meta(min_length=1, max_length=64, pattern="^[A-Za-z0-9][A-Za-z0-9._:-]*$")]
Text = Annotated[str, Meta(min_length=1, max_length=200)]
Word = Annotated[str, Meta(min_length=1, max_length=64)]
ActorId = Annotated[str, Meta(min_length=1, max_length=254)]
GroupId = Annotated[str, Meta(min_length=1, max_length=128)]
RunId = Annotated[str, Meta(min_length=1, max_length=128)]
LabelKey = Annotated[str, Meta(min_length=1, max_length=32, pattern="^[A-Za-z][A-Za-z0-9_.-]*$")]
LabelValue = Annotated[str, Meta(min_length=1, max_length=64)]
Email = Annotated[str, Meta(min_length=3, max_length=254, pattern="^[^@\\s,;<>\"]+@[^@\\s,;<>\"]+$")]
HttpsUrl = Annotated[str, Meta(min_length=10, max_length=500, pattern="^https://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?([/?#][A-Za-z0-9._~:/?#@!$&'()*+,;=%-]*)?$")]
TimeZone = Annotated[str, Meta(min_length=1, max_length=64, pattern="^[A-Za-z][A-Za-z0-9_+/-]*$")]
JsonMediaType = Annotated[str, Meta(min_length=1, max_length=200)]
Currency = Annotated[str, Meta(pattern="^[A-Z]{3}$")]
Date = date
ContractDate = date
Instant = Annotated[datetime, Meta(tz=True)]
PositiveDecimal = Raw
Quantity = Raw
SignedDecimal = Raw
Amount = Raw
PRODUCTS: tuple[Product, ...] = get_args(Product)


class ActorData(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, gc=False):
    """The new version. Optional fields that are omitted do not change."""

    id: ActorId
    display_name: Text | None = None
    email: Email | None = None
    groups: Annotated[list[GroupId], Meta(max_length=50)] | None = None
    effective_from: Date | None = None
    removed: bool = False
    erased: bool = False


class Actor(Struct, tag_field="type", tag="flexcredits.actor.v1", omit_defaults=True, kw_only=True, gc=False):
    """A person or service account in the organization's directory."""

    specversion: Literal["1.0"]
    id: EventId
    source: Source
    subject: OrganizationId
    time: Instant
    datacontenttype: JsonMediaType | None = None
    data: ActorData


class AgentData(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, gc=False):
    """The agent's current state."""

    id: Word
    state: AgentState
    name: Text | None = None
    owner: Text | None = None


class Agent(Struct, tag_field="type", tag="flexcredits.agent.v1", omit_defaults=True, kw_only=True, gc=False):
    """An agent's life cycle in the registry: saved, renamed, deleted, restored."""

    specversion: Literal["1.0"]
    id: EventId
    source: Source
    subject: OrganizationId
    time: Instant
    datacontenttype: JsonMediaType | None = None
    data: AgentData


class ProductAmounts(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, gc=False):
    """Contracted credits per product. An omitted product has no amount of its own."""

    assistant: Amount = Raw()
    agents: Amount = Raw()
    api: Amount = Raw()


class AddOn(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, gc=False):
    """Credits in addition to the contracted ones. Only included add-ons are available."""

    name: Text
    credits: Amount
    included: bool = False


class CreditPeriod(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, gc=False):
    """Half-open dates [from, to) in the organization's time zone. Unused credits expire at `to`. `total` defaults to the sum of the products. If it is higher, the difference is unallocated; if it is lower, the contract is refused."""

    id: Word
    from_: ContractDate = field(name="from")
    to: ContractDate
    total: Amount = Raw()
    products: ProductAmounts | None = None
    add_ons: Annotated[list[AddOn], Meta(max_length=50)] | None = None


class AccountTeam(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, gc=False):
    """The contact for questions about the contract and its overage. At least one field is required."""

    name: Text | None = None
    email: Email | None = None
    url: HttpsUrl | None = None


class Price(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, gc=False):
    """Prices from `effective_from` on, in the contract's `currency` for one credit. An omitted price does not change."""

    effective_from: Date
    overage_price: Amount = Raw()
    credit_price: Amount = Raw()


class ContractData(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, gc=False):
    """Contract period as half-open dates [from, to), and its credit periods. `minimum_commitment` is in credits, for the whole contract period; prices are in `currency` for one credit. Without `prices`, the first version's price applies from the contract's beginning, and a price that a newer version changes applies from the day on which that version arrives. With `prices`, `overage_price` and `credit_price` apply until the first entry takes effect; if prices of past days change, files for finance contain correcting lines."""

    contract_id: Word
    from_: ContractDate = field(name="from")
    to: ContractDate
    credit_periods: Annotated[list[CreditPeriod], Meta(min_length=1, max_length=200)]
    minimum_commitment: Amount = Raw()
    overage_price: Amount = Raw()
    credit_price: Amount = Raw()
    prices: Annotated[list[Price], Meta(min_length=1, max_length=100)] | None = None
    currency: Currency | None = None
    account_team: AccountTeam | None = None


class Contract(Struct, tag_field="type", tag="flexcredits.contract.v1", omit_defaults=True, kw_only=True, gc=False):
    """The full new version of a contract, by `contract_id`. Credit periods never overlap."""

    specversion: Literal["1.0"]
    id: EventId
    source: Source
    subject: OrganizationId
    time: Instant
    datacontenttype: JsonMediaType | None = None
    data: ContractData


class FeatureData(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, gc=False):
    """Older usage keeps the category that was in effect at its time. A later event for the same `effective_from` does not change a display name or category that it omits. An event with a new `effective_from` and without `category` removes the category from that day on; the display name stays."""

    product: Product
    feature_kind: FeatureKind
    feature: Text
    display_name: Text | None = None
    category: Text | None = None
    effective_from: Date


class Feature(Struct, tag_field="type", tag="flexcredits.feature.v1", omit_defaults=True, kw_only=True, gc=False):
    """Display name and category of a feature from `effective_from` on. Without `subject` it applies to the whole deployment."""

    specversion: Literal["1.0"]
    id: EventId
    source: Source
    subject: OrganizationId | None = None
    time: Instant
    datacontenttype: JsonMediaType | None = None
    data: FeatureData


class GroupData(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, gc=False):
    """The new version of the group."""

    id: GroupId
    name: Text
    parent: GroupId | None = None
    owner_emails: Annotated[list[Email], Meta(max_length=20)] | None = None


class Group(Struct, tag_field="type", tag="flexcredits.group.v1", omit_defaults=True, kw_only=True, gc=False):
    """A group of people, such as a department or team."""

    specversion: Literal["1.0"]
    id: EventId
    source: Source
    subject: OrganizationId
    time: Instant
    datacontenttype: JsonMediaType | None = None
    data: GroupData


class MemberData(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, gc=False):
    """The member's current state."""

    email: Email
    name: Text | None = None
    role: Role
    removed: bool = False


class Member(Struct, tag_field="type", tag="flexcredits.member.v1", omit_defaults=True, kw_only=True, gc=False):
    """A person of the organization. The role determines access and who gets mail."""

    specversion: Literal["1.0"]
    id: EventId
    source: Source
    subject: OrganizationId
    time: Instant
    datacontenttype: JsonMediaType | None = None
    data: MemberData


class OrganizationData(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, gc=False):
    """The new version. Optional fields that are omitted do not change."""

    name: Text
    time_zone: TimeZone
    billing_moderator_enabled: bool | None = None
    locale: Word | None = None
    label_keys: Annotated[list[LabelKey], Meta(max_length=20)] | None = None
    people: PeopleMode | None = None
    my_usage: bool | None = None


class Organization(Struct, tag_field="type", tag="flexcredits.organization.v1", omit_defaults=True, kw_only=True, gc=False):
    """A customer organization. Usage that arrives before this event is held, and counted when this event arrives."""

    specversion: Literal["1.0"]
    id: EventId
    source: Source
    subject: OrganizationId
    time: Instant
    datacontenttype: JsonMediaType | None = None
    data: OrganizationData


class RateData(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, gc=False):
    """`credits` per `per` units. A rate takes effect after its receipt. A backdated `effective_from` applies only to times without a rate, and releases usage held for them. Without `effective_from` the rate applies to all earlier times without a rate."""

    product: Product
    feature_kind: FeatureKind
    feature: Text
    unit: Word
    part_of: Word | None = None
    credits: Amount
    per: PositiveDecimal = Raw()
    effective_from: Instant | None = None


class Rate(Struct, tag_field="type", tag="flexcredits.rate.v1", omit_defaults=True, kw_only=True, gc=False):
    """Price of a unit in credits. Without `subject` it applies to the whole deployment. An organization's own rate takes precedence, and an exact feature takes precedence over `*`."""

    specversion: Literal["1.0"]
    id: EventId
    source: Source
    subject: OrganizationId | None = None
    time: Instant
    datacontenttype: JsonMediaType | None = None
    data: RateData


class UsageAgent(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, gc=False):
    """The AI agent or workflow that spent the credits."""

    id: Word
    name: Text | None = None
    kind: AgentKind


class Corrects(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, gc=False):
    """Identity of the usage event that is corrected."""

    source: Source
    id: EventId


class CorrectionData(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, gc=False):
    """The original's dimensions, the signed difference, and the reason."""

    product: Product
    feature_kind: FeatureKind
    feature: Text
    surface: Word | None = None
    agent: UsageAgent | None = None
    credits: SignedDecimal
    corrects: Corrects
    reason: Text


class Correction(Struct, tag_field="type", tag="flexcredits.usage.correction.v1", omit_defaults=True, kw_only=True, gc=False):
    """Adds signed credits to an earlier usage event with the same dimensions. The sum of original and corrections is never below 0."""

    specversion: Literal["1.0"]
    id: EventId
    source: Source
    subject: OrganizationId
    time: Instant
    datacontenttype: JsonMediaType | None = None
    data: CorrectionData


class UsageActor(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, gc=False):
    """The person or service account that used the product."""

    id: ActorId
    kind: ActorKind = 'user'


class UsageRun(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, gc=False):
    """The conversation, workflow run or trace that the use is a part of. `parent_id` is the run that started it."""

    id: RunId
    parent_id: RunId | None = None


class UsageData(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, gc=False):
    """The used feature, who used it, and the amount: `credits`, or `quantity` with `unit`, or `quantities`. The rates in effect at `time` convert quantities to credits."""

    product: Product
    feature_kind: FeatureKind
    feature: Text
    surface: Word | None = None
    agent: UsageAgent | None = None
    actor: UsageActor | None = None
    group: GroupId | None = None
    labels: Annotated[dict[LabelKey, LabelValue], Meta(max_length=5)] | None = None
    run: UsageRun | None = None
    credits: PositiveDecimal = Raw()
    quantity: PositiveDecimal = Raw()
    unit: Word | None = None
    quantities: Annotated[dict[Word, Quantity], Meta(min_length=1, max_length=16)] | None = None


class Usage(Struct, tag_field="type", tag="flexcredits.usage.v1", omit_defaults=True, kw_only=True, gc=False):
    """One use of a product that consumes credits. Its identity is (organization, source, id); copies are not counted again."""

    specversion: Literal["1.0"]
    id: EventId
    source: Source
    subject: OrganizationId
    time: Instant
    datacontenttype: JsonMediaType | None = None
    data: UsageData


Event = Actor | Agent | Contract | Correction | Feature | Group | Member | Organization | Rate | Usage

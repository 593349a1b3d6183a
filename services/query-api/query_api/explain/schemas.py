"""Request and response of an explanation."""

from flexcredits_schemas.events import FeatureKind, Product
from pydantic import Field

from query_api.attributions.domain.tally import PeopleRowKind
from query_api.explain.domain.items import PartKind
from query_api.http.fields import CompleteTo, Credits, DateRange, ResponseBody, TimeZone
from query_api.people.schemas import PeopleFilter
from query_api.usage.breakdown.schemas import ChangeText
from query_api.usage.domain.catalog import AgentStatus


class ExplainQuery(PeopleFilter):
    before_from: str | None = Field(
        None, description="First month or date of the earlier range. By default the range before, as in the breakdown.",
        examples=["2026-08"],
    )  # fmt: skip
    before_to: str | None = Field(
        None, description="Last month or date of the earlier range, inclusive.", examples=["2026-08"]
    )
    people: bool = Field(
        False, description="Also separate the usage of people and service accounts that used something in one range only. "
        "They are then not in the other parts, unless the feature or the agent is new or gone, too.",
    )  # fmt: skip
    limit: int = Field(5, ge=1, le=100, description="Maximum number of contributors of each part, and of movers.")


class Contributor(ResponseBody):
    """What a feature, an agent, a product or a person adds to a part. Fields that do not apply are null."""

    product: Product | None
    feature_kind: FeatureKind | None
    feature: str | None
    feature_name: str | None
    agent_kind: AgentStatus | None = Field(description="As it is now. unsaved: all unsaved workflows together.")
    agent: str | None = Field(description="null also for usage without an agent.")
    agent_name: str | None
    person_kind: PeopleRowKind | None
    person: str | None = Field(description="The id of its row of people: an alias, unless names are shown.")
    person_name: str | None
    amount: Credits = Field(description="What it adds to the part; negative if it made usage less.")
    credits_before: Credits = Field(description="Its credits in the earlier range.")
    credits: Credits = Field(description="Its credits in the later range.")
    uses_before: int
    uses: int


class ExplainedPart(ResponseBody):
    """A part of the change. Its contributors and `others` add up to `amount` exactly."""

    kind: PartKind = Field(
        description="days: the later range has more or fewer days; all other parts compare equal numbers of days. "
        "volume: more or fewer uses of a product. mix: other features and agents of a product were used. "
        "intensity: credits per use. rate: list prices. new_features, gone_features, new_agents, gone_agents: used in "
        "one of the ranges only; so are new_people, gone_people, with `people`. late: uses that were received after their "
        "range had ended. corrections: credits of corrections."
    )
    amount: Credits
    known: bool = Field(
        description="false: this part cannot be computed under the request's filters, so it is 0. Late uses and people are "
        "then in volume, corrections in intensity."
    )
    contributors: list[Contributor] = Field(description="The largest amounts, up or down.")
    others: Credits = Field(description="Of the contributors beyond `limit`, and what has no contributor.")
    other_rows: int = Field(description="Number of the contributors beyond `limit`.")


class Unpriced(ResponseBody):
    """A feature with several units whose prices changed by different factors."""

    product: Product
    feature_kind: FeatureKind
    feature: str
    feature_name: str


class Explanation(ResponseBody):
    """Why usage changed from one range to another. The amounts of the parts add up to `change` exactly."""

    before_range: DateRange = Field(description="The earlier range, up to today.")
    range: DateRange = Field(description="The later range, up to today.")
    before_days: int
    days: int
    time_zone: TimeZone
    previous: Credits = Field(description="Credits in the earlier range, under the same filters.")
    total: Credits = Field(description="Credits in the later range.")
    change: Credits = Field(description="`total` minus `previous`.")
    relative_change: ChangeText
    uses_before: int
    uses: int
    parts: list[ExplainedPart] = Field(description="All kinds, in a fixed order.")
    movers: list[Contributor] = Field(
        description="The features and agents whose credits changed most, at most `limit`; `amount` is their whole change."
    )
    unpriced: list[Unpriced] = Field(
        description="Their change of price is in intensity: quantities by unit would be needed to separate it. At most 100."
    )
    complete_to: CompleteTo

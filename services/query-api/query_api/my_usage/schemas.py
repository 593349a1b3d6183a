"""Response of my usage."""

from datetime import date, datetime

from flexcredits_schemas.events import FeatureKind, Product
from pydantic import Field

from query_api.http.fields import Credits, DateRange, ResponseBody, TimeZone
from query_api.usage.domain.catalog import AgentStatus


class MyProduct(ResponseBody):
    product: Product
    credits: Credits
    events: int


class MyFeature(ResponseBody):
    product: Product
    feature_kind: FeatureKind
    feature: str
    name: str
    credits: Credits
    events: int


class MyAgent(ResponseBody):
    id: str
    name: str
    status: AgentStatus
    credits: Credits
    events: int


class MyDay(ResponseBody):
    day: date
    credits: Credits
    events: int


class MyRun(ResponseBody):
    id: str
    key: str = Field(description="Identifies the run in URLs. Who may read the dashboard can open it there.")
    agent: str | None = Field(description="The agent's name.")
    first_at: datetime
    last_at: datetime
    credits: Credits
    events: int


class MyUsage(ResponseBody):
    """The usage of the signed-in person, and nothing of others."""

    range: DateRange
    time_zone: TimeZone
    ids: list[str] = Field(description="The actor ids that are this person, of usage that was counted at any time.")
    note: str | None = Field(description="Why there is no usage, as text for people. null: there is usage.")
    credits: Credits
    events: int
    products: list[MyProduct] = Field(description="All three products, in a fixed order.")
    features: list[MyFeature] = Field(description="Highest credits first.")
    agents: list[MyAgent] = Field(description="Highest credits first. Usage without an agent is left out.")
    days: list[MyDay] = Field(description="Days with usage, earliest first.")
    runs: list[MyRun] = Field(
        description="The latest 50 runs that this person began in the range, latest first, with this person's uses only. "
        "Fewer if they have very many uses."
    )

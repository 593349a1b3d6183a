"""Names of features and agents in an explanation."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import NamedTuple

from query_api.explain.domain.items import UNSAVED, Contribution, FeatureKey, Subject
from query_api.explain.schemas import Contributor
from query_api.usage.breakdown.names import ProductNames
from query_api.usage.domain.catalog import AGGREGATES, Agent, Feature, Features, agent_as_now, id_of


class NameBook(NamedTuple):
    """Names as of today."""

    features: Mapping[str, Features]
    """By product."""
    agents: Mapping[str, Agent]
    people: Mapping[str, str]
    """By id, of those that have a name to show."""

    @classmethod
    def of(
        cls, wanted: Iterable[FeatureKey], named: Sequence[ProductNames], agents: Mapping[str, Agent], people: Mapping[str, str],
        today: date,
    ) -> "NameBook":  # fmt: skip
        """Of the wanted features only, because an organization may have thousands."""
        keys = set(wanted)
        features: dict[str, Features] = {}
        for names in named:
            entries = [entry for entry in names.entries if FeatureKey(names.product, *entry.feature) in keys]
            features[names.product] = Features(entries, today)
        return cls(features, agents, people)

    def name(self, product: str, feature: Feature) -> str:
        return self.features[product].name(feature)

    def contributor(self, subject: Subject, contribution: Contribution) -> Contributor:
        agent = None
        if subject.agent == UNSAVED:
            agent = Agent("unsaved", AGGREGATES["unsaved"])
        elif subject.agent:
            agent = agent_as_now(subject.agent, self.agents)
        feature_name = None
        if subject.product and subject.feature_kind and subject.feature is not None:
            feature_name = self.name(subject.product, Feature(subject.feature_kind, subject.feature))
        return Contributor(
            product=subject.product,
            feature_kind=subject.feature_kind,
            feature=id_of(subject.feature or "") or None,
            feature_name=feature_name,
            agent_kind=agent.status if agent else None,
            agent=(id_of(subject.agent or "") or None) if agent else None,
            agent_name=agent.name if agent else None,
            person_kind=subject.person.kind if subject.person else None,
            person=subject.person.id if subject.person else None,
            person_name=self.people.get(subject.person.id, subject.person.id) if subject.person else None,
            amount=contribution.amount,
            credits_before=contribution.credits_before,
            credits=contribution.credits,
            uses_before=contribution.uses_before,
            uses=contribution.uses,
        )

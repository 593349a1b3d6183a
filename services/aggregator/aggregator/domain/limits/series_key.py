"""The dimensions of usage in the product page's views: a row of usage_series. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from flexcredits_schemas.identity import OTHER


class SeriesKey(NamedTuple):
    """The dimensions of a rollup row; "" when there is no agent or surface."""

    organization: str
    product: str
    feature_kind: str
    feature: str
    agent_id: str
    surface: str

    def fold_part(self) -> "SeriesKey":
        """Stands for all agents of the feature and surface. Without an agent, the series itself."""
        return self._replace(agent_id=OTHER) if self.agent_id else self

    def fold_all(self) -> "SeriesKey":
        """Stands for all features of the product and kind. A dimension without a value stays so."""
        agent_id, surface = (OTHER if name else "" for name in (self.agent_id, self.surface))
        return self._replace(feature=OTHER, agent_id=agent_id, surface=surface)

    def counts_as(self, parts: Sequence[str]) -> bool:
        """Whether usage of this series may be recorded under `parts`, the dimensions of a series in Postgres."""
        return tuple(parts) in (self[1:], self.fold_part()[1:], self.fold_all()[1:])

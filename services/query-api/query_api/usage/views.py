"""What a product's views show, as requests choose it."""

from flexcredits_schemas.events import FeatureKind, Product

from query_api.http.problems import invalid_parameter
from query_api.usage.domain.catalog import FEATURE_KINDS, View

SURFACE = "Only usage of these surfaces; may be given several times. Empty: usage that named none."


def kinds_of(product: Product, view: View) -> tuple[FeatureKind, ...]:
    """The kinds of feature that a product's view shows. Raises ApiProblem."""
    kinds = FEATURE_KINDS.get((product, view))
    if kinds is None:
        views = ", ".join(view for its_product, view in FEATURE_KINDS if its_product == product)
        raise invalid_parameter("view", f"the views of product `{product}` are: {views}")
    return kinds

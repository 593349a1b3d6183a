"""Views of products, as request parameters."""

from flexcredits_schemas.events import FeatureKind, Product

from query_api.http.problems import invalid_parameter
from query_api.usage.domain.catalog import FEATURE_KINDS, View

SURFACE = "Only usage of these surfaces; may be repeated. Empty text: usage without a surface."


def kinds_of(product: Product, view: View) -> tuple[FeatureKind, ...]:
    """Kinds of feature that a product's view shows. Raises ApiProblem."""
    kinds = FEATURE_KINDS.get((product, view))
    if kinds is None:
        views = ", ".join(view for its_product, view in FEATURE_KINDS if its_product == product)
        raise invalid_parameter("view", f"the views of product `{product}` are: {views}")
    return kinds

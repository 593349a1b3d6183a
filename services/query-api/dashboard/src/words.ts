import type { Product, ViewBy } from "./view/view"

/** The product's own words for what the API names by ids. */
export const PRODUCT_NAMES: Record<Product, string> = { assistant: "Assistant", agents: "Agents", api: "API" }

export const VIEW_NAMES: Record<ViewBy, string> = {
  models: "Models",
  tools: "Tools",
  other_features: "Other features",
  agents: "Agent",
  features: "Feature",
  namespaces: "API or namespace",
}

/** Surfaces are free words of the services that send usage; only their first letter is ours. */
export function surfaceName(surface: string): string {
  return surface ? surface[0]?.toUpperCase() + surface.slice(1) : "No surface"
}

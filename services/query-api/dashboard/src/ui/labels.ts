import type { Product, ViewBy } from "../url/urlState"

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

/** What a row of each view is: "Credits by model". */
export const ROW_NAMES: Record<ViewBy, string> = {
  models: "Model",
  tools: "Tool",
  other_features: "Feature",
  agents: "Agent",
  features: "Feature",
  namespaces: "API or namespace",
}

/** "No agents match": rows of a view, in a sentence. */
export const PLURALS: Record<ViewBy, string> = {
  models: "models",
  tools: "tools",
  other_features: "features",
  agents: "agents",
  features: "features",
  namespaces: "APIs or namespaces",
}

/** Inside of a sentence: only what is no name begins small. */
export function inSentence(name: string): string {
  return name.startsWith("API") ? name : name.toLowerCase()
}

/** Super Admin: an identity provider may send roles that we do not know. */
export function roleName(role: string): string {
  const words = role.split("_").filter((word) => word !== "")
  return words.map((word) => word[0]?.toUpperCase() + word.slice(1)).join(" ") || "No role"
}

/** Surfaces are free words of the services that send usage; only their first letter is ours. */
export function surfaceName(surface: string): string {
  return surface ? surface[0]?.toUpperCase() + surface.slice(1) : "No surface"
}

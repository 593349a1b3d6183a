import type { Product, ViewBy } from "../url/urlState"

/** Labels for ids of the API. */
export const PRODUCT_NAMES: Record<Product, string> = { assistant: "Assistant", agents: "Agents", api: "API" }

export const VIEW_NAMES: Record<ViewBy, string> = {
  models: "Models",
  tools: "Tools",
  other_features: "Other features",
  agents: "Agent",
  features: "Feature",
  namespaces: "API or namespace",
}

/** The noun for a row of each view: "Credits by model". */
export const ROW_NAMES: Record<ViewBy, string> = {
  models: "Model",
  tools: "Tool",
  other_features: "Feature",
  agents: "Agent",
  features: "Feature",
  namespaces: "API or namespace",
}

/** The plural noun for rows of each view: "No agents match". */
export const PLURALS: Record<ViewBy, string> = {
  models: "models",
  tools: "tools",
  other_features: "features",
  agents: "agents",
  features: "features",
  namespaces: "APIs or namespaces",
}

/** A label inside a sentence: the first letter is lower case unless it is a proper name. */
export function inSentence(name: string): string {
  return name.startsWith("API") ? name : name.toLowerCase()
}

/** Such as "Super Admin". Also for unknown roles, which an identity provider may send. */
export function roleName(role: string): string {
  const words = role.split("_").filter((word) => word !== "")
  return words.map((word) => word[0]?.toUpperCase() + word.slice(1)).join(" ") || "No role"
}

/** Senders choose surface names freely; the page only capitalizes the first letter. */
export function surfaceName(surface: string): string {
  return surface ? surface[0]?.toUpperCase() + surface.slice(1) : "No surface"
}

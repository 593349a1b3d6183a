type Json = Record<string, unknown>

/** Details of an entry as "name: value"; of a change, the values that differ, old and new. */
export function detailsOf(details: Json): string[] {
  const { before, after, ...others } = details
  if (!isObject(before) || !isObject(after)) return written(details)
  const [was, is] = [new Map(flatten(before)), new Map(flatten(after))]
  const names = [...new Set([...was.keys(), ...is.keys()])].filter((name) => was.get(name) !== is.get(name))
  return [...written(others), ...names.map((name) => `${name}: ${was.get(name) ?? "none"} → ${is.get(name) ?? "none"}`)]
}

function written(details: Json): string[] {
  return flatten(details).map(([name, value]) => `${name}: ${value}`)
}

/** Every value with its path: "monthly budget, credits". Objects in a list are numbered: "rules 1, name". */
function flatten(value: Json, above: string[] = []): [name: string, text: string][] {
  return Object.entries(value).flatMap(([key, inside]): [string, string][] => {
    const path = [...above, key.replaceAll("_", " ")]
    if (isObject(inside)) return flatten(inside, path)
    if (Array.isArray(inside) && inside.some(isObject)) {
      const name = path.pop()
      return flatten(Object.fromEntries(inside.map((each, index) => [`${name} ${index + 1}`, each])), path)
    }
    return [[path.join(", "), Array.isArray(inside) ? inside.join(", ") || "none" : write(inside)]]
  })
}

function write(value: unknown): string {
  if (value === null || value === "") return "none"
  return typeof value === "boolean" ? (value ? "on" : "off") : String(value)
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

const ACTIONS: Record<string, string> = {
  "session.begin": "Signed in",
  "session.end": "Signed out",
  "access.refused": "Was denied access",
  export: "Downloaded a file",
  "alert_settings.save": "Changed budget and alerts",
  "alert_settings.unsubscribe": "Unsubscribed from alerts",
  "alert_channel.add": "Added a channel",
  "alert_channel.remove": "Removed a channel",
  "alert_channel.test": "Tested a channel",
  "alert.test_mail": "Sent a test email",
  "alert.resend": "Resent an alert",
  "mapping.save": "Changed the mapping of an API key",
  "mapping.remove": "Removed the mapping of an API key",
}

/** The action's label; an action that this page does not know keeps its id. */
export function actionName(action: string): string {
  return ACTIONS[action] ?? action
}

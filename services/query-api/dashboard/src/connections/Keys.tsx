import { Link } from "@tanstack/react-router"
import { useState } from "react"
import { useFormat } from "../format/useFormat"
import { PRODUCT_NAMES } from "../ui/labels"
import classes from "./Connections.module.css"
import type { ApiKey } from "./queries"

interface Props {
  keys: ApiKey[]
  chosen: string
  unsaved: string[]
}

/** The organization's keys; the URL names the chosen one. */
export function Keys({ keys, chosen, unsaved }: Props) {
  return (
    <nav aria-labelledby="keys" className={classes.panel}>
      <h2 id="keys">API keys</h2>
      <ul className={classes.keys}>
        {keys.map((key) => (
          <li key={key.id} data-testid="api-key">
            <Link
              to="/connections"
              search={{ key: key.id }}
              resetScroll={false}
              aria-current={key.id === chosen ? "true" : undefined}
            >
              <Key apiKey={key} isUnsaved={unsaved.includes(key.id)} />
            </Link>
          </li>
        ))}
      </ul>
    </nav>
  )
}

function Key({ apiKey, isUnsaved }: { apiKey: ApiKey; isUnsaved: boolean }) {
  const format = useFormat()
  const [now] = useState(Date.now)
  const { id, products, created_at, expires_at, mapping } = apiKey
  const expires = expires_at === null ? null : new Date(expires_at)
  return (
    <>
      <strong>{id}</strong>
      <span>
        {products.includes("*") ? "All products" : products.map(nameOf).join(", ")} · created{" "}
        {format.moment(new Date(created_at))}
        {expires && `, ${expires.getTime() <= now ? "expired" : "expires"} ${format.moment(expires)}`}
      </span>
      <span>
        {mapping
          ? `Mapping saved by ${mapping.updated_by || "an operator"}, ${format.moment(new Date(mapping.updated_at))}`
          : "No mapping"}
        {isUnsaved && " · unsaved changes"}
      </span>
    </>
  )
}

function nameOf(product: string): string {
  return PRODUCT_NAMES[product as keyof typeof PRODUCT_NAMES] ?? product
}

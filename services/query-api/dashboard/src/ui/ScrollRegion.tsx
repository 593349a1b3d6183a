import type { ReactNode } from "react"

interface Props {
  label: string
  className: string | undefined
  children: ReactNode
}

/** What may be larger than its place and scrolls in it, by keyboard too. */
export function ScrollRegion({ label, className, children }: Props) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <section className={className} tabIndex={0} aria-label={label}>
      {children}
    </section>
  )
}

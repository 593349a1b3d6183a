import type { ReactNode } from "react"

interface Props {
  label: string
  className: string | undefined
  children: ReactNode
}

/** A scrollable region for content that may overflow; it can be scrolled by keyboard. */
export function ScrollRegion({ label, className, children }: Props) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable region must be reachable by keyboard
    <section className={className} tabIndex={0} aria-label={label}>
      {children}
    </section>
  )
}

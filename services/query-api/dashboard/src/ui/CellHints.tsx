import { type KeyboardEvent, type PointerEvent, type ReactNode, useEffect, useRef, useState } from "react"
import classes from "./CellHints.module.css"

interface Shown {
  text: string
  right: number
  top: number
}

const STEPS: Record<string, number> = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }

/**
 * Shows the `data-hint` of a cell by pointer, touch and keyboard. The table is one tab stop and the arrow keys move between
 * cells, because a thousand tab stops and tooltips would be too many.
 */
export function CellHints({ children }: { children: ReactNode }) {
  const box = useRef<HTMLDivElement>(null)
  const [shown, setShown] = useState<Shown>()

  function show(cell: Element | null | undefined) {
    const text = cell?.getAttribute("data-hint")
    if (!cell || !text || !box.current) return setShown(undefined)
    const [outer, inner] = [box.current.getBoundingClientRect(), cell.getBoundingClientRect()]
    setShown({ text, right: inner.right - outer.left, top: inner.top - outer.top })
  }
  const cells = () => [...(box.current?.querySelectorAll<HTMLElement>("[data-hint]") ?? [])]
  useEffect(() => {
    for (const [place, cell] of cells().entries()) cell.tabIndex = place === 0 ? 0 : -1
  })
  const press = (event: KeyboardEvent) => {
    if (event.key === "Escape") return setShown(undefined)
    const step = STEPS[event.key]
    const all = cells()
    const at = all.indexOf(event.target as HTMLElement)
    if (!step || at < 0) return
    event.preventDefault()
    all[at + step]?.focus()
  }
  const point = ({ target }: PointerEvent) => show(target instanceof Element ? target.closest("[data-hint]") : null)

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: it only listens to events of elements inside
    <div
      ref={box}
      className={classes.cells}
      onPointerOver={point}
      onPointerDown={point}
      onPointerLeave={({ pointerType }) => pointerType === "mouse" && setShown(undefined)}
      onKeyDown={press}
      onFocus={({ target }) => target.hasAttribute("data-hint") && show(target)}
      onBlur={() => setShown(undefined)}
    >
      {children}
      {shown && (
        <div className={classes.tip} style={{ left: shown.right, top: shown.top }} role="tooltip">
          {shown.text}
        </div>
      )}
    </div>
  )
}

import { useElementSize } from "@mantine/hooks"
import { type RefCallback, useEffect, useState } from "react"
import { flushSync } from "react-dom"

/** What fits on A4 and on Letter between the margins of page.css, in CSS pixels. */
const PAPER_WIDTH = 680

/** How wide a chart may be: as its element is, and on paper as the paper is, since nothing is measured while printing. */
export function useChartWidth(): { ref: RefCallback<HTMLDivElement | null>; width: number } {
  const { ref, width } = useElementSize<HTMLDivElement>()
  const [isPrinting, setPrinting] = useState(false)
  useEffect(() => {
    const print = (on: boolean) => () => flushSync(() => setPrinting(on)) // it must be drawn when the handler returns
    const [begin, end] = [print(true), print(false)]
    window.addEventListener("beforeprint", begin)
    window.addEventListener("afterprint", end)
    return () => {
      window.removeEventListener("beforeprint", begin)
      window.removeEventListener("afterprint", end)
    }
  }, [])
  return { ref, width: isPrinting ? PAPER_WIDTH : width }
}

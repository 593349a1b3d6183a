import { useElementSize } from "@mantine/hooks"
import { type RefCallback, useEffect, useState } from "react"
import { flushSync } from "react-dom"

/** The width between the margins of page.css on A4 and on Letter, in CSS pixels. */
const PAPER_WIDTH = 680

/** A chart's width: its element's width, or PAPER_WIDTH for printing, because browsers do not measure while printing. */
export function useChartWidth(): { ref: RefCallback<HTMLDivElement | null>; width: number } {
  const { ref, width } = useElementSize<HTMLDivElement>()
  const [isPrinting, setPrinting] = useState(false)
  useEffect(() => {
    const print = (on: boolean) => () => flushSync(() => setPrinting(on)) // it must be rendered when the handler returns
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

import type { Schemas } from "../api/client"
import { fromMicro, millionths, sum, toMicro } from "../format/credits"

type Use = Schemas["RunUse"]
type Child = Schemas["RunLink"]

/** A use with its bar, which begins where the bar before it ends; or a run that this run started. */
export type Step =
  | { is: "use"; use: Use; credits: string | null; start: number; width: number }
  | { is: "child"; child: Child }

/**
 * Uses and child runs in the order of their times. `start` and `width` are fractions of the run's credits; a held use has no
 * bar. Credits of child runs are not part of the run's credits.
 */
export function stepsOf(uses: readonly Use[], children: readonly Child[], total: string): Step[] {
  const waiting = children.filter(({ first_at }) => first_at !== null)
  const steps: Step[] = []
  let before = "0.000000"
  for (const use of uses) {
    while (waiting[0]?.first_at && Date.parse(waiting[0].first_at) < Date.parse(use.at)) {
      steps.push({ is: "child", child: waiting.shift() as Child })
    }
    const credits = use.credits === null ? null : sum([use.credits, use.corrections])
    const start = millionths(before, total) / 1e6
    steps.push({ is: "use", use, credits, start, width: credits === null ? 0 : millionths(credits, total) / 1e6 })
    if (credits !== null) before = sum([before, credits])
  }
  return [...steps, ...waiting.map((child) => ({ is: "child" as const, child }))]
}

/** Credits by kind of feature, highest first. */
export function sumByKind(uses: readonly Use[]): [kind: Use["feature_kind"], credits: string][] {
  const sums = new Map<Use["feature_kind"], bigint>()
  for (const { feature_kind, credits, corrections } of uses) {
    if (credits === null) continue
    sums.set(feature_kind, (sums.get(feature_kind) ?? 0n) + toMicro(credits) + toMicro(corrections))
  }
  return [...sums].sort(([, one], [, other]) => (one < other ? 1 : -1)).map(([kind, micro]) => [kind, fromMicro(micro)])
}

/** Time after the first use: "+0.4 s", "+1:05", "+2:00:09". */
export function offsetText(milliseconds: number): string {
  if (milliseconds < 60_000) return `+${(milliseconds / 1000).toFixed(1)} s`
  const seconds = Math.floor(milliseconds / 1000)
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60]
  const two = (number: number) => String(number).padStart(2, "0")
  return hours > 0 ? `+${hours}:${two(minutes)}:${two(seconds % 60)}` : `+${minutes}:${two(seconds % 60)}`
}

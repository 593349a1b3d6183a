/** The highest threshold that usage meets. */
export function Banner() {
  return null
}

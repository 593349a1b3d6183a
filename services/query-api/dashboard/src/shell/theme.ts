import { createTheme, type MantineColorsTuple } from "@mantine/core"

const ink: MantineColorsTuple = [
  "#eef2ff",
  "#dfe6fd",
  "#bccaf8",
  "#96abf3",
  "#748fee",
  "#5a78e6",
  "#4464dc",
  "#3452c7",
  "#2b46ad",
  "#223a92",
]

/** Mantine's palettes that the page does not use. Their variables are left out, 2 kB of the first load. */
export const UNUSED_COLORS = [
  "blue",
  "cyan",
  "grape",
  "green",
  "indigo",
  "lime",
  "orange",
  "pink",
  "violet",
  "yellow",
] as const

/** vite.config.ts reads it too and writes its variables into a file. */
export const theme = createTheme({
  primaryColor: "ink",
  primaryShade: { light: 7, dark: 6 },
  colors: { ink },
  fontFamily:
    '"Inter Variable", "Segoe UI Variable", "Segoe UI", system-ui, -apple-system, Roboto, "Helvetica Neue", sans-serif',
  fontFamilyMonospace: "ui-monospace, SFMono-Regular, Menlo, Consolas, monospace",
  defaultRadius: "md",
  cursorType: "pointer",
  respectReducedMotion: true,
  autoContrast: true,
  components: {
    // Mantine locks scrolling by a <style> element, which the content security policy forbids; page.css does it.
    // Its <header> would be a second banner of the page.
    Drawer: { defaultProps: { lockScroll: false, attributes: { header: { role: "none" } } } },
    Modal: { defaultProps: { lockScroll: false } },
  },
})

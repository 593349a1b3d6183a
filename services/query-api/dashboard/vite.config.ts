import { convertCssVariables, DEFAULT_THEME, defaultCssVariablesResolver, mergeMantineTheme } from "@mantine/core"
import react from "@vitejs/plugin-react"
import { defineConfig, type Plugin } from "vite"
import { theme, UNUSED_COLORS } from "./src/shell/theme.ts"

/** The query API's address for `DASHBOARD_API=... npm run dev`; Vite forwards requests to it. */
const api = process.env.DASHBOARD_API ?? "http://127.0.0.1:8080"

/**
 * Writes the theme's CSS variables into a file. Mantine would put them into a <style> element, which the page's content
 * security policy forbids.
 */
function themeVariables(): Plugin {
  const id = "\0theme-variables.css"
  const unused = new RegExp(`--mantine-color-(${UNUSED_COLORS.join("|")})-[^;]+;`, "g")
  return {
    name: "theme-variables",
    resolveId: (source) => (source === "virtual:theme-variables.css" ? id : null),
    load: (loaded) =>
      loaded === id
        ? convertCssVariables(defaultCssVariablesResolver(mergeMantineTheme(DEFAULT_THEME, theme))).replaceAll(
            unused,
            "",
          )
        : null,
  }
}

export default defineConfig({
  plugins: [react(), themeVariables()],
  // The CSS uses light-dark() and nesting, which all browsers support since May 2024.
  build: {
    target: ["chrome123", "firefox121", "safari17.5"],
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    manifest: true,
  },
  server: { proxy: proxied() },
  preview: { proxy: proxied() },
})

function proxied() {
  return Object.fromEntries(["/api", "/login", "/logout"].map((path) => [path, { target: api, changeOrigin: true }]))
}

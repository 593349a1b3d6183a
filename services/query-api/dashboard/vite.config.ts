import { convertCssVariables, DEFAULT_THEME, defaultCssVariablesResolver, mergeMantineTheme } from "@mantine/core"
import react from "@vitejs/plugin-react"
import { defineConfig, type Plugin } from "vite"
import { theme } from "./src/shell/theme.ts"

/** Where a running query API answers while the page is served by Vite: `DASHBOARD_API=... npm run dev`. */
const api = process.env.DASHBOARD_API ?? "http://127.0.0.1:8080"

/**
 * The theme's CSS variables as a file. Mantine would write them into a <style> element, which the page's content
 * security policy forbids.
 */
function themeVariables(): Plugin {
  const id = "\0theme-variables.css"
  return {
    name: "theme-variables",
    resolveId: (source) => (source === "virtual:theme-variables.css" ? id : null),
    load: (loaded) =>
      loaded === id ? convertCssVariables(defaultCssVariablesResolver(mergeMantineTheme(DEFAULT_THEME, theme))) : null,
  }
}

export default defineConfig({
  plugins: [react(), themeVariables()],
  // The page says light-dark() and nests its rules: all browsers have both since May 2024.
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

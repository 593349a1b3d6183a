import "@fontsource-variable/inter/wght.css"
import "./shell/mantine.css"
import "virtual:theme-variables.css"
import "./shell/page.css"
import { MantineProvider } from "@mantine/core"
import { QueryClientProvider } from "@tanstack/react-query"
import { RouterProvider } from "@tanstack/react-router"
import { StrictMode } from "react"
import { createRoot } from "react-dom/client"
import { queryClient } from "./api/queries"
import { router } from "./router"
import { theme } from "./shell/theme"

const root = document.getElementById("root")
if (!root) throw new Error("index.html has no root")

createRoot(root).render(
  <StrictMode>
    <MantineProvider theme={theme} defaultColorScheme="auto" withCssVariables={false} withGlobalClasses={false}>
      <QueryClientProvider client={queryClient}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </MantineProvider>
  </StrictMode>,
)

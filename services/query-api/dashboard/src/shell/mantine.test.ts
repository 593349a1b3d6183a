import { existsSync, globSync, readFileSync } from "node:fs"
import { expect, test } from "vitest"
import { UNUSED_COLORS } from "./theme"

const styles = (component: string) => `@mantine/core/styles/${component}.layer.css`

test("the styles of every Mantine component in use are loaded", () => {
  const loaded = readFileSync("src/shell/mantine.css", "utf8")
  const used = globSync("src/**/*.tsx").flatMap((file) =>
    [...readFileSync(file, "utf8").matchAll(/import \{([^}]*)\} from "@mantine\/core"/g)].flatMap(([, names = ""]) =>
      names.split(",").map((name) => name.trim()),
    ),
  )
  const styled = [...new Set(used)].filter((name) => existsSync(`node_modules/${styles(name)}`))
  expect(styled.length).toBeGreaterThan(10)
  expect(styled.filter((name) => !loaded.includes(styles(name)))).toEqual([])
})

test("no palette is in use whose variables are left out", () => {
  const names = UNUSED_COLORS.join("|")
  const using = new RegExp(`mantine-color-(${names})\\b|\\b(c|color|bg)=["{]+(${names})\\b`)
  const files = globSync("src/**/*.{tsx,css}")
  expect(files.length).toBeGreaterThan(100)
  expect(files.filter((file) => using.test(readFileSync(file, "utf8")))).toEqual([])
})

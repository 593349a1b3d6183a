// Fails if the page is too large: the files of a first visit, and the chart's chunk, in kB after gzip.
import { readFileSync } from "node:fs"
import { gzipSync } from "node:zlib"

const LIMITS = { "first load": 300, "chart chunk": 145 }

const manifest = JSON.parse(readFileSync("dist/.vite/manifest.json", "utf8"))
const entry = Object.keys(manifest).find((key) => manifest[key].isEntry)
const chart = Object.keys(manifest).find((key) => key.endsWith("charts/TrendChart.tsx"))
const first = filesOf(entry)
// A page in Latin letters loads one file of the font; other files load only with other letters.
const latin = Object.values(manifest).flatMap(({ file }) => (file.includes("inter-latin-wght") ? [file] : []))
const sizes = {
  "first load": kilobytes([...first, ...latin, "index.html", "color-scheme.js"]),
  "chart chunk": chart ? kilobytes([...filesOf(chart)].filter((file) => !first.has(file))) : 0,
}
for (const [name, size] of Object.entries(sizes)) {
  console.log(`${name}: ${size.toFixed(1)} of ${LIMITS[name]} kB gzip`)
  if (size > LIMITS[name]) process.exitCode = 1
}

/** The files of a chunk and of all its static imports. */
function filesOf(key, files = new Set()) {
  const chunk = manifest[key]
  if (files.has(chunk.file)) return files
  files.add(chunk.file)
  for (const file of chunk.css ?? []) files.add(file)
  for (const imported of chunk.imports ?? []) filesOf(imported, files)
  return files
}

function kilobytes(files) {
  return (
    [...files].reduce((total, file) => total + gzipSync(readFileSync(`dist/${file}`), { level: 9 }).length, 0) / 1000
  )
}

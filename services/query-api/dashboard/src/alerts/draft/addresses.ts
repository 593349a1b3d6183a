/** Parses pasted addresses: `Grace Hopper <grace@a.example>`, and lists with commas, semicolons or line breaks. */
export function addressesIn(text: string): string[] {
  const parts = partsOf(text)
  return parts.flatMap((part, place) => {
    const named = /<([^<>]*)>\s*$/.exec(part)
    if (named) return [plain(named[1] ?? "")]
    // "Hopper, Grace <grace@a.example>": the comma has split a name
    if (!part.includes("@") && /<[^<>]*@[^<>]*>\s*$/.test(parts[place + 1] ?? "")) return []
    const words = part.split(/\s+/)
    return words.every((word) => word.includes("@")) ? words.map(plain) : [part]
  })
}

/** Splits at commas, semicolons and line breaks outside quotes and angle brackets. */
function partsOf(text: string): string[] {
  const parts = [""]
  let within = ""
  for (const character of text) {
    if (within === "" && /[,;\n\r\t]/.test(character)) parts.push("")
    else parts[parts.length - 1] += character
    if (within === "" && (character === '"' || character === "<")) within = character === "<" ? ">" : '"'
    else if (character === within || character === "\n") within = ""
  }
  return parts.map((part) => part.trim()).filter((part) => part !== "")
}

function plain(address: string): string {
  return address.trim().replace(/^mailto:/i, "")
}

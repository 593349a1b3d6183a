import { Switch, TagsInput } from "@mantine/core"
import { type KeyboardEvent, useState } from "react"
import { addressesIn } from "../draft/addresses"
import { addressMistake } from "../draft/draft"
import classes from "../Manage.module.css"

interface RecipientsProps {
  isOn: boolean
  addresses: string[]
  roleRecipients: string[]
  mistake: string | undefined
  turn: (on: boolean) => void
  enter: (addresses: string[]) => void
}

/** Additional recipients, beside those that are notified because of their role. */
export function Recipients({ isOn, addresses, roleRecipients, mistake, turn, enter }: RecipientsProps) {
  const [typed, setTyped] = useState("")
  const [refused, setRefused] = useState<string>()

  /** Invalid text stays in the field, so that the user can correct it. */
  function add(text: string) {
    const kept = [...addresses]
    const wrong: string[] = []
    let problem: string | undefined
    for (const address of addressesIn(text)) {
      const its = addressMistake(address, kept)
      if (!its) kept.push(address)
      else {
        problem ??= its
        wrong.push(address)
      }
    }
    setTyped(wrong.join(", "))
    setRefused(problem)
    if (kept.length > addresses.length) enter(kept)
  }

  /** The control adds pasted or remaining text as one more value, unsplit; or it removes values. */
  function change(next: string[]) {
    if (next.length > addresses.length) return add(next.slice(addresses.length).join("\n"))
    setRefused(undefined)
    enter(next)
  }

  function press(event: KeyboardEvent<HTMLInputElement>) {
    if (event.nativeEvent.isComposing) return
    if (event.key === "Enter") {
      event.preventDefault() // otherwise Enter saves the form
      if (typed.trim()) add(typed)
    } else if ([",", ";", " "].includes(event.key) && isComplete(typed, addresses)) {
      event.preventDefault()
      add(typed)
    }
  }

  return (
    <div>
      <Switch
        label="Add additional recipients"
        checked={isOn}
        onChange={({ currentTarget }) => turn(currentTarget.checked)}
      />
      {isOn && (
        <TagsInput
          mt="sm"
          label="Email addresses"
          description="Press Enter after each address, or paste a list. Recipients can unsubscribe from any email."
          placeholder={addresses.length === 0 ? "finance@example.com" : ""}
          value={addresses}
          onChange={change}
          searchValue={typed}
          onSearchChange={(text) => {
            setTyped(text)
            if (text) setRefused(undefined)
          }}
          onKeyDown={press}
          splitChars={["\0"]} // commas may be parts of names, so addressesIn splits lists
          acceptValueOnBlur
          allowDuplicates
          clearable
          clearButtonProps={{ "aria-label": "Remove all addresses" }}
          error={refused ?? mistake}
          inputMode="email"
        />
      )}
      <p className={classes.quiet}>
        {roleRecipients.length === 0
          ? "No Super Admin, Admin, or Billing Moderator is known yet, so only the addresses above are notified."
          : `Always notified: ${roleRecipients.join(", ")}`}
      </p>
    </div>
  )
}

/** Whether the typed text is complete and valid. A name whose address is still missing is not. */
function isComplete(text: string, chosen: string[]): boolean {
  const found = addressesIn(text)
  return found.length > 0 && found.every((address) => addressMistake(address, chosen) === undefined)
}

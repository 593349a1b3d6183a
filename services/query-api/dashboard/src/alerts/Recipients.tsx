import { Switch, TagsInput } from "@mantine/core"
import { useState } from "react"
import { addressMistake } from "./draft"
import classes from "./Manage.module.css"

interface RecipientsProps {
  isOn: boolean
  addresses: string[]
  roleRecipients: string[]
  mistake: string | undefined
  turn: (on: boolean) => void
  enter: (addresses: string[]) => void
}

/** Who is told beside those who are told for their role. */
export function Recipients({ isOn, addresses, roleRecipients, mistake, turn, enter }: RecipientsProps) {
  const [refused, setRefused] = useState<string>()

  function change(next: string[]) {
    const kept: string[] = []
    let problem: string | undefined
    for (const address of next.map((one) => one.trim())) {
      const its = addresses.includes(address) && !kept.includes(address) ? undefined : addressMistake(address, kept)
      if (its) problem ??= its
      else kept.push(address)
    }
    setRefused(problem)
    enter(kept)
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
          description="Enter, comma or space adds an address; each can unsubscribe by the link in its mails."
          placeholder={addresses.length === 0 ? "finance@example.com" : ""}
          value={addresses}
          onChange={change}
          splitChars={[",", ";", " ", "\n"]}
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
          ? "Nobody holds one of the roles yet, so nobody would be told for a role."
          : `Told for their role: ${roleRecipients.join(", ")}.`}
      </p>
    </div>
  )
}

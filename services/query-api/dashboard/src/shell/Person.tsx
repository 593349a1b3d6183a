import { ActionIcon, Menu, Text } from "@mantine/core"
import { IconLogout, IconUserCircle } from "@tabler/icons-react"
import { api, type Schemas } from "../api/client"

const ROLES: Record<string, string> = {
  super_admin: "Super Admin",
  admin: "Admin",
  billing_moderator: "Billing Moderator",
}

/** Who is signed in, and the way out. */
export function Person({ session }: { session: Schemas["SignedIn"] }) {
  const who = session.name || session.email || "Signed in"
  return (
    <Menu position="bottom-end" withinPortal>
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" size="lg" aria-label={`${who}: account`}>
          <IconUserCircle size={20} stroke={1.6} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>
          <Text size="sm" fw={600} c="var(--text)">
            {who}
          </Text>
          {session.name && session.email && <Text size="xs">{session.email}</Text>}
          <Text size="xs">{ROLES[session.role] ?? session.role}</Text>
        </Menu.Label>
        {session.by === "session" && (
          <Menu.Item leftSection={<IconLogout size={16} stroke={1.6} />} onClick={signOut}>
            Sign out
          </Menu.Item>
        )}
      </Menu.Dropdown>
    </Menu>
  )
}

async function signOut() {
  await api.POST("/logout")
  location.assign("/")
}

import { ActionIcon, Menu, Text } from "@mantine/core"
import { IconChartHistogram, IconHistory, IconLogout, IconPlugConnected, IconUserCircle } from "@tabler/icons-react"
import { useNavigate } from "@tanstack/react-router"
import type { MouseEvent } from "react"
import { api, type Schemas } from "../api/client"
import { maySeeAudit } from "../audit/queries"
import { CONNECTIONS, mayConnect } from "../connections/path"
import { MY_USAGE } from "../me/path"
import { roleName } from "../ui/labels"

/** The signed-in user, with a menu to sign out. */
export function Person({ session }: { session: Schemas["SessionResponse"] }) {
  const open = useOpenAudit()
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
          <Text size="xs">{roleName(session.role)}</Text>
        </Menu.Label>
        {session.my_usage && (
          <Menu.Item component="a" href={MY_USAGE} leftSection={<IconChartHistogram size={16} stroke={1.6} />}>
            My usage
          </Menu.Item>
        )}
        {maySeeAudit(session.role) && !session.refusal_reason && (
          <Menu.Item
            component="a"
            href="/?panel=audit"
            leftSection={<IconHistory size={16} stroke={1.6} />}
            onClick={open}
          >
            Audit log
          </Menu.Item>
        )}
        {mayConnect(session.role) && !session.refusal_reason && (
          <Menu.Item component="a" href={CONNECTIONS} leftSection={<IconPlugConnected size={16} stroke={1.6} />}>
            Connections
          </Menu.Item>
        )}
        {session.auth_method === "session" && (
          <Menu.Item leftSection={<IconLogout size={16} stroke={1.6} />} onClick={signOut}>
            Sign out
          </Menu.Item>
        )}
      </Menu.Dropdown>
    </Menu>
  )
}

/** Opens the audit log in a drawer beside the current view. A click with Ctrl, Command or Shift opens its URL in a new window. */
function useOpenAudit() {
  const navigate = useNavigate()
  return (event: MouseEvent) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return
    event.preventDefault()
    void navigate({ to: "/", search: (before) => ({ ...before, panel: "audit" }), resetScroll: false })
  }
}

async function signOut() {
  await api.POST("/logout")
  location.assign("/")
}

import { Drawer, Tabs } from "@mantine/core"
import { lazy, Suspense, useState } from "react"
import { PanelSkeleton } from "../ui/PanelSkeleton"
import { useUrlState } from "../url/useUrlState"
import classes from "./Manage.module.css"

const SettingsForm = lazy(() => import("./form/SettingsForm").then((module) => ({ default: module.SettingsForm })))
const History = lazy(() => import("./History").then((module) => ({ default: module.History })))

const Channels = lazy(() => import("./channels/Channels").then((module) => ({ default: module.Channels })))

const TABS = ["alerts", "channels", "history"] as const

/** The drawer "Manage budget and alerts": open while the URL has `panel=alerts`, or the name of another of its tabs. */
export function ManageDrawer() {
  const [url, change] = useUrlState()
  const panel = TABS.find((tab) => tab === url.panel)
  const [shown, setShown] = useState<(typeof TABS)[number]>("alerts")
  if (panel && panel !== shown) setShown(panel) // keeps the content while the closing drawer slides away
  return (
    <Drawer
      opened={panel !== undefined}
      onClose={() => change({ panel: undefined })}
      position="right"
      size="38rem"
      padding={0}
      title="Manage budget and alerts"
      closeButtonProps={{ "aria-label": "Close" }}
      keepMounted
      classNames={{ content: classes.content, header: classes.header, title: classes.title, body: classes.body }}
    >
      <Tabs
        value={shown}
        onChange={(tab) => change({ panel: TABS.find((one) => one === tab) })}
        keepMounted={false}
        className={classes.tabs}
      >
        <Tabs.List px="lg">
          <Tabs.Tab value="alerts">Settings</Tabs.Tab>
          <Tabs.Tab value="channels">Channels</Tabs.Tab>
          <Tabs.Tab value="history">History</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="alerts" keepMounted className={classes.panel}>
          <Suspense fallback={<PanelSkeleton />}>
            {/* Stays mounted after the first opening, so that unsaved input survives closing the drawer. */}
            <FromFirstTimeOn when={panel === "alerts"}>
              <SettingsForm />
            </FromFirstTimeOn>
          </Suspense>
        </Tabs.Panel>
        <Tabs.Panel value="channels" className={classes.panel}>
          <Suspense fallback={<PanelSkeleton />}>{panel === "channels" && <Channels />}</Suspense>
        </Tabs.Panel>
        <Tabs.Panel value="history" className={classes.panel}>
          <Suspense fallback={<PanelSkeleton />}>{panel === "history" && <History />}</Suspense>
        </Tabs.Panel>
      </Tabs>
    </Drawer>
  )
}

function FromFirstTimeOn({ when, children }: { when: boolean; children: React.ReactNode }) {
  const [was, setWas] = useState(when)
  if (when && !was) setWas(true)
  return was ? children : null
}

import { Drawer, Switch } from "@mantine/core"
import { useLocalStorage } from "@mantine/hooks"
import { useEffect } from "react"
import { useUrlState } from "../url/useUrlState"
import { isShortcut, KEYS, KEYS_WITHIN, press } from "./keys"
import classes from "./Shortcuts.module.css"

/** Single-key shortcuts, their list, and a switch that turns them off (WCAG 2.1.4: keys hit by accident or by voice input). */
export function Shortcuts() {
  const [url, change] = useUrlState()
  const [on, setOn] = useLocalStorage({
    key: "flexcredits-shortcuts",
    defaultValue: true,
    getInitialValueInEffect: false,
  })
  const isListening = on && url.panel === undefined
  useEffect(() => {
    if (!isListening) return
    const listen = (event: KeyboardEvent) => {
      if (isShortcut(event) && press(event.key)) event.preventDefault() // otherwise the key is also typed into the opened field
    }
    document.addEventListener("keydown", listen)
    return () => document.removeEventListener("keydown", listen)
  }, [isListening])
  return (
    <footer className={classes.footer}>
      <button type="button" aria-keyshortcuts="?" onClick={() => change({ panel: "shortcuts" }, "push")}>
        Keyboard shortcuts {on && <kbd>?</kbd>}
      </button>
      <Drawer
        opened={url.panel === "shortcuts"}
        onClose={() => change({ panel: undefined })}
        position="right"
        size="sm"
        title="Keyboard shortcuts"
        closeButtonProps={{ "aria-label": "Close" }}
        classNames={{ title: classes.title }}
      >
        <Switch
          label="Single-key shortcuts"
          checked={on}
          onChange={({ currentTarget }) => setOn(currentTarget.checked)}
        />
        {on && (
          <dl className={classes.keys}>
            {KEYS.map(([key, does]) => (
              <Line key={key} keys={[key]} does={does} />
            ))}
          </dl>
        )}
        <h3 className={classes.within}>In charts</h3>
        <dl className={classes.keys}>
          {KEYS_WITHIN.map(([keys, does]) => (
            <Line key={does} keys={keys} does={does} />
          ))}
        </dl>
      </Drawer>
    </footer>
  )
}

function Line({ keys, does }: { keys: string[]; does: string }) {
  return (
    <div>
      <dt>
        {keys.map((key) => (
          <kbd key={key}>{key}</kbd>
        ))}
      </dt>
      <dd>{does}</dd>
    </div>
  )
}

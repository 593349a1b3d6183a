-- A new process, perhaps of the release that heals them, retries everything that is set aside.
UPDATE quarantine SET retry_at = now() WHERE component = 'alerter' AND retry_at > now()

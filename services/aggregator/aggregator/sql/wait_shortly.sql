-- What follows waits no longer than this for a lock: whoever asks holds what everybody needs.
SET LOCAL lock_timeout = '500ms'

-- The end of wait_shortly.
SET LOCAL lock_timeout TO DEFAULT

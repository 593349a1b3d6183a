-- Whether a notice has this id.
SELECT true FROM alert_notices WHERE event_id = $1

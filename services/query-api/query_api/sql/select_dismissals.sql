-- Who does not want to see the banner of a firing any more.
SELECT subject FROM banner_dismissals WHERE organization_id = $1 AND firing_id = $2

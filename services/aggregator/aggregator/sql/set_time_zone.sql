-- Only beside its days being moved.
UPDATE organizations SET time_zone = $2 WHERE organization_id = $1

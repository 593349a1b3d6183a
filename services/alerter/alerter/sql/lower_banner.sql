-- Nothing is met any more.
DELETE FROM banners WHERE organization_id = $1

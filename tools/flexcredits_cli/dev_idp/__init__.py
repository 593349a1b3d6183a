"""The development issuer: an OpenID Connect provider without passwords, for one machine."""

"""The manifests of exported files, and the lines that are kept of them."""

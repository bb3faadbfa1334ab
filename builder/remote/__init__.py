"""What lies elsewhere: addresses of git repositories and URLs, and fetching them. Knows nothing of building."""

"""The peers' losses, configured to do the same job; one file per array library."""

"""The status page: what the daemon sees, as HTML that needs neither scripts nor a network."""

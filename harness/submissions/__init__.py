"""From a measured model to a leaderboard: `entries` picks it, `bundles` writes and checks."""

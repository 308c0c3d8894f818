"""The local page: runs and studies as they go on, classifying, generating, checking data, starting runs; served to this machine alone."""

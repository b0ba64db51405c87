package shards

// Fetchers is what a comparison with another program needs to know.
const Fetchers = fetchers

// Package checkpoint keeps the checkpoints of a run in a bucket: it commits them, restores the
// newest whole one and deletes old ones. Several pods may work on one run at once, and any of them
// may be killed at any moment. It knows parts as names and bytes, and nothing of what they hold.
// Package storage draws the bucket and does the single operations.
//
// # The protocol
//
// An attempt is one process that works on a run. Its name has a random ending, and each of its
// commits a number, so that no key under state/ is ever written twice, even when a container
// restarts in its pod or a commit is tried again.
//
// A checkpoint exists if and only if its manifest does. A commit uploads the parts, then creates
// manifest sequence+1 on the condition that none exists. That create is also the fence between two
// pods of one run: the one that loses it has been overtaken and stops. Safety needs no lease and no
// clock.
//
// A manifest names the checksum of the one before it, every object with size and checksum, and the
// older checkpoints whose objects are retained. Every byte that is read is checked against these.
//
// A damaged checkpoint is reported, kept as evidence, recorded as damaged in the next manifest, and
// skipped in favour of the one before. A run whose manifests exist but of which none can be loaded
// stops: it never starts again from nothing.
//
// The numbers of a run's manifests have no gap. An object that is no manifest and has a number far
// above the others is a stray one: it is passed over with a warning.
//
// # Retention
//
// The newest three checkpoints stay, and so do those committed with keep. The record that lets a
// checkpoint go is the new manifest, which no longer names it. Its objects are deleted after that
// manifest is committed, by the attempt that committed it. A crash in between leaves objects
// without a record, never a record without objects.
//
// Manifests are a few kilobytes and are never deleted. If one were, an attempt that was paused for
// many commits could create its number a second time, and the chain could no longer be checked to
// its beginning.
//
// Objects of commits that never happened are deleted by the next commit of the same attempt, or,
// once they are a day old, by that of any other. So are the temporary files that a kill leaves in a
// file:// bucket.
//
// # Files
//
//	run.go         Run: run.json, result.json, metrics, results
//	checkpoint.go  Part, Position, Checkpoint: what is committed and loaded
//	manifest.go    the format of a manifest, and the chain of them
//	commit.go      Commit: upload, then create the manifest
//	restore.go     Restore: the newest whole checkpoint
//	kept.go        LoadAt: any checkpoint that is kept, for a reader
//	retention.go   which checkpoints stay, and the deletion of the others
package checkpoint

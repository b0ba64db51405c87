// Package storage keeps everything that outlives a process: the shards of a data set, the checkpoints of a run and its results, in a bucket of any kind
// (s3://, gs://, azblob://, file://, mem://). It knows images by their names and first bytes,
// no pixels and no graph.
//
// # The bucket
//
//	<data prefix>/index.json                          written last: a data set is whole if it has one
//	<data prefix>/train-000000.tar ... val-000000.tar WebDataset shards (NAME.jpg|jpeg|png + NAME.cls)
//
//	runs/<run>/run.json                               create-if-absent: settings, data fingerprint, seed, versions
//	runs/<run>/state/<phase>-<step>-<attempt>/<part>  immutable, named once; an attempt never writes into another's folder
//	runs/<run>/manifest/<sequence, 12 digits>.json    create-if-absent: the commit
//	runs/<run>/metrics/[<phase>/]<name>-<attempt>-<n> one object per flush
//	runs/<run>/programs/<key>                         compiled programs: the same kernels for every attempt
//	runs/<run>/teacher.safetensors, README.md         the final teacher, its card
//	runs/<run>/result.json                            create-if-absent: the last write
//
// # Checkpoints
//
// An attempt is one process that works on a run. Its name has a random ending, and in state/ the number of its commit, so that no key is ever
// written twice, even when a container restarts in its pod or a commit is tried again.
//
// A checkpoint exists if and only if its manifest does. A commit uploads the parts, then creates manifest sequence+1 on the condition that nothing
// stands there. That create is also the fence between two pods of one run: who loses it has been overtaken and stops. No lease and no clock is needed.
// The bucket must do the conditional create atomically; s3, gs, azblob and mem do, and for file:// this package does it itself.
//
// A manifest names the checksum of the one before it, every object with size and checksum, and the older checkpoints whose objects are still retained.
// Every byte that is read is checked against these. A damaged checkpoint is reported, kept as evidence, entered in the next manifest and passed over
// for the one before; a run whose manifests exist but do not load stops.
//
// # Retention
//
// The newest three checkpoints and the ones committed with keep stay. Manifests are a few kilobytes and are never deleted: a number that became free again
// would let an attempt that slept through many commits create it a second time, and the chain could no longer be checked to its beginning. So the
// record that lets a checkpoint go is the new manifest, which no longer names it, and its objects are deleted after that manifest is committed, by the
// attempt that has just committed it. A crash in between leaves objects without a record, never a record without objects. Objects of commits
// that never happened are deleted by the next commit of the same attempt, or by another attempt's once they are a day old.
//
// An upload to S3 that is cut off by a kill leaves parts that no listing of objects shows: give the bucket a lifecycle rule that aborts incomplete
// multipart uploads after a day.
package storage

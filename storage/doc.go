// Package storage makes a bucket of any kind (s3://, gs://, azblob://, file://, mem://) reliable:
// every operation is retried, has a deadline for progress, and ends in one of a few errors. Bytes
// that are read are checked against the checksum that their record gives. The drivers of
// gocloud.dev stay below this package; they differ, and each has faults. It knows keys and bytes,
// and nothing of what they mean: checkpoints are storage/checkpoint's, datasets storage/shards'.
//
// # The bucket
//
// This is the layout of a bucket that runs and datasets share:
//
//	<data prefix>/index.json                           written last: the dataset is whole
//	<data prefix>/index.notes.json                     what pack or index warned of, for check
//	<data prefix>/train-000000.tar val-000000.tar      WebDataset: NAME.jpg|jpeg|png|webp + NAME.cls
//
//	runs/<run>/run.json                                created once: settings, fingerprint, seed
//	runs/<run>/state/<phase>-<step>-<attempt>/...      the parts of a checkpoint, immutable
//	runs/<run>/manifest/<12 digits>.json               created once: the commit of a checkpoint
//	runs/<run>/metrics/[<phase>/]<name>-<attempt>-<n>  one object per flush
//	runs/<run>/programs/<key>                          compiled programs, for the same kernels
//	runs/<run>/teacher.safetensors                     the final teacher
//	runs/<run>/config.json, README.md                  what timm reads of it; its card
//	runs/<run>/predictions.npz                         what each classifier says of each val image
//	runs/<run>/components.jpg, neighbours.jpg          pictures of what it makes of a few images
//	runs/<run>/probes/<data>[-<share>].json            the teacher's figures on other data
//	runs/<run>/probes/<data>[-<share>]/...             what a run's folder has, of that probe
//	runs/<run>/result.json                             created once: the last write
//
// # Conditional writes
//
// [Bucket.Create] must be atomic, because a commit is one: of two writers exactly one wins. s3, gs,
// azblob and mem keep the condition themselves; for file:// this package does. [Bucket.Check] tries
// it before a run relies on it.
//
// An upload to S3 that a kill interrupts leaves parts that no listing of objects shows: give the
// bucket a lifecycle rule that aborts incomplete multipart uploads after a day.
//
// # Files
//
//	bucket.go          Bucket: get, list, delete; which keys are allowed
//	open.go            Open: from a URL to a Bucket
//	secrets.go         what of a URL no message shows
//	azure.go           Azure containers at domains that the driver does not take
//	retry.go           Options, the retry loop, the watchdog of an attempt
//	errors.go          the errors a caller branches on; drivers' errors classified
//	put.go             Put: an upload that stores all of its bytes or nothing
//	create.go          Create: create-if-absent; ambiguous answers are read back
//	read.go            Read: verified reads; Reader, which resumes cut connections
//	parallelreader.go  a large object read over several connections at once
//	filebucket.go      what file:// needs: atomic writes by temporary files and links
//	check.go           Check: tries every right that a run needs
package storage

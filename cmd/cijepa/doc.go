// Command cijepa pretrains a ViT with cI-JEPA from shards in a bucket, trains a linear probe on the
// frozen teacher and writes checkpoints, metrics and a JSON result back. Environment variables set
// everything; cijepa config lists them.
//
// # The five-file path
//
// These files, in this order, are the program. The rest is looked up by name.
//
//	cmd/cijepa/main.go               signals, commands, the exit code
//	job/job.go                       Run, attempt, train: the flow of a run on one screen
//	job/loop.go                      what follows every update of both phases
//	model/objective.go               the method: sources, targets, the weighted loss
//	storage/checkpoint/commit.go     a checkpoint exists if and only if its manifest does
//
// The method itself is model/reference/METHOD.md, with a PyTorch reference beside it.
//
// # How a run flows
//
//	settings.Load        environment -> Config; all faults in one error
//	job.Run              one attempt, beside a watchdog
//	  attempt            result.json there? -> done
//	    open             bucket, index.json, cache of shards, device
//	    begin            run.json: create it, or join the run that it describes
//	    restore          newest whole checkpoint, or the initial state
//	    train
//	      pretrain       for each update: batch, masks, depths, learning rate -> Learner.Step
//	      probe          linear probes on the frozen teacher and on the untrained encoder; none of
//	                     data without labels
//	      finish         teacher, card, predictions, and result.json as the last write
//	    stop             after an error or SIGTERM: the last checkpoint, the record of the end
//
// Every update is a function of (seed, step). So an attempt can end anywhere, and the next one goes
// on from the newest checkpoint to the same bits.
//
// # Glossary
//
// The words of the method (student, teacher, context, target, predictor, depth) are METHOD.md's.
// These are the program's own:
//
//	run         one training run: a folder runs/NAME of a bucket, one recipe, one seed
//	sweep       a file of lines; a line is the settings of one run, laid over the environment
//	recipe      the settings that change what a run computes; run.json binds all attempts to it
//	attempt     one process that works on a run
//	phase       pretraining, then the probe
//	update      one optimizer step; the field also says iteration
//	pass        the part of an update that one micro-batch takes; gradients of all passes add up
//	pathway     a source depth with its predictor: it predicts the teacher's features at all depths
//	row         the loss terms of one source depth; its weights over target depths sum to one
//	slot        the place of a sampled pathway in a compiled step: any pathway runs in any slot
//	shard       one tar file of a packed data set; split: train or val
//	window      the shards whose samples are shuffled together
//	manifest    the record that makes a checkpoint exist; creating the next number is the commit
//	fence       of two attempts, only one can create a manifest number: the other is overtaken
//	overtaken   an attempt that lost that race; it stops with exit code 76
//	health      statistics of the teacher's features at the end of an epoch
//	evaluation  a linear classifier and a kNN on the teacher's features, every few epochs
//	alarm       a figure that no healthy run shows
//
// # Exit codes
//
// See exit.go. Only main exits.
package main

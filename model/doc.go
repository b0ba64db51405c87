// Package model is cI-JEPA as GoMLX programs: networks, objective, optimizer, probe, and their
// state as safetensors.
//
// A run has three parts. A mask.Masker says which patches a student sees and which it predicts, a
// [Learner] holds the state on a [Device] and moves it by steps, and a [Probe] measures what the
// teacher has learnt. All that varies from step to step is an input of the step, so its result is
// a function of the state and the step's number.
//
// What is computed is defined by model/reference/METHOD.md, with its sources, and by
// model/reference/cijepa.py, the same in PyTorch, which comments call the reference.
//
// The package knows no files, buckets, image formats or settings of a job. A panic of GoMLX comes
// back as an error. Its files, in reading order:
//
//	config.go     sizes of the networks, settings of the objective
//	vit.go        the encoder: blocks, attention, norms
//	rope.go       rotary position embeddings
//	predictor.go  the pathway of one source depth
//	objective.go  the table of prediction problems, its loss and gradients
//	schedule.go   learning rate, momentum and sampled depths of a step
//	adamw.go      the update, and the teacher's moving average
//	weights.go    which arrays a network has, under which names
//	step.go       the graphs of a step
//	call.go       the order of a step's inputs
//	program.go    the compiled graphs, one for each mask shape
//	networks.go   the state on the device, and how it begins
//	learner.go    Learner: uploads images, takes steps
//	state.go      the state as safetensors files, and back
//	snapshot.go   a copy of the state beside running steps
//	encoder.go    a frozen encoder, on the host and on a device
//	health.go     Monitor: signs of a collapse
//	probe.go      Probe: linear classifiers on frozen features
//	tokens.go     TokenReader: the features of every token of a few images
//	cost.go       FLOPs and memory of a step, by formula
//	fit.go        Try: whether a step fits into the device's memory
//	device.go     Device: a GoMLX backend
package model

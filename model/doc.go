// Package model is cI-JEPA as GoMLX programs: the networks, the masks, the objective, the optimiser, the probe, and their
// state as safetensors.
//
// A run is made of three parts. A Masker says which patches a student sees and which it predicts, a Learner holds the
// state on a Device and moves it by steps, and a Probe measures what the teacher has learnt. All that varies from step to
// step comes in with the step, so its result is a function of the state and the step's number.
//
// What is computed is defined by model/reference/METHOD.md, with its sources, and by model/reference/cijepa.py, the same in
// PyTorch, which comments call the reference.
//
// The package knows no files, buckets, image formats or settings of a job. What panics in GoMLX comes back as an error.
package model

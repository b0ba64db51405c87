// Package mask draws I-JEPA's multi-block masks: the cells of the patch grid that the student
// sees, and the blocks that it predicts. It is pure: the masks of a step are a function of the
// settings, the seed and the step. It knows no image and no network.
//
//	config.go   the settings and their faults
//	mask.go     Masker and the masks of a step
//	placer.go   where the blocks of one image lie
//	size.go     how large a block is
//	trim.go     the context length of each target length
//	lengths.go  how long contexts are before they are trimmed
package mask

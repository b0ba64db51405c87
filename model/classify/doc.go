// Package classify measures features on the host: how well classifiers without training tell
// classes apart, and how far features have spread. It is pure: it knows no network, no image and
// no device.
//
//	answers.go     what a classifier says of images
//	neighbours.go  k nearest neighbours under cosine similarity
//	nearest.go     which samples are the nearest
//	ridge.go       ridge regression in closed form
//	whitening.go   a linear map that makes features uncorrelated
//	spread.go      standard deviation and effective rank
package classify

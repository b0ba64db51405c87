// Package paired compares classifiers by what each says of the same images, which tells smaller
// differences than their accuracies alone do: two runs at 70 % on 5,000 images differ by 0 ± 0.92
// points, and if they disagree on a fifth of the images by 0 ± 0.63. It is pure statistics, of
// right and wrong answers, and knows no run and no bucket. All accuracies are shares, 0 to 1.
//
//	two.go     two classifiers: McNemar's exact test and an interval
//	groups.go  two groups of seeds: a bootstrap over images and seeds
//	seeds.go   how many seeds tell a difference
package paired

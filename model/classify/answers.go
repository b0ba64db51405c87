package classify

// Answers are what one classifier says of n images.
type Answers struct {
	Classes []int32 // [n] the class that ranks first; the number of classes if none does
	Ranks   []int32 // [n] classes that rank before the image's own; 0: the answer is right
}

// Append adds the answers for other images.
func (a *Answers) Append(other Answers) {
	a.Classes, a.Ranks = append(a.Classes, other.Classes...), append(a.Ranks, other.Ranks...)
}

// Top counts the images whose own class is among the first k.
func (a Answers) Top(k int32) (images int) {
	for _, rank := range a.Ranks {
		if rank < k {
			images++
		}
	}
	return images
}

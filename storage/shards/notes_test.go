package shards

import (
	"strings"
	"testing"
)

// TestLargeNotesAreNotTaken: a run would put them into its result, which then nobody could read.
func TestLargeNotesAreNotTaken(t *testing.T) {
	_, b, d := storePacked(t, 20)
	for _, size := range []int{100, maxNotes} {
		want := Notes{Warnings: []string{strings.Repeat("x", size)}}
		if err := PutNotes(t.Context(), b, "d", d.Index, want); err != nil {
			t.Fatal(err)
		}
		got, err := d.Notes(t.Context())
		if taken := err == nil && len(got.Warnings) == 1; taken != (size < maxNotes) {
			t.Errorf("%d bytes: %d warnings, %v", size, len(got.Warnings), err)
		}
	}
}

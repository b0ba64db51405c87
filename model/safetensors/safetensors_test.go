package safetensors

import (
	"bytes"
	"testing"
)

// Any bytes for a file are an error or a header whose arrays follow each other, never a panic.
func FuzzHeader(f *testing.F) {
	good, err := Header([]Array{{"a", []int{2}, make([]byte, 8)}, {"b", nil, make([]byte, 4)}}, map[string]string{"format": "pt"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("\x02\x00\x00\x00\x00\x00\x00\x00{}"))
	f.Add([]byte("\x10\x00\x00\x00\x00\x00\x00\x00{\"a\":{\"data_offsets\":[4,0]}}"))
	f.Fuzz(func(t *testing.T, file []byte) {
		entries, order, err := readHeader(bytes.NewReader(file))
		if err != nil {
			return
		}
		end := int64(0)
		for _, name := range order {
			if at := entries[name].Offsets; at[0] != end || at[1] < at[0] {
				t.Fatalf("%s lies at %v behind %d", name, at, end)
			}
			end = entries[name].Offsets[1]
		}
	})
}

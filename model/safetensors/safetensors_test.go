package safetensors

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

// A file is read back, metadata or not, and only into the arrays that it holds.
func TestFileIsReadBackIntoItsArraysAlone(t *testing.T) {
	arrays := []Array{{"a", []int{2}, []byte("abcdefgh")}, {"b", nil, []byte("ijkl")}}
	for _, metadata := range []map[string]string{nil, {"format": "pt"}} {
		var file bytes.Buffer
		if err := Write(&file, arrays, metadata); err != nil {
			t.Fatal(err)
		}
		read := func(into ...Array) error {
			for i := range into {
				into[i].Data = make([]byte, into[i].Size())
			}
			if err := Read(bytes.NewReader(file.Bytes()), into); err != nil {
				return err
			}
			for i, a := range into {
				if want := arrays[slices.IndexFunc(arrays, func(b Array) bool { return b.Name == a.Name })]; !bytes.Equal(a.Data, want.Data) {
					t.Errorf("array %d, %s: %q, want %q", i, a.Name, a.Data, want.Data)
				}
			}
			return nil
		}
		if err := read(Array{Name: "b"}, Array{Name: "a", Dims: []int{2}}); err != nil {
			t.Error(err)
		}
		for what, into := range map[string][]Array{
			"an array more": {{Name: "a", Dims: []int{2}}, {Name: "b"}, {Name: "c"}},
			"an array less": {{Name: "a", Dims: []int{2}}},
			"another shape": {{Name: "a", Dims: []int{2, 1}}, {Name: "b"}},
			"another size":  {{Name: "a", Dims: []int{3}}, {Name: "b"}},
		} {
			if err := read(into...); !errors.Is(err, ErrFormat) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}

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

// Package safetensors writes and reads float32 arrays in the safetensors format, in one pass, from
// and into the caller's memory: the length of a header in 8 bytes, little-endian; the header, a
// JSON object from names to types, shapes and offsets; then the arrays, little-endian, back to
// back. It knows no network.
package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// ErrFormat is a readable file that does not hold the arrays asked for, in float32.
var ErrFormat = errors.New("other arrays than this network's")

// Array is one float32 array of a file.
type Array struct {
	Name string
	Dims []int
	Data []byte // little-endian
}

// Size is the array's size in bytes.
func (a Array) Size() int64 {
	n := int64(4)
	for _, d := range a.Dims {
		n *= int64(d)
	}
	return n
}

// headerEntry is an array in the header.
type headerEntry struct {
	DType   string   `json:"dtype"`
	Shape   []int    `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

// metadataKey names strings about the file, in the place of an array.
const metadataKey = "__metadata__"

// maxHeader is the format's limit of a header, in bytes.
const maxHeader = 100 << 20

// Header returns the first bytes of a file, padded so that the arrays begin at a multiple of 8.
func Header(arrays []Array, metadata map[string]string) ([]byte, error) {
	header := map[string]any{}
	if len(metadata) > 0 {
		header[metadataKey] = metadata
	}
	var offset int64
	for _, a := range arrays {
		end := offset + a.Size()
		header[a.Name] = headerEntry{"F32", append([]int{}, a.Dims...), [2]int64{offset, end}}
		offset = end
	}
	text, err := json.Marshal(header)
	if err != nil {
		return nil, fmt.Errorf("writing a safetensors header: %w", err)
	}
	text = append(text, bytes.Repeat([]byte{' '}, (8-len(text)%8)%8)...)
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...), nil
}

// Write writes a file.
func Write(w io.Writer, arrays []Array, metadata map[string]string) error {
	header, err := Header(arrays, metadata)
	if err != nil {
		return err
	}
	if _, err := w.Write(header); err != nil {
		return fmt.Errorf("writing a safetensors header: %w", err)
	}
	for _, a := range arrays {
		if _, err := w.Write(a.Data); err != nil {
			return fmt.Errorf("writing %s: %w", a.Name, err)
		}
	}
	return nil
}

// Read reads a file into the given arrays. The file must hold exactly these, of these shapes, and
// end where its header says; then r has been read up to its io.EOF. A file that does not is
// ErrFormat.
func Read(r io.Reader, arrays []Array) error {
	entries, order, err := readHeader(r)
	if err != nil {
		return err
	}
	wanted := map[string]Array{}
	for _, a := range arrays {
		wanted[a.Name] = a
		if _, ok := entries[a.Name]; !ok {
			return fmt.Errorf("reading safetensors: %w: no array %s", ErrFormat, a.Name)
		}
	}
	for _, name := range order {
		entry, a := entries[name], wanted[name]
		if a.Name == "" {
			return fmt.Errorf("reading safetensors: %w: unknown array %s", ErrFormat, name)
		}
		if entry.DType != "F32" || !slices.Equal(entry.Shape, a.Dims) {
			return fmt.Errorf("reading safetensors: %w: %s is %s %v instead of F32 %v",
				ErrFormat, name, entry.DType, entry.Shape, a.Dims)
		}
		if size := entry.Offsets[1] - entry.Offsets[0]; size != int64(len(a.Data)) {
			return fmt.Errorf("reading safetensors: %w: %s has %d bytes instead of %d",
				ErrFormat, name, size, len(a.Data))
		}
		if _, err := io.ReadFull(r, a.Data); err != nil {
			return fmt.Errorf("reading %s: %w", name, tooShort(err))
		}
	}
	switch n, err := io.CopyN(io.Discard, r, 1); {
	case n > 0:
		return fmt.Errorf("reading safetensors: %w: bytes after the last array", ErrFormat)
	case err != io.EOF:
		return fmt.Errorf("reading safetensors to its end: %w", err)
	}
	return nil
}

// tooShort makes ErrFormat of a file that ends too early. A reader that knows of a cut returns an
// error of its own.
func tooShort(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return err
}

// readHeader reads the header of a file. The order is that of the arrays in the file, which follow
// each other without gaps.
func readHeader(r io.Reader) (entries map[string]headerEntry, order []string, err error) {
	var length uint64
	if err := binary.Read(r, binary.LittleEndian, &length); err != nil {
		return nil, nil, fmt.Errorf("reading a safetensors header: %w", tooShort(err))
	}
	if length > maxHeader {
		return nil, nil, fmt.Errorf("reading a safetensors header: %w: a length of %d bytes", ErrFormat, length)
	}
	var text bytes.Buffer
	if _, err := io.CopyN(&text, r, int64(length)); err != nil {
		return nil, nil, fmt.Errorf("reading a safetensors header: %w", tooShort(err))
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(text.Bytes(), &raw); err != nil {
		return nil, nil, fmt.Errorf("reading a safetensors header: %w: %w", ErrFormat, err)
	}
	delete(raw, metadataKey)
	entries = make(map[string]headerEntry, len(raw))
	for name, message := range raw {
		var entry headerEntry
		if err := json.Unmarshal(message, &entry); err != nil {
			return nil, nil, fmt.Errorf("reading a safetensors header, %s: %w: %w", name, ErrFormat, err)
		}
		entries[name] = entry
		order = append(order, name)
	}
	slices.SortFunc(order, func(a, b string) int { return cmp.Compare(entries[a].Offsets[0], entries[b].Offsets[0]) })
	var end int64
	for _, name := range order {
		if at := entries[name].Offsets; at[0] != end || at[1] < end {
			return nil, nil, fmt.Errorf("reading a safetensors header: %w: %s is at %v, not right after the array before it",
				ErrFormat, name, at)
		}
		end = entries[name].Offsets[1]
	}
	return entries, order, nil
}

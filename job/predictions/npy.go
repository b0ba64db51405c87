package predictions

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// array is a NumPy array of unsigned integers of one, two or four bytes, as a .npy file of version
// 1.0 holds it (numpy.lib.format). Arrays of two axes are in Fortran's order.
type array struct {
	name string
	dims []int // none: a scalar
	size int   // bytes of a value
}

// newArray is an array of 0..most. It takes the smallest type.
func newArray(name string, most int, dims ...int) array {
	size := 4
	switch {
	case most < 1<<8:
		size = 1
	case most < 1<<16:
		size = 2
	}
	return array{name, dims, size}
}

// len is the number of values.
func (a array) len() int {
	n := 1
	for _, d := range a.dims {
		n *= d
	}
	return n
}

// headerSize is the size of what comes before the values.
const headerSize = 128

// header is what comes before the values.
func (a array) header() []byte {
	var shape []string
	for _, d := range a.dims {
		shape = append(shape, fmt.Sprint(d))
	}
	dims, order := strings.Join(shape, ", "), "False"
	switch len(shape) {
	case 1:
		dims += ","
	case 2:
		order = "True"
	}
	descr := map[int]string{1: "|u1", 2: "<u2", 4: "<u4"}[a.size]
	text := fmt.Sprintf("{'descr': '%s', 'fortran_order': %s, 'shape': (%s), }", descr, order, dims)
	return fmt.Appendf([]byte("\x93NUMPY\x01\x00\x76\x00"), "%-117s\n", text)
}

// encode is the array as a file.
func (a array) encode(values []int32) []byte {
	data := slices.Grow(a.header(), a.size*len(values))
	var value [4]byte
	for _, v := range values {
		binary.LittleEndian.PutUint32(value[:], uint32(v))
		data = append(data, value[:a.size]...)
	}
	return data
}

// decode reads the values of a file that must have the array's type and dims.
func (a array) decode(file []byte) ([]int32, error) {
	if want := headerSize + a.size*a.len(); len(file) != want || !slices.Equal(file[:headerSize], a.header()) {
		return nil, fmt.Errorf("%s is no array %v of unsigned integers of %d bytes", a.name, a.dims, a.size)
	}
	values := make([]int32, a.len())
	for i := range values {
		var value [4]byte
		copy(value[:], file[headerSize+i*a.size:][:a.size])
		values[i] = int32(binary.LittleEndian.Uint32(value[:]))
	}
	return values, nil
}

package model

import (
	"encoding/binary"
	"math"
	"slices"
	"sync"

	"github.com/cijepa/cijepa/model/draw"
)

// The networks of a run, as numbers that set their initial weights apart.
const studentSeed = 0

func predictorSeed(depth int) uint64 { return 1 + uint64(depth) }

// initialDeviation is the standard deviation of initial weights. I-JEPA truncates at +-2, a hundred deviations away.
const initialDeviation = 0.02

// initial draws an array as float32 values, little-endian: normal weight matrices, zero biases, norms of one,
// as I-JEPA runs. Every row has a stream of its own, so rows are drawn side by side.
func initial(a array, seed, network uint64, index int) []byte {
	data := make([]byte, 4*a.size())
	var rows sync.WaitGroup
	for row := range max(a.rows, 1) {
		rows.Go(func() {
			stream := draw.New(seed, "weights", network, uint64(index), uint64(row))
			for value := range slices.Chunk(data[4*row*a.rowSize():][:4*a.rowSize()], 4) {
				var x float32
				switch a.kind {
				case matrix:
					x = float32(initialDeviation * stream.Normal())
				case gain:
					x = 1
				}
				binary.LittleEndian.PutUint32(value, math.Float32bits(x))
			}
		})
	}
	rows.Wait()
	return data
}

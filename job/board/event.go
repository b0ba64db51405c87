package board

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// The numbers of the fields are those of event.proto, summary.proto and tensor.proto in TensorBoard
// 2.21. No maintained Go library writes them.

// event is a tensorflow.Event without content.
func event(at time.Time, step int64) []byte {
	b := protowire.AppendTag(nil, 1, protowire.Fixed64Type)
	b = protowire.AppendFixed64(b, math.Float64bits(float64(at.UnixNano())/1e9))
	b = protowire.AppendTag(b, 2, protowire.VarintType)
	return protowire.AppendVarint(b, uint64(step))
}

// version is the event that every file begins with.
func version(at time.Time) []byte { return text(event(at, 0), 3, "brain.Event:2") }

// start is the first event of an attempt. It voids the events of earlier files at this step and
// later ones.
func start(at time.Time, step int64) []byte {
	return message(event(at, step), 7, number(nil, 1, 1)) // SessionLog.START
}

// scalar is the event of one number.
func scalar(at time.Time, step int64, tag string, value float64) []byte {
	v := text(nil, 1, tag)
	v = protowire.AppendTag(v, 2, protowire.Fixed32Type)
	v = protowire.AppendFixed32(v, math.Float32bits(float32(value)))
	return message(event(at, step), 5, message(nil, 1, v))
}

// imageEvent is the event of a PNG or JPEG file.
func imageEvent(at time.Time, step int64, tag string, width, height int, file []byte) []byte {
	body := number(number(number(nil, 1, uint64(height)), 2, uint64(width)), 3, 4) // 4: RGBA
	body = message(body, 4, file)
	return message(event(at, step), 5, message(nil, 1, message(text(nil, 1, tag), 4, body)))
}

// note is the event of a text in Markdown.
func note(at time.Time, step int64, tag, markdown string) []byte {
	const strings = 7 // DT_STRING
	tensor := message(number(nil, 1, strings), 2, message(nil, 2, number(nil, 1, 1)))
	tensor = text(tensor, 8, markdown)
	return plugin(at, step, tag, "text", nil, tensor)
}

// hparams is an event of TensorBoard's plugin hparams: its data, and an empty tensor.
func hparams(at time.Time, tag string, data []byte) []byte {
	const floats = 1 // DT_FLOAT
	empty := message(number(nil, 1, floats), 2, message(nil, 2, nil))
	return plugin(at, 0, "_hparams_/"+tag, "hparams", data, empty)
}

// plugin is an event that a plugin of TensorBoard shows.
func plugin(at time.Time, step int64, tag, name string, data, tensor []byte) []byte {
	const tensors = 2 // DATA_CLASS_TENSOR
	metadata := message(nil, 1, message(text(nil, 1, name), 2, data))
	metadata = number(metadata, 4, tensors)
	value := message(message(text(nil, 1, tag), 8, tensor), 9, metadata)
	return message(event(at, step), 5, message(nil, 1, value))
}

func text(b []byte, field protowire.Number, s string) []byte { return message(b, field, []byte(s)) }

func message(b []byte, field protowire.Number, m []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), m)
}

func number(b []byte, field protowire.Number, n uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), n)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frame appends an event to a file in the TFRecord format: length, masked CRC of the length, event,
// masked CRC of the event.
func frame(file, event []byte) []byte {
	masked := func(b []byte) uint32 {
		c := crc32.Checksum(b, castagnoli)
		return (c>>15 | c<<17) + 0xa282ead8
	}
	head := len(file)
	file = binary.LittleEndian.AppendUint64(file, uint64(len(event)))
	file = binary.LittleEndian.AppendUint32(file, masked(file[head:]))
	file = append(file, event...)
	return binary.LittleEndian.AppendUint32(file, masked(event))
}

package board

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// sessionStart is the event with the hyperparameters of a run. The numbers of the fields are those
// of plugin_data.proto of the plugin hparams.
func sessionStart(at time.Time, settings map[string]any) []byte {
	var info []byte
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		info = message(info, 1, message(text(nil, 1, name), 2, value(settings[name])))
	}
	return hparams(at, "session_start_info", message(nil, 3, seconds(info, 5, at)))
}

// sessionEnd is the event of a finished run.
func sessionEnd(at time.Time) []byte {
	const success = 1
	return hparams(at, "session_end_info", message(nil, 4, seconds(number(nil, 1, success), 2, at)))
}

// value is a google.protobuf.Value.
func value(v any) []byte {
	switch v := v.(type) {
	case float64:
		return protowire.AppendFixed64(protowire.AppendTag(nil, 2, protowire.Fixed64Type), math.Float64bits(v))
	case bool:
		return number(nil, 4, protowire.EncodeBool(v))
	}
	return text(nil, 3, fmt.Sprint(v))
}

// seconds appends a time, in seconds since 1970.
func seconds(b []byte, field protowire.Number, at time.Time) []byte {
	b = protowire.AppendTag(b, field, protowire.Fixed64Type)
	return protowire.AppendFixed64(b, math.Float64bits(float64(at.UnixNano())/1e9))
}

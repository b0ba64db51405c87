package pack

import (
	"bytes"
	"encoding/json"
	"errors"
	"path"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"
)

// parquetColumns are the places of the columns that matter.
type parquetColumns struct {
	image, path, label int // path and label are -1 where there is none
	names              []string
}

// fill completes an item from its row and returns the image, which is valid until the next rows are read.
func (c *parquetColumns) fill(it *Item, row parquet.Row) []byte {
	var image []byte
	for _, value := range row {
		if value.IsNull() {
			continue
		}
		switch value.Column() {
		case c.image:
			image = value.ByteArray()
		case c.path:
			it.File = path.Base(string(value.ByteArray()))
		case c.label:
			it.Class = labelOf(value)
		}
	}
	it.Ext = sniffImage(image)
	return image
}

// labelOf gives a label as text; "" for the -1 that stands for a hidden one.
func labelOf(value parquet.Value) string {
	number := int64(-1)
	switch value.Kind() {
	case parquet.Int32:
		number = int64(value.Int32())
	case parquet.Int64:
		number = value.Int64()
	case parquet.ByteArray:
		return string(value.ByteArray())
	}
	if number < 0 {
		return ""
	}
	return strconv.FormatInt(number, 10)
}

// findColumns looks for the columns by the names in use.
func findColumns(file *parquet.File) (parquetColumns, error) {
	find := func(paths ...string) int {
		for _, p := range paths {
			if leaf, ok := file.Schema().Lookup(strings.Split(p, ".")...); ok {
				return leaf.ColumnIndex
			}
		}
		return -1
	}
	columns := parquetColumns{
		image: find("image.bytes", "img.bytes", "image"),
		path:  find("image.path", "img.path"),
		label: find("label", "labels", "fine_label", "cls"),
	}
	if columns.image < 0 {
		return columns, errors.New("it has no column image.bytes")
	}
	// {"info": {"features": {"label": {"names": [...], "_type": "ClassLabel"}, ...}}}
	var hub struct {
		Info struct {
			Features map[string]struct {
				Names []string `json:"names"`
			} `json:"features"`
		} `json:"info"`
	}
	if text, ok := file.Lookup("huggingface"); ok && json.Unmarshal([]byte(text), &hub) == nil {
		for _, name := range []string{"label", "labels", "fine_label", "cls"} {
			if feature, ok := hub.Info.Features[name]; ok && len(feature.Names) > 0 {
				columns.names = feature.Names
				break
			}
		}
	}
	return columns, nil
}

// sniffImage tells the kind of an image from its first bytes; "" when it is none that the project reads.
func sniffImage(data []byte) string {
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xd8\xff")):
		return "jpg"
	case bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")):
		return "png"
	case len(data) >= 12 && string(data[:4]) == "RIFF" && string(data[8:12]) == "WEBP":
		return "webp"
	}
	return ""
}

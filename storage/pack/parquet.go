package pack

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"

	"github.com/cijepa/cijepa/storage/shards"
)

// parquetSource reads parquet files as image data sets are published in them: a column of images,
// with bytes and path or bytes alone, and a column of labels, numbers or names. Class names come
// from the metadata that the hub's own writer leaves. The listing reads the labels alone. The
// images that are then chosen are copied into one temporary file, because a parquet file cannot be
// read at one image without its neighbours.
type parquetSource struct {
	*tree
	options SourceOptions
	inputs  []parquetInput
}

type parquetInput struct {
	name    string // below the source
	columns parquetColumns
	first   int // place of its first row in the listing; the others follow
	rows    int
}

// parquetColumns are the places of the columns that matter.
type parquetColumns struct {
	image, path, label int // path is -1 where there is none
	names              []string
}

// The names of columns, the usual one first. Another label column is asked for.
var (
	imageColumns = []string{"image", "img", "jpg", "jpeg", "png", "webp", "picture", "photo"}
	labelColumns = []string{"label", "labels", "fine_label", "cls", "class", "target", "class_id", "category", "y"}
)

// List implements Source.
func (s *parquetSource) List(ctx context.Context) (Listing, error) {
	listing := Listing{Numbered: true}
	slices.Sort(s.parquet)
	files, gaps, err := splitShards(s.parquet, nil, s.options.Train, s.options.Val)
	if err != nil {
		return Listing{}, err
	}
	listing.Warnings = gaps
	alike := map[string]int{} // by split and name without folders
	for _, file := range files {
		alike[file.split+path.Base(file.name)]++
	}
	for _, file := range files {
		name, split := file.name, file.split
		if strings.Contains(name, "partial") {
			listing.Warnings = append(listing.Warnings, name+" is a part of the data set by its name")
		}
		base := path.Base(name)
		if alike[split+base] > 1 {
			base = name
		}
		err := s.readFile(name, func(file *parquet.File) error {
			if split != trainSplit && split != valSplit {
				listing.Rejects = append(listing.Rejects, Reject{Split: otherSplit, Name: name, Images: int(file.NumRows()), Err: passedOver(split, "PATTERN", s.options.HoldOut)})
				return nil
			}
			return s.list(ctx, &listing, file, split, name, base)
		})
		if err != nil {
			return Listing{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	s.places = make([]extent, len(listing.Items))
	return listing, nil
}

// readFile opens a parquet file for a function that reads it. A file that is damaged, which can
// make the decoder panic, is ErrCorrupt.
func (s *parquetSource) readFile(name string, read func(*parquet.File) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = corrupt("damaged parquet file: %v", r)
		}
	}()
	head, err := readHead(s.place(name))
	if err != nil {
		return err
	}
	in, err := os.Open(s.place(name))
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if kind := kindOf(head); kind != "parquet" {
		return corrupt("not a parquet file but %s", kind)
	}
	file, err := parquet.OpenFile(in, info.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return corrupt("it was cut, download it again: %w", err)
	}
	return read(file)
}

// list reads the labels of one file.
func (s *parquetSource) list(ctx context.Context, listing *Listing, file *parquet.File, split, name, base string) error {
	columns, err := findColumns(file, s.options.Label)
	if s.options.Unlabelled && columns.image >= 0 {
		err = nil
	}
	if err != nil {
		return err
	}
	if len(s.inputs) > 0 && !s.options.Unlabelled && !slices.Equal(listing.Classes, columns.names) {
		return unfit("its class names differ from those of the files before it")
	}
	listing.Classes = columns.names
	first := len(listing.Items)
	s.inputs = append(s.inputs, parquetInput{name, columns, first, int(file.NumRows())})
	for i := range file.NumRows() {
		listing.Items = append(listing.Items, Item{Split: split, Name: base + "/" + strconv.FormatInt(i, 10)})
	}
	if columns.label >= 0 {
		if err := readColumn(ctx, file, columns.label, func(row int, value parquet.Value) error {
			item := &listing.Items[first+row]
			item.Class, item.Unlabelled = columns.labelOf(value)
			return nil
		}); err != nil {
			return err
		}
	}
	if columns.path < 0 {
		return nil
	}
	return readColumn(ctx, file, columns.path, func(row int, value parquet.Value) error {
		if !value.IsNull() {
			listing.Items[first+row].File = path.Base(value.String())
		}
		return nil
	})
}

// Fetch copies the chosen images into the temporary file.
func (s *parquetSource) Fetch(ctx context.Context, places []int) error {
	spool, err := tempFile(s.tempDir)
	if err != nil {
		return err
	}
	s.files = append(s.files, spool)
	chosen := make([]bool, len(s.places))
	for _, place := range places {
		chosen[place] = true
	}
	end := int64(0)
	for _, input := range s.inputs {
		if !slices.Contains(chosen[input.first:input.first+input.rows], true) {
			continue
		}
		err := s.readFile(input.name, func(file *parquet.File) error {
			return readColumn(ctx, file, input.columns.image, func(row int, value parquet.Value) error {
				if !chosen[input.first+row] || value.IsNull() {
					return nil
				}
				n, err := spool.WriteAt(value.ByteArray(), end)
				if err != nil {
					return fmt.Errorf("copying the images: %w; %s needs as much free space as they take: free some, or choose another folder with -temp",
						err, filepath.Dir(spool.Name()))
				}
				s.places[input.first+row] = extent{offset: end, length: int64(n)}
				end += int64(n)
				return nil
			})
		})
		if err != nil {
			return fmt.Errorf("%s: %w", input.name, err)
		}
	}
	return nil
}

// readColumn reads a column that has one value in each row.
func readColumn(ctx context.Context, file *parquet.File, column int, value func(row int, value parquet.Value) error) error {
	row, values := 0, make([]parquet.Value, 64)
	read := func(chunk parquet.ColumnChunk) error {
		reader := parquet.NewColumnChunkValueReader(chunk)
		defer reader.Close()
		for {
			n, err := reader.ReadValues(values)
			for _, v := range values[:n] {
				if err := value(row, v); err != nil {
					return err
				}
				row++
			}
			if err == io.EOF {
				return nil
			} else if err != nil {
				return corrupt("%w", err)
			}
		}
	}
	for _, group := range file.RowGroups() {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := read(group.ColumnChunks()[column]); err != nil {
			return err
		}
	}
	if n := int(file.NumRows()); row != n {
		return corrupt("a column has %d values in %d rows", row, n)
	}
	return nil
}

// labelOf reads a label. A null or NaN marks a sample without one, as -1 does.
func (c *parquetColumns) labelOf(value parquet.Value) (string, error) {
	text := value.String()
	if value.IsNull() || text == "NaN" && value.Kind() != parquet.ByteArray {
		return "", nil
	}
	class, err := label(text)
	if err != nil || class == "" || c.names == nil {
		return class, err
	}
	number, err := strconv.Atoi(class)
	if err != nil || number >= len(c.names) {
		return "", fmt.Errorf("it has the label %s of %d classes", class, len(c.names))
	}
	return c.names[number], nil
}

// findColumns looks for the columns by the names in use, or for the label by the one that is asked
// for.
func findColumns(file *parquet.File, label string) (parquetColumns, error) {
	schema := file.Schema()
	columns := parquetColumns{image: -1, path: -1, label: -1}
	bytesAt := func(leaf ...string) int {
		found, ok := schema.Lookup(leaf...)
		if !ok || found.MaxRepetitionLevel > 0 || found.Node.Type().Kind() != parquet.ByteArray {
			return -1
		}
		return found.ColumnIndex
	}
	for _, name := range imageColumns {
		if columns.image < 0 {
			columns.image, columns.path = max(bytesAt(name, "bytes"), bytesAt(name)), bytesAt(name, "path")
		}
	}
	all := fmt.Sprintf("the columns are %s", shards.Abbreviate(described(schema)))
	if columns.image < 0 {
		return columns, unfit("no column has images (%s); %s", strings.Join(imageColumns, ", "), all)
	}
	known := labelColumns
	if label != "" {
		known = []string{label}
	}
	var there []string
	for _, field := range schema.Fields() {
		if slices.Contains(known, field.Name()) {
			there = append(there, field.Name())
		}
	}
	switch {
	case len(there) == 0:
		return columns, unfit("there is no column %s of labels; %s: -label COLUMN says which one has them", strings.Join(known, ", "), all)
	case len(there) > 1:
		return columns, unfit("the columns %s may all be labels: -label COLUMN says which one it is", strings.Join(there, ", "))
	}
	found, ok := schema.Lookup(there[0])
	if !ok || found.MaxRepetitionLevel > 0 || !slices.Contains([]parquet.Kind{parquet.Int32, parquet.Int64, parquet.Float, parquet.Double, parquet.ByteArray}, found.Node.Type().Kind()) {
		return columns, unfit("the label column %s is neither a number nor a name a row; %s", there[0], all)
	}
	columns.label = found.ColumnIndex
	// {"info": {"features": {"label": {"names": [...], "_type": "ClassLabel"}, ...}}}
	var hub struct {
		Info struct {
			Features map[string]json.RawMessage `json:"features"`
		} `json:"info"`
	}
	var feature struct {
		Names []string `json:"names"`
	}
	if text, ok := file.Lookup("huggingface"); ok && json.Unmarshal([]byte(text), &hub) == nil && json.Unmarshal(hub.Info.Features[there[0]], &feature) == nil && len(feature.Names) > 0 {
		columns.names = feature.Names
	}
	return columns, nil
}

// described names the columns with their types.
func described(schema *parquet.Schema) []string {
	var names []string
	for _, column := range schema.Columns() {
		leaf, _ := schema.Lookup(column...)
		kind := leaf.Node.Type().String()
		if leaf.MaxRepetitionLevel > 0 {
			kind = "list of " + kind
		}
		names = append(names, fmt.Sprintf("%s (%s)", strings.Join(column, "."), kind))
	}
	return names
}

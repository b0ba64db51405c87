package pack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"
)

// FromParquet reads parquet files as image data sets are published in them: a column image (or img) with bytes and path, and a column label with
// a class number or name. The split is what a file's name begins with, train-... or validation-...; class names come from the metadata that
// the hub's own writer leaves, else the numbers are the names.
//
// A parquet file cannot be read at one image without reading its neighbours, so List copies all images into one temporary file in tempDir
// ("" = the system's), which is gone with Close or the process.
func FromParquet(tempDir string, files ...string) Source {
	return &parquetSource{tempDir: tempDir, names: slices.Sorted(slices.Values(files))}
}

type parquetSource struct {
	tempDir string
	names   []string
	extents
}

// List implements Source.
func (s *parquetSource) List(ctx context.Context) (Listing, error) {
	spool, err := os.CreateTemp(s.tempDir, "cijepa-parquet-*")
	if err != nil {
		return Listing{}, err
	}
	s.files = append(s.files, spool)
	// The file lives as long as it is open: nothing is left behind, however the process ends.
	if err := os.Remove(spool.Name()); err != nil {
		return Listing{}, err
	}
	var listing Listing
	for _, name := range s.names {
		if err := s.spool(ctx, &listing, name); err != nil {
			return Listing{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	if listing.Classes == nil && allNumbers(listing.Items) {
		listing.Classes = numberedClasses(listing.Items)
	}
	return listing, nil
}

// spool copies the images of one file.
func (s *parquetSource) spool(ctx context.Context, listing *Listing, name string) (err error) {
	defer func() {
		// A damaged page can make the decoder panic.
		if r := recover(); r != nil {
			err = fmt.Errorf("damaged parquet file: %v", r)
		}
	}()
	in, err := os.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	file, err := parquet.OpenFile(in, info.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return err
	}
	columns, err := findColumns(file)
	if err != nil {
		return err
	}
	if columns.names != nil {
		if listing.Classes != nil && !slices.Equal(listing.Classes, columns.names) {
			return errors.New("its class names differ from those of the files before it")
		}
		listing.Classes = columns.names
	}
	base := filepath.Base(name)
	before, _, _ := strings.Cut(base, "-")
	split := splitName(strings.TrimSuffix(before, ".parquet"))
	if split == "" {
		return errors.New("its name begins neither with train nor with val")
	}
	row := 0
	for _, group := range file.RowGroups() {
		if err := s.spoolGroup(ctx, listing, group, columns, func(i int) Item {
			return Item{Split: split, Name: base + "/" + strconv.Itoa(row+i)}
		}); err != nil {
			return err
		}
		row += int(group.NumRows())
	}
	return nil
}

// spoolGroup copies the images of one row group. item gives what is known of its row i beforehand.
func (s *parquetSource) spoolGroup(ctx context.Context, listing *Listing, group parquet.RowGroup, columns parquetColumns, item func(i int) Item) error {
	rows := group.Rows()
	defer rows.Close()
	spool := s.files[0]
	batch := make([]parquet.Row, 16)
	for done := 0; ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := rows.ReadRows(batch)
		for _, row := range batch[:n] {
			it := item(done)
			done++
			image := columns.fill(&it, row)
			if it.Ext == "" {
				listing.Rejects = append(listing.Rejects, Reject{it.Split, it.Name, errors.New("it is not a JPEG, PNG or WebP file")})
				continue
			}
			if columns.names != nil && it.Class != "" {
				number, err := strconv.Atoi(it.Class)
				if err != nil || number < 0 || number >= len(columns.names) {
					return fmt.Errorf("%s has label %s of %d classes", it.Name, it.Class, len(columns.names))
				}
				it.Class = columns.names[number]
			}
			offset := int64(0)
			if last := len(s.places); last > 0 {
				offset = s.places[last-1].offset + s.places[last-1].length
			}
			if _, err := spool.WriteAt(image, offset); err != nil {
				return fmt.Errorf("copying the images: %w; %s needs as much free space as the parquet files take: free some, or choose another folder with -temp", err, filepath.Dir(spool.Name()))
			}
			s.places = append(s.places, extent{0, offset, int64(len(image))})
			listing.Items = append(listing.Items, it)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// allNumbers tells whether every label is a class number (below a million: anything larger is a name made of digits).
func allNumbers(items []Item) bool {
	for i := range items {
		if _, err := strconv.ParseUint(items[i].Class, 10, 20); err != nil && items[i].Class != "" {
			return false
		}
	}
	return true
}

// numberedClasses are the names "0" to the largest number, so that a class's label is the number it had.
func numberedClasses(items []Item) []string {
	classes := []string{}
	for i := range items {
		for number, _ := strconv.Atoi(items[i].Class); items[i].Class != "" && len(classes) <= number; {
			classes = append(classes, strconv.Itoa(len(classes)))
		}
	}
	return classes
}

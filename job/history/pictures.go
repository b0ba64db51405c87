package history

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image/jpeg"
	"slices"

	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/storage"
)

// Pictures are the drawings of a finished run.
type Pictures struct {
	record.Pictures
	ComponentsJPEG, NeighboursJPEG []byte // the files; of neighbours nil without them
}

// readPictures reads the pictures that the result names. What of them is damaged or gone is added
// to the run's problems, and the run is shown without them. A copy of the records alone has none.
func (r *Run) readPictures(ctx context.Context, f folder) error {
	if r.Result == nil || r.Result.Pictures == nil || r.RecordsAlone {
		return nil
	}
	p := Pictures{Pictures: *r.Result.Pictures}
	err := checkPictures(p.Pictures)
	if err != nil {
		err = fmt.Errorf("the pictures of %s are damaged: %w", f.key("result.json"), err)
	} else {
		p.ComponentsJPEG, err = readSheet(ctx, f, p.Components)
	}
	if err == nil && p.Neighbours != nil {
		p.NeighboursJPEG, err = readSheet(ctx, f, *p.Neighbours)
	}
	switch {
	case err == nil:
		r.Pictures = &p
	case ctx.Err() != nil || errors.Is(err, storage.ErrUnreachable):
		return err
	default:
		r.Problems = append(r.Problems, err.Error())
	}
	return nil
}

// readSheet reads a sheet and checks it.
func readSheet(ctx context.Context, f folder, s record.Sheet) ([]byte, error) {
	if size := f.sizes[s.File]; size > maxSheet {
		return nil, fmt.Errorf("%s is damaged: it has %d bytes", f.key(s.File), size)
	}
	file, err := f.bucket.Get(ctx, f.key(s.File))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, fmt.Errorf("%s is not there", f.key(s.File))
	}
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(file); hex.EncodeToString(sum[:]) != s.SHA256 {
		return nil, fmt.Errorf("%s is damaged: its sha256 is %x, and the result says %.64q", f.key(s.File), sum, s.SHA256)
	}
	size, err := jpeg.DecodeConfig(bytes.NewReader(file))
	if err != nil || size.Width != s.Width || size.Height != s.Height {
		return nil, fmt.Errorf("%s is damaged: it is no JPEG file of %d x %d pixels", f.key(s.File), s.Width, s.Height)
	}
	return file, nil
}

// checkPictures refuses pictures that no run writes.
func checkPictures(p record.Pictures) error {
	if n := len(p.Images); n == 0 || n > maxShown {
		return fmt.Errorf("they show %d images", n)
	}
	if n := len(p.Depths); n == 0 || n > maxDepths {
		return fmt.Errorf("they show %d depths", n)
	}
	errs := []error{checkTexts(p.Split), checkSheet(p.Components, record.ComponentsFile, len(p.Images), 1+2*len(p.Depths))}
	near := len(p.Images[0].Neighbours)
	if p.Neighbours != nil {
		errs = append(errs, checkSheet(*p.Neighbours, record.NeighboursFile, len(p.Images), 1+near))
	}
	if near > maxShown || near > 0 && p.Neighbours == nil {
		errs = append(errs, fmt.Errorf("an image has %d neighbours", near))
	}
	for _, i := range p.Images {
		errs = append(errs, checkTexts(i.Class), checkCounts(int64(i.Sample)))
		if len(i.Neighbours) != near {
			return fmt.Errorf("one image has %d neighbours and another %d", near, len(i.Neighbours))
		}
		for _, n := range i.Neighbours {
			errs = append(errs, checkTexts(n.Class), checkCounts(int64(n.Sample)), checkValue("similarity", &n.Similarity))
		}
	}
	for _, d := range p.Depths {
		errs = append(errs, checkCounts(int64(d.Depth)), checkComponents(d.Depth, d.Teacher), checkComponents(d.Depth, d.Untrained))
	}
	return errors.Join(errs...)
}

func checkComponents(depth int, c record.Components) error {
	if len(c.Shares) > 3 || len(c.Follows) > 3 || len(c.R) > 3 {
		return fmt.Errorf("depth %d has more than three components", depth)
	}
	if i := slices.IndexFunc(c.Shares, func(v float64) bool { return !(v >= 0 && v <= 1) }); i >= 0 {
		return fmt.Errorf("depth %d: %g is no share", depth, c.Shares[i])
	}
	if i := slices.IndexFunc(c.R, func(v float64) bool { return !(v >= -1 && v <= 1) }); i >= 0 {
		return fmt.Errorf("depth %d: %g is no correlation", depth, c.R[i])
	}
	return checkTexts(c.Follows...)
}

// checkSheet refuses a sheet of another form, or one whose tiles lie outside of it.
func checkSheet(s record.Sheet, file string, rows, columns int) error {
	for _, v := range []int{s.Width, s.Height, s.Tile, s.Gap, s.Top} {
		if v < 0 || v > maxPixels {
			return fmt.Errorf("a sheet has a length of %d pixels", v)
		}
	}
	x, y := s.At(rows-1, columns-1)
	if s.File != file || s.Tile < 1 || x+s.Tile > s.Width || y+s.Tile > s.Height {
		return fmt.Errorf("the sheet %.60q of %d x %d pixels does not hold %d x %d tiles of %d pixels", s.File, s.Width, s.Height, rows, columns, s.Tile)
	}
	return nil
}

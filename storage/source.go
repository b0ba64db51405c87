package storage

import "context"

// Source is a set of labelled images that Pack reads. A listing comes first and costs no image; the images are then asked for
// in Pack's own order, so a source must be able to read any of them at any time.
type Source interface {
	// List gives every image, in any order but always the same one, and the class names in the source's own label order, or nil
	// where it has none of its own: Pack then sorts the names.
	List(ctx context.Context) ([]Item, []string, error)
	// Read appends the bytes of image i of the listing, as they are, to buf. It is called by several goroutines at once.
	Read(i int, buf []byte) ([]byte, error)
	// Close gives back files and space. Pack does not call it.
	Close() error
}

// Item is one image of a Source.
type Item struct {
	Split string // "train" or "val"
	Name  string // names the image among all of its split, such as "n01558993/n01558993_10.JPEG"; the packing order is a hash of it
	Class string // class name, or "" for an image without label
	Ext   string // "jpg", "jpeg", "png" or "webp": the name of the tar member's ending
	File  string // the file's original name, kept in the sample's .json member; "" = no such member
}

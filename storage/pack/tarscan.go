package pack

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"path"
	"strings"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/shards"
)

// counted passes bytes on and keeps their number and checksum.
type counted struct {
	r     io.Reader
	n     int64
	zeros int64 // at the end of what was read
	sum   hash.Hash
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	c.sum.Write(p[:n])
	if trailing := int64(n - len(bytes.TrimRight(p[:n], "\x00"))); trailing == int64(n) {
		c.zeros += trailing
	} else {
		c.zeros = trailing
	}
	return n, err
}

// endMark is how many zeros end a tar file.
const endMark = 1024

// tarScan gathers the members of one shard into samples: those that stand side by side with the same key.
type tarScan struct {
	*counted
	*reindexer
	split, file string
	found       scanned
	seen        int // samples, rejected ones too

	key            string // of the sample whose members are coming
	offset, length int64  // of its image
	image          bool
	label          string
	refused        error
}

func (s *tarScan) run() error {
	reader := tar.NewReader(s.counted)
	for {
		header, err := reader.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("reading tar headers: %w", err)
		}
		if !plainMember(header) {
			continue
		}
		// The key ends at the first dot after the last slash.
		folder, base := path.Split(header.Name)
		stem, ending, ok := strings.Cut(base, ".")
		if !ok || stem == "" {
			continue
		}
		if key := folder + stem; key != s.key {
			s.finish()
			s.key = key
		}
		if err := s.member(reader, header, strings.ToLower(ending)); err != nil {
			return fmt.Errorf("%s: %w", header.Name, err)
		}
	}
	s.finish()
	if s.counted.zeros < endMark { // a file that ends between two members passes for a whole one
		return fmt.Errorf("%w: after %d samples it ends without the zeros that end a tar file: it was cut, or its writer never closed it", storage.ErrUnfit, s.seen)
	}
	if s.seen == 0 {
		return fmt.Errorf("%w: it has no sample", storage.ErrUnfit)
	}
	// What follows the end mark belongs to the object all the same.
	_, err := io.Copy(io.Discard, s.counted)
	return err
}

// member takes up one file of the sample.
func (s *tarScan) member(reader io.Reader, header *tar.Header, ending string) error {
	fromJSON := s.options.LabelKey != ""
	switch {
	case imageExt(header.Name) != "":
		if s.image {
			return nil // the first one is the image
		}
		// The reader takes headers block by block, so that the next byte is the image's first.
		s.image, s.offset, s.length = true, s.counted.n, header.Size
		if header.Size == 0 {
			s.refused = errors.New("the image is empty")
		} else if s.options.Verify != nil {
			data, err := io.ReadAll(reader)
			if err != nil {
				return err
			}
			s.refused = s.options.Verify(data)
		}
	case ending == "cls" && !fromJSON, ending == "json" && fromJSON:
		data, err := io.ReadAll(io.LimitReader(reader, 1<<20))
		if err != nil {
			return err
		}
		s.label = strings.TrimSpace(string(data))
		if fromJSON {
			s.label, err = labelField(data, s.options.LabelKey)
		}
		return err
	}
	return nil
}

// labelField takes a label out of a sample's description.
func labelField(data []byte, key string) (string, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return "", err
	}
	raw, ok := fields[key]
	if !ok || string(raw) == "null" {
		return "", nil
	}
	var name string
	if json.Unmarshal(raw, &name) == nil {
		return name, nil
	}
	return string(raw), nil
}

// finish ends the sample whose members have come.
func (s *tarScan) finish() {
	if s.key == "" {
		return
	}
	s.seen++
	if !s.image {
		s.refused = errors.New("it has no .jpg, .jpeg, .png or .webp member")
	}
	if s.refused != nil {
		s.mu.Lock()
		s.rejects = append(s.rejects, Reject{s.split, s.file + "/" + s.key, s.refused})
		s.mu.Unlock()
	} else {
		s.found.Samples.Add(s.key, s.offset, s.length, shards.NoLabel)
		s.found.labels = append(s.found.labels, s.label)
	}
	s.key, s.image, s.label, s.refused = "", false, "", nil
}

// plainMember tells a file whose bytes stand in the tar file as they are: no folder, no link, and not sparse, which hides in records of its own.
func plainMember(header *tar.Header) bool {
	for record := range header.PAXRecords {
		if strings.HasPrefix(record, "GNU.sparse.") {
			return false
		}
	}
	return header.Typeflag == tar.TypeReg
}

package storage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
)

// Check tries every right that a run needs below prefix: it writes a small object, reads it, lists
// it and deletes it. It also creates an object, and tries to create that again: some stores that
// speak S3 do not know the condition of a create, others ignore it, and two pods of one run would
// then overwrite each other. Such a store is ErrUnsupported. The error names everything that was
// refused. A missing right to delete is only a warning, because only retention needs it.
func (b *Bucket) Check(ctx context.Context, prefix string) error {
	key := prefix + ".probe-" + strings.ToLower(rand.Text()[:12])
	content := []byte("cijepa tries whether it may write, read, list and delete here\n")
	if _, err := b.PutBytes(ctx, key, content); err != nil {
		return fmt.Errorf("a run cannot be saved: %w", errors.Join(err, b.checkReads(ctx, key, ErrNotFound)))
	}
	err := b.checkReads(ctx, key, nil)
	once := key + "-once"
	if err == nil {
		err = b.checkCondition(ctx, once)
	}
	for _, probe := range []string{key, once} {
		if derr := b.Delete(ctx, probe); derr != nil {
			b.options.Log.Warn("the bucket lets objects be written but not deleted: old checkpoints will stay and cost money",
				"error", derr)
			break
		}
	}
	if err != nil {
		return fmt.Errorf("a run cannot be resumed: %w", err)
	}
	return nil
}

// checkCondition creates an object, and then tries to create it again with other content.
func (b *Bucket) checkCondition(ctx context.Context, key string) error {
	if _, err := b.Create(ctx, key, []byte("cijepa tries whether it may create what is not there\n")); err != nil {
		return err
	}
	created, err := b.Create(ctx, key, []byte("cijepa tries whether it may replace what is there\n"))
	if err == nil && created {
		err = fmt.Errorf("%w: the store at %s replaced an object that it was told to create only if absent "+
			"(If-None-Match); use one that keeps conditional writes", ErrUnsupported, key)
	}
	return err
}

// checkReads reads and lists a key. A read that fails with expected counts as a success.
func (b *Bucket) checkReads(ctx context.Context, key string, expected error) error {
	_, read := b.Get(ctx, key)
	if expected != nil && errors.Is(read, expected) {
		read = nil
	}
	_, list := b.List(ctx, key)
	return errors.Join(read, list)
}

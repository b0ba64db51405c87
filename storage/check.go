package storage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
)

// Check tries every right that a run needs below prefix: it writes a small object, reads it, lists
// it and deletes it. It also tries to create that object again: some stores that speak S3 ignore
// the condition of a create, and two pods of one run would then overwrite each other. The error
// names everything that was refused. A missing right to delete is only a warning, because only
// retention needs it.
func (b *Bucket) Check(ctx context.Context, prefix string) error {
	key := prefix + ".probe-" + strings.ToLower(rand.Text()[:12])
	content := []byte("cijepa tries whether it may write, read, list and delete here\n")
	if _, err := b.PutBytes(ctx, key, content); err != nil {
		return fmt.Errorf("a run cannot be saved: %w", errors.Join(err, b.checkReads(ctx, key, ErrNotFound)))
	}
	err := b.checkReads(ctx, key, nil)
	if err == nil {
		err = b.checkCondition(ctx, key)
	}
	if derr := b.Delete(ctx, key); derr != nil {
		b.options.Log.Warn("the bucket lets objects be written but not deleted: old checkpoints will stay and cost money",
			"error", derr)
	}
	if err != nil {
		return fmt.Errorf("a run cannot be resumed: %w", err)
	}
	return nil
}

// checkCondition tries to create an object that exists.
func (b *Bucket) checkCondition(ctx context.Context, key string) error {
	created, err := b.Create(ctx, key, []byte("cijepa tries whether it may replace what is there\n"))
	if err == nil && created {
		err = fmt.Errorf("the store at %s replaced an object that it was told to create only if absent (If-None-Match); "+
			"use one that keeps conditional writes", key)
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
